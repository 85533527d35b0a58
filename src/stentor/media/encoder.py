"""Encoders: PCM in, access units out. Opus by libopus, AAC-LC and MP3 by FFmpeg (PyAV).

Every encoder delays its input by ``Rendition.priming_samples``: decoded sample n is input sample
``n - priming_samples``. Who starts one leaves out that many samples (see origin/program), so that timestamps need no
edit list.
"""

import ctypes
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from stentor.media import opus
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.media.rendition import Rendition, RenditionName

Pcm = NDArray[np.float32]

_FFMPEG = {
    # For one voice at 64 kbit/s the fast coder without noise substitution (PNS) and TNS is both better and cheaper than
    # FFmpeg's default: PESQ 4.12 instead of 3.37, 94 instead of 343 microseconds a tick; a tone 60 instead of 16 dB.
    RenditionName.AAC: ("aac", {"aac_coder": "fast", "aac_pns": "0", "aac_tns": "0"}),
    # No bit reservoir: each access unit decodes by itself, so a stream may be joined or cut anywhere.
    # LAME's quality 7 says speech as well as its default 5 (PESQ 4.48 both) in 143 instead of 251 microseconds a tick.
    RenditionName.MP3: ("libmp3lame", {"reservoir": "0", "compression_level": "7"}),
}
_OPUS_LESS_BPS = 1_000
"""Less a packet on the way down: all at once, and libopus takes back what it has overspent, in packets of 3 bytes."""
_OVERSHOOTS_BELOW_BPS = 20_000
_SPEECH_COMPLEXITY = 5  # 28 instead of 43 % of a core for 13 mixes


class OpusEncoder:
    """libopus at 48 kHz mono, 20 ms a frame. Not for two threads at once."""

    def __init__(self, bitrate_bps: int = 32_000, *, speech: bool = True, packet_loss_percent: int = 10) -> None:
        """Make an encoder: with ``speech`` for a mix-minus (hybrid mode, in-band FEC), else for the program."""
        error = ctypes.c_int()
        application = opus.APPLICATION_VOIP if speech else opus.APPLICATION_AUDIO
        self._state = opus.encoder_create(SAMPLE_RATE_HZ, 1, application, ctypes.byref(error))
        opus.checked(error.value)
        self._pcm = np.zeros(TICK_SAMPLES, np.float32)
        self._packet = ctypes.create_string_buffer(opus.MAX_PACKET_BYTES)
        self.set_bitrate(bitrate_bps)
        if speech:
            # libopus picks CELT for mixes by itself, which carries no FEC: ask for voice.
            self._control(opus.SET_SIGNAL, opus.SIGNAL_VOICE)
            self._control(opus.SET_INBAND_FEC, 1)
            self._control(opus.SET_COMPLEXITY, _SPEECH_COMPLEXITY)
            self.set_packet_loss(packet_loss_percent)

    def __del__(self) -> None:
        """Free libopus's state."""
        if getattr(self, "_state", None):
            opus.encoder_destroy(self._state)

    def set_bitrate(self, bitrate_bps: int) -> None:
        """Have so many bits a second from the next packet on."""
        self._control(opus.SET_BITRATE, bitrate_bps)

    def set_packet_loss(self, percent: int) -> None:
        """Say how much loss the receiver reports: more loss, more redundancy."""
        self._control(opus.SET_PACKET_LOSS_PERC, max(0, min(100, percent)))

    def encode(self, pcm: Pcm) -> bytes:
        """Return the packet of one tick; ``pcm`` is (1, 960) float32."""
        self._pcm[:] = pcm[0]
        size = opus.encode_float(self._state, self._pcm.ctypes.data, TICK_SAMPLES, self._packet, opus.MAX_PACKET_BYTES)
        return self._packet.raw[: opus.checked(size)]

    def _control(self, request: int, value: int) -> None:
        opus.checked(opus.encoder_control(self._state, request, value))


class _FfmpegEncoder:
    """One of FFmpeg's encoders, fed whole frames."""

    def __init__(self, rendition: Rendition) -> None:
        name, options = _FFMPEG[rendition.name]
        context = av.CodecContext.create(name, "w")
        if not isinstance(context, av.AudioCodecContext):
            raise TypeError(f"{name} is not an audio encoder")
        context.sample_rate = SAMPLE_RATE_HZ
        context.layout = "mono"
        context.format = "fltp"
        context.bit_rate = rendition.bitrate_bps
        context.options = options
        context.open()
        self._context = context
        self._pts = 0

    def encode(self, pcm: Pcm) -> list[bytes]:
        frame = av.AudioFrame.from_ndarray(pcm, format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = self._pts
        self._pts += pcm.shape[1]
        return [bytes(packet) for packet in self._context.encode(frame)]


class ProgramEncoder(Protocol):
    """What the program asks of an encoder; fakes in tests have the same face."""

    def encode(self, pcm: Pcm) -> list[bytes]:
        """Take (1, n) float32 and return the access units that are ready."""
        ...

    def set_bitrate(self, bitrate_bps: int) -> bool:
        """Change the bitrate from the next access unit on; return False where it takes another encoder."""
        ...


class Encoder:
    """The encoder of one rendition, cut into frames of the codec whatever the length of what is put in."""

    def __init__(self, rendition: Rendition) -> None:
        self.rendition = rendition
        self._frame = np.zeros((1, rendition.frame_samples), np.float32)
        self._filled = 0
        self._bps = self._wanted_bps = rendition.bitrate_bps
        self._opus = (
            OpusEncoder(_asked_bps(rendition.bitrate_bps), speech=False)
            if rendition.name is RenditionName.OPUS
            else None
        )
        self._encode_frame = self._encode_opus if self._opus else _FfmpegEncoder(rendition).encode

    def encode(self, pcm: Pcm) -> list[bytes]:
        """Take ``pcm`` (1, n) float32, usually one tick of 960, and return the access units that are ready."""
        units: list[bytes] = []
        at, total = 0, pcm.shape[1]
        while at < total:
            take = min(total - at, self.rendition.frame_samples - self._filled)
            self._frame[:, self._filled : self._filled + take] = pcm[:, at : at + take]
            at += take
            self._filled += take
            if self._filled == self.rendition.frame_samples:
                self._filled = 0
                units += self._encode_frame(self._frame)
        return units

    def set_bitrate(self, bitrate_bps: int) -> bool:
        """Change libopus's bitrate, which no decoder minds. FFmpeg's encoders are set up for theirs: False."""
        self._wanted_bps = bitrate_bps
        return self._opus is not None

    def _encode_opus(self, pcm: Pcm) -> list[bytes]:
        if self._opus is None:
            return []
        if self._bps != self._wanted_bps:
            self._bps = max(self._wanted_bps, self._bps - _OPUS_LESS_BPS)
            self._opus.set_bitrate(_asked_bps(self._bps))
        return [self._opus.encode(pcm)]


def _asked_bps(bitrate_bps: int) -> int:
    """Return what to ask libopus for: at 16 kbit/s its variable bitrate is 17.3 on speech, at 15 it is 16.3."""
    return bitrate_bps * 15 // 16 if bitrate_bps < _OVERSHOOTS_BELOW_BPS else bitrate_bps
