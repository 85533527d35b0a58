"""The Opus decoder of a speaker's packets: decoding, FEC and concealment into one reused buffer."""

import ctypes

import numpy as np

from stentor.errors import MediaError
from stentor.media import opus
from stentor.media.encoder import Pcm
from stentor.media.grid import SAMPLE_RATE_HZ


class OpusDecoder:
    """libopus at 48 kHz mono. Not for two threads at once.

    Every method returns a view (1, n) float32 of the same buffer, good until the next call. Packets are hostile: a
    broken one raises MediaError and leaves the decoder usable. There is always room for 5,760 samples (120 ms), or
    long packets fail with "buffer too small".
    """

    def __init__(self) -> None:
        error = ctypes.c_int()
        self._state = opus.decoder_create(SAMPLE_RATE_HZ, 1, ctypes.byref(error))
        opus.checked(error.value)
        self._pcm = np.zeros((1, opus.MAX_PACKET_SAMPLES), np.float32)
        self._address = self._pcm.ctypes.data

    def __del__(self) -> None:
        """Free libopus's state."""
        if getattr(self, "_state", None):
            opus.decoder_destroy(self._state)

    def decode(self, payload: bytes) -> Pcm:
        """Return the samples of a packet; raises MediaError if it is broken or empty."""
        opus.checked(packet_samples(payload))
        return self._decode(payload, opus.MAX_PACKET_SAMPLES, fec=0)

    def recover(self, next_payload: bytes, lost_samples: int) -> Pcm:
        """Return ``lost_samples`` (a multiple of 120) for the packet before ``next_payload``.

        Where that carries no FEC (LBRR, RFC 6716, 4.2.5) it is concealment.
        """
        opus.checked(packet_samples(next_payload))
        return self._decode(next_payload, lost_samples, fec=1)

    def conceal(self, samples: int) -> Pcm:
        """Return ``samples`` (a multiple of 120) of packet loss concealment."""
        return self._decode(None, samples, fec=0)

    def _decode(self, payload: bytes | None, samples: int, *, fec: int) -> Pcm:
        size = len(payload) if payload is not None else 0
        count = opus.decode_float(self._state, payload, size, self._address, samples, fec)
        return self._pcm[:, : opus.checked(count)]


def packet_samples(payload: bytes) -> int:
    """Return how many samples at 48 kHz a packet holds; raises MediaError if it is broken."""
    samples = opus.checked(opus.packet_samples(payload, len(payload), SAMPLE_RATE_HZ))
    if not samples:
        raise MediaError("An Opus packet holds no frame.")
    return samples
