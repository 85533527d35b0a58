"""A noise gate that a host can switch on: who does not speak is turned down, with hold and soft slopes.

It looks at a whole tick before that tick is played, so the beginning of a word passes although the gate opens with it.
"""

import numpy as np

from stentor.media.rows import KNOTS, TICK_MS, TICKS_PER_S, Flags, Numbers, Rows, arranged

CLOSED_DB = -24.0
CLOSING_DB_PER_S = 120.0
HOLD_MS = 400
_OPENS_AT = np.minimum(1.0, np.arange(KNOTS))  # open after the first 5 ms of a tick
_CLOSES_AT = np.arange(KNOTS) / (KNOTS - 1)


class Gate:
    """The gates of all people of a room. Switched off, they open and stay so."""

    def __init__(self) -> None:
        self.enabled = False
        self._gain_db: Numbers = np.zeros(0)
        self._held: Numbers = np.zeros(0)

    def rearrange(self, rows: Rows) -> None:
        """Take up another order of people; who is new begins with an open gate."""
        self._gain_db = arranged(self._gain_db, rows)
        self._held = arranged(self._held, rows, HOLD_MS / TICK_MS)

    def knots(self, voiced: Flags) -> Numbers:
        """Take in which rows the tick holds more than noise; return its gains in dB, (people, KNOTS)."""
        self._held = np.where(voiced, HOLD_MS / TICK_MS, np.maximum(0.0, self._held - 1))
        closing = (self._held == 0) & self.enabled
        step = CLOSING_DB_PER_S / TICKS_PER_S
        gain_db = np.where(closing, np.maximum(CLOSED_DB, self._gain_db - step), 0.0)
        shape = np.where(closing[:, None], _CLOSES_AT, _OPENS_AT)
        knots = self._gain_db[:, None] + (gain_db - self._gain_db)[:, None] * shape
        self._gain_db = gain_db
        return knots
