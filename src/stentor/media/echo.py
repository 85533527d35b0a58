"""Whether a microphone gives back what its owner hears: the echo that the others would get.

Only levels are compared, tick by tick: what somebody was sent, and what came from them up to 0.8 s later. An echo rises
and falls with what was sent; a voice of one's own does not.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_TICKS = 400
"""8 s: enough turns and pauses to tell an echo from a coincidence."""
_LONGEST_LAG = 40
_ACTIVE_DBFS = -50.0
_LEAST_ACTIVE = 50
"""A second of something to hear."""
_ALIKE = 0.8
_LEAST_SPREAD_DB = 5.0
_FLOOR = 1e-9


class EchoMeter:
    """Watches one person: ``add`` once a tick, ``echo_db`` once a second or so."""

    def __init__(self) -> None:
        self._sent = np.full(_TICKS + _LONGEST_LAG, _FLOOR, np.float32)
        self._came = np.full(_TICKS, _FLOOR, np.float32)
        self._ticks = 0

    def add(self, sent_mean_square: float, came_mean_square: float) -> None:
        """Take the mean squares of what was sent to the person in this tick, and of what came from them."""
        self._sent[self._ticks % len(self._sent)] = max(_FLOOR, sent_mean_square)
        self._came[self._ticks % _TICKS] = max(_FLOOR, came_mean_square)
        self._ticks += 1

    def echo_db(self) -> float | None:
        """Return by how many dB the echo is below what was sent; None if there is none to be heard."""
        if self._ticks < len(self._sent):
            return None
        sent = 10 * np.log10(np.roll(self._sent, -(self._ticks % len(self._sent))))
        came = 10 * np.log10(np.roll(self._came, -(self._ticks % _TICKS)))
        # Row k: what was sent 40 - k ticks before what came.
        shifted = sliding_window_view(sent, _TICKS)
        active = shifted > _ACTIVE_DBFS
        spread = shifted.std(axis=1)
        centred = came - came.mean()
        alike = (shifted - shifted.mean(axis=1, keepdims=True)) @ centred
        alike /= _TICKS * spread * came.std() + 1e-9
        best = int(alike.argmax())
        if alike[best] < _ALIKE or spread[best] < _LEAST_SPREAD_DB or active[best].sum() < _LEAST_ACTIVE:
            return None
        return float(np.median((shifted[best] - came)[active[best]]))
