"""The background of a voice: how loud it is, and noise that sounds like it for when nothing comes.

Silence that is too clean sounds like a broken line (RFC 3389 has the reasons); what is made up here is the spectrum
of the quietest moments with other phases. Sound is ``(1, n)`` float32 at 48 kHz.
"""

import numpy as np
from numpy.typing import NDArray

from stentor.media.encoder import Pcm
from stentor.media.grid import TICK_SAMPLES

_HOP = TICK_SAMPLES // 2
_LOUDEST = 1e-5  # -50 dBFS: louder is no background
_RISE = 1.02  # a frame; 4 dB a second
_NEAR = 4.0  # within 6 dB of the quietest: background
_LEAST = 1e-10
_LEARN = 0.1


class Background:
    """Learns from every frame that is heard."""

    def __init__(self) -> None:
        self._floor = _LOUDEST
        self._spectrum: NDArray[np.float32] | None = None
        self._window = np.sin(np.pi * (np.arange(TICK_SAMPLES) + 0.5) / TICK_SAMPLES).astype(np.float32)
        self._tail = np.zeros(_HOP, np.float32)
        self._random = np.random.default_rng(1)

    def hear(self, pcm: Pcm) -> bool:
        """Take a frame; return whether it is background alone."""
        mean_square = float(np.vdot(pcm, pcm)) / pcm.size
        self._floor = min(self._floor * _RISE, max(mean_square, _LEAST), _LOUDEST)
        quiet = mean_square <= _NEAR * self._floor
        if quiet and mean_square <= _LOUDEST and pcm.shape[1] >= TICK_SAMPLES:
            self._learn(pcm[0, :TICK_SAMPLES])
        return quiet

    def _learn(self, frame: NDArray[np.float32]) -> None:
        heard = np.abs(np.fft.rfft(frame * self._window)).astype(np.float32)
        if self._spectrum is None:
            self._spectrum = heard
        else:
            self._spectrum += (heard - self._spectrum) * np.float32(_LEARN)

    def noise(self, samples: int) -> Pcm:
        """Return so much background, going on from the last; silence while none has been heard."""
        if self._spectrum is None:
            return np.zeros((1, samples), np.float32)
        blocks = [self._block() for _ in range(-(-samples // _HOP))]
        return np.concatenate(blocks)[None, :samples]

    def _block(self) -> NDArray[np.float32]:
        """Return half a frame: two windows overlapped."""
        assert self._spectrum is not None  # noqa: S101  # noise() has looked
        phases = np.exp(2j * np.pi * self._random.random(len(self._spectrum)))
        frame = np.fft.irfft(self._spectrum * phases, TICK_SAMPLES).astype(np.float32) * self._window
        block: NDArray[np.float32] = self._tail + frame[:_HOP]
        self._tail = frame[_HOP:]
        return block
