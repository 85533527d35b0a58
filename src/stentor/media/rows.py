"""What is kept of many people as arrays, one row a person, so that a tick costs a few array operations for all.

Levels in these arrays are in decibels; a tick's gains are given at its knots, every 5 ms, and linear between them.
"""

import numpy as np
from numpy.typing import NDArray

from stentor.media.grid import TICK_SAMPLES

Rows = NDArray[np.intp]
"""For each row wanted the row it was before, or -1 for somebody new."""
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Pcm = NDArray[np.float32]

TICK_MS = 20
TICKS_PER_S = 50
KNOTS = 5
"""Knots of a tick's gain; the last one of a tick is the first one of the next."""


def _hats() -> Pcm:
    at = np.arange(TICK_SAMPLES) / (TICK_SAMPLES / (KNOTS - 1))
    shape = np.maximum(0.0, 1.0 - np.abs(at - np.arange(KNOTS)[:, None]))
    return shape.astype(np.float32)


_HATS = _hats()


def arranged(kept: Numbers, rows: Rows, fresh: float = 0.0) -> Numbers:
    """Return ``kept`` (people, …) in another order, with ``fresh`` in the rows of people who are new."""
    return np.concatenate([kept, np.full_like(kept, fresh, shape=(1, *kept.shape[1:]))])[rows]


def curve(knots: Numbers) -> Pcm:
    """Return gains (people, 960) that run linearly through ``knots`` (people, KNOTS)."""
    drawn: Pcm = knots.astype(np.float32) @ _HATS
    return drawn


def gain(decibels: Numbers) -> Numbers:
    """Return decibels as factors of amplitude."""
    factors: Numbers = 10.0 ** (decibels / 20.0)
    return factors


def level(mean_squares: Numbers, least: float) -> Numbers:
    """Return mean squares as levels in dB, at least ``least``."""
    levels: Numbers = 10.0 * np.log10(np.maximum(mean_squares, 10.0 ** (least / 10.0)))
    return levels
