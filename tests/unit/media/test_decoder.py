import ctypes

import numpy as np
import pytest

from stentor.media import opus
from stentor.media.decoder import OpusDecoder


def test_stereo_is_mixed_down():
    """A browser may send stereo whatever it was asked for (RFC 7587, section 6.1)."""
    at = np.arange(960 * 20) / 48_000
    sides = np.stack([0.4 * np.sin(2 * np.pi * 500 * at), 0.4 * np.sin(2 * np.pi * 1_200 * at)], axis=1)
    error = ctypes.c_int()
    state = opus.encoder_create(48_000, 2, opus.APPLICATION_AUDIO, ctypes.byref(error))
    opus.checked(error.value)
    room = ctypes.create_string_buffer(opus.MAX_PACKET_BYTES)
    decoder = OpusDecoder()
    heard = []
    for tick in np.split(sides.astype(np.float32), 20):
        frame = np.ascontiguousarray(tick)
        size = opus.encode_float(state, frame.ctypes.data, 960, room, opus.MAX_PACKET_BYTES)
        pcm = decoder.decode(room.raw[: opus.checked(size)])
        assert pcm.shape == (1, 960)
        heard.append(pcm[0].copy())
    opus.encoder_destroy(state)
    sound = np.concatenate(heard)[960 * 4 :]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) * 4 / len(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / 48_000)
    for tone in (500, 1_200):
        assert spectrum[np.abs(hz - tone) < 20].max() == pytest.approx(0.2, rel=0.2)
