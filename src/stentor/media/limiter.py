"""A look-ahead limiter for many mixes at once: nothing leaves it above the ceiling, not even between two samples.

Peaks are true peaks (ITU-R BS.1770-4, annex 2: looked for at four times the sample rate). A mix is turned down along a
straight slope of 4 ms that ends before the peak does, and comes back by 200 dB a second. All that it gives is
``DELAY_SAMPLES`` late (5 ms), whether there was something to do or not.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stentor.media.grid import TICK_SAMPLES
from stentor.media.rows import Numbers, Pcm, Rows, arranged

CEILING_DBTP = -3.2
"""What the limiter aims at, so that -1 dBTP hold at the listener: coding at 32 kbit/s overshoots by up to 2 dB."""
CEILING = 10 ** (CEILING_DBTP / 20)
RELEASE_DB_PER_S = 200.0

_BLOCK = 24  # samples for which one gain is wanted: 0.5 ms
_BLOCKS = TICK_SAMPLES // _BLOCK
_AHEAD = 8  # blocks over which the gain slides down to a peak
DELAY_SAMPLES = (_AHEAD + 2) * _BLOCK  # and one block because edges lie between blocks, one for the interpolation
_KEPT = 2 * _AHEAD + 2
_RELEASE_DB = RELEASE_DB_PER_S * _BLOCK / 48_000
_TAPS = 12  # a phase of the interpolation, as in annex 2
_BEFORE = _TAPS // 2 - 1
_SPAN = _BLOCK + _TAPS - 1
_PHASES = 4


def _interpolation() -> Pcm:
    """Return (_SPAN, _PHASES * _BLOCK): a block with its neighbours to its samples and the points between them."""
    points = np.zeros((_SPAN, _PHASES, _BLOCK))
    taps = np.arange(_TAPS) - _BEFORE
    for phase in range(_PHASES):
        at = taps - phase / _PHASES
        weights = np.sinc(at) * np.i0(5.0 * np.sqrt(np.maximum(0.0, 1 - (at / (_TAPS / 2)) ** 2)))
        weights /= weights.sum()
        for sample in range(_BLOCK):
            points[sample : sample + _TAPS, phase, sample] = weights
    return points.reshape(_SPAN, -1).astype(np.float32)


_INTERPOLATION = _interpolation()
# Below this no sum of neighbouring samples can reach the ceiling, so nobody has to look.
_HARMLESS = CEILING / float(np.abs(_INTERPOLATION).sum(axis=0).max())
_RAMP = (np.arange(_BLOCK) / _BLOCK).astype(np.float32)
_SLOPE = _RELEASE_DB * np.arange(_BLOCKS + 1)


class Limiter:
    """The limiters of a room: row 0 is the program, the others are what people hear.

    A row that is left out of a tick is taken to have heard the program.
    """

    def __init__(self) -> None:
        self._wanted_db: Numbers = np.zeros((1, _KEPT))  # of the newest blocks, the release included

    def rearrange(self, rows: Rows) -> None:
        """Take up another order of people; ``rows`` counts people, from 0."""
        people = arranged(self._wanted_db[1:], rows)
        people[rows < 0] = self._wanted_db[0]
        self._wanted_db = np.concatenate([self._wanted_db[:1], people])

    def limit(self, rows: Rows, mixes: Pcm) -> Pcm:
        """Return the next tick of each mix, (len(rows), 960), ``DELAY_SAMPLES`` late.

        Args:
            rows: the row of each mix; the first is 0.
            mixes: (len(rows), DELAY_SAMPLES + 960), the last samples of the tick before included.
        """
        out = mixes[:, :TICK_SAMPLES]
        wanted = self._wanted_db[rows]
        # Blocks that end one block before the newest sample, each with one block on either side.
        near = np.abs(mixes[:, DELAY_SAMPLES - 2 * _BLOCK :]).reshape(len(rows), _BLOCKS + 2, _BLOCK).max(axis=2)
        loud = np.maximum(np.maximum(near[:, :-2], near[:, 1:-1]), near[:, 2:]) > _HARMLESS
        busy = np.flatnonzero(loud.any(axis=1) | (wanted < 0.0).any(axis=1))
        following = np.zeros_like(wanted)
        if len(busy):
            out = out.copy()
            needed = _needed_db(mixes[busy], loud[busy])
            gains, following[busy] = _gains(wanted[busy], needed)
            out[busy] *= gains
        self._wanted_db[:] = following[0]
        self._wanted_db[rows] = following
        return out


def _needed_db(mixes: Pcm, loud: NDArray[np.bool_]) -> Numbers:
    """Return the gain that brings each block's true peak to the ceiling, (mixes, _BLOCKS) in dB, at most 0."""
    spans = sliding_window_view(mixes, _SPAN, axis=1)[:, DELAY_SAMPLES - _BLOCK - _BEFORE :: _BLOCK][:, :_BLOCKS]
    peaks = np.abs(spans[loud] @ _INTERPOLATION).max(axis=1)
    needed: Numbers = np.zeros(loud.shape)
    needed[loud] = np.minimum(0.0, 20.0 * np.log10(CEILING / np.maximum(peaks, 1e-9)))
    return needed


def _gains(wanted: Numbers, needed: Numbers) -> tuple[Pcm, Numbers]:
    """Return the gains of a tick, (mixes, 960), and the wanted gains to keep."""
    # Rising by a fixed slope at most: the least of all that was wanted before, each risen by now.
    released = np.concatenate([wanted[:, -1:], needed], axis=1) - _SLOPE
    released = np.minimum.accumulate(released, axis=1) + _SLOPE
    blocks = np.concatenate([wanted, released[:, 1:]], axis=1)
    edges = np.minimum(blocks[:, :-1], blocks[:, 1:])
    lowest = sliding_window_view(edges, _AHEAD + 1, axis=1).min(axis=2)
    smooth = sliding_window_view(lowest, _AHEAD + 1, axis=1).mean(axis=2)
    factors = (10.0 ** (smooth / 20.0)).astype(np.float32)[:, :, None]
    gains: Pcm = factors[:, :-1] + (factors[:, 1:] - factors[:, :-1]) * _RAMP
    return gains.reshape(len(wanted), TICK_SAMPLES), blocks[:, -_KEPT:]
