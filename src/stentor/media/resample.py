"""Sound made a little slower or faster, by one sample in 2,000 (0.05 %): for clocks that do not agree.

A windowed sinc of 16 taps between the samples. While nothing is to be done sound passes as it is, 8 samples late;
the change from one to the other falls where both are the same. Sound is ``(1, n)`` float32 at 48 kHz.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stentor.media.encoder import Pcm

STEP = 1 / 2000
_TAPS = 16
_HALF = _TAPS // 2
_PHASES = 1024


def _table() -> NDArray[np.float32]:
    """Return the taps for each fraction of a sample, (phases + 1, taps)."""
    fractions = np.arange(_PHASES + 1)[:, None] / _PHASES
    at = np.arange(_TAPS)[None, :] - (_HALF - 1) - fractions
    taps = np.sinc(at) * np.cos(np.pi * at / (_TAPS + 2)) ** 2
    table: NDArray[np.float32] = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return table


_FILTERS = _table()


class Resampler:
    """Passes sound on, and on demand gains or loses a sample every 2,000."""

    def __init__(self) -> None:
        self._held = np.zeros(_TAPS - 1, np.float32)
        self._fraction = 0.0

    def process(self, pcm: Pcm, direction: int) -> Pcm:
        """Take sound; ``direction`` 1 makes it shorter, -1 longer, 0 leaves it as soon as that is not heard."""
        sound = np.concatenate([self._held, pcm[0]])
        if direction == 0 and self._fraction == 0.0:
            self._held = sound[-(_TAPS - 1) :]
            return sound[None, _HALF - 1 : len(sound) - _HALF]
        # To come to rest it goes on the shorter way to a whole sample.
        way = direction or (1 if self._fraction >= 0.5 else -1)
        step = 1.0 + way * STEP
        places = len(sound) - _TAPS + 1
        count = int(np.ceil((places - self._fraction) / step))
        at = self._fraction + step * np.arange(count, dtype=np.float64)
        if direction == 0:
            return self._come_to_rest(sound, at, places)
        out = _between(sound, at)
        self._keep(sound, self._fraction + step * count)
        return out[None]

    def _keep(self, sound: NDArray[np.float32], position: float) -> None:
        """Remember what the next call needs: it goes on at ``position``."""
        whole = int(position)
        self._held = sound[whole:]
        self._fraction = position - whole

    def _come_to_rest(self, sound: NDArray[np.float32], at: NDArray[np.float64], places: int) -> Pcm:
        rested = np.flatnonzero(np.abs(at - np.round(at)) <= STEP / 2)
        if not len(rested):
            out = _between(sound, at)
            self._keep(sound, float(at[-1]) + float(at[1] - at[0]))
            return out[None]
        first = int(rested[0])
        whole = round(float(at[first]))
        moving = _between(sound, at[:first])
        rest = sound[whole + _HALF - 1 : places + _HALF - 1]
        self._held = sound[places:]
        self._fraction = 0.0
        return np.concatenate([moving, rest])[None]


def _between(sound: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    whole = at.astype(np.int64)
    filters = _FILTERS[((at - whole) * _PHASES + 0.5).astype(np.int64)]
    out: NDArray[np.float32] = np.einsum("ij,ij->i", sliding_window_view(sound, _TAPS)[whole], filters)
    return out
