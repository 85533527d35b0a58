"""Who speaks: the level of each person's voice against the noise that their microphone never falls below.

A level alone would take a loud fan for a speaker and a quiet speaker for a fan. The noise of a microphone is the least
level of the last 1.6 s (minimum statistics: even in fluent speech there are gaps between syllables).
"""

import numpy as np

from stentor.media.rows import TICK_MS, Flags, Numbers, Rows, arranged

LEAST_FLOOR_DBFS = -65.0
# What is steady and louder than the on-threshold above this is an instrument or a held note, not a fan.
MOST_FLOOR_DBFS = -36.0
_FIRST_FLOOR_DBFS = -50.0
_NOTHING_DBFS = -85.0  # digital silence: muted, or nothing was sent (DTX). It tells nothing about the microphone
_ON_DB, _OFF_DB = 9.0, 5.0
_ATTACK_TICKS = 60 // TICK_MS
_RELEASE_TICKS = 500 // TICK_MS
_WINDOWS = 8
_WINDOW_TICKS = 200 // TICK_MS
_SMOOTH = 3  # ticks whose mean is looked at, so that one quiet tick is not the noise


class VoiceActivity:
    """Speaking or not, with hysteresis, for all people of a room.

    On after 60 ms of 9 dB above the noise, off after 500 ms of less than 5 dB.
    """

    def __init__(self) -> None:
        self.speaking: Flags = np.zeros(0, bool)
        self.floor_dbfs: Numbers = np.zeros(0)
        self._turning: Numbers = np.zeros(0)
        self._least: Numbers = np.zeros((0, _WINDOWS))
        self._recent: Numbers = np.zeros((0, _SMOOTH))
        self._tick = 0

    def rearrange(self, rows: Rows) -> None:
        """Take up another order of people."""
        self.speaking = arranged(self.speaking.astype(float), rows) > 0
        self.floor_dbfs = arranged(self.floor_dbfs, rows, _FIRST_FLOOR_DBFS)
        self._turning = arranged(self._turning, rows)
        self._least = arranged(self._least, rows, _FIRST_FLOOR_DBFS)
        self._recent = arranged(self._recent, rows, _FIRST_FLOOR_DBFS)

    def add(self, levels_dbfs: Numbers) -> Flags:
        """Take a tick's levels in the band of voices; return who speaks."""
        self._follow_noise(levels_dbfs)
        above = levels_dbfs - self.floor_dbfs
        turning = np.where(self.speaking, above < _OFF_DB, above >= _ON_DB)
        self._turning = np.where(turning, self._turning + 1, 0.0)
        turned = self._turning >= np.where(self.speaking, _RELEASE_TICKS, _ATTACK_TICKS)
        self.speaking = self.speaking ^ turned
        self._turning[turned] = 0.0
        return self.speaking

    def voiced(self, levels_dbfs: Numbers) -> Flags:
        """Tell in which rows a tick of this level is no mere noise, before it has lasted long enough for speech."""
        above: Flags = levels_dbfs >= self.floor_dbfs + _ON_DB
        return above

    def _follow_noise(self, levels_dbfs: Numbers) -> None:
        heard = levels_dbfs > _NOTHING_DBFS
        self._recent[heard, self._tick % _SMOOTH] = levels_dbfs[heard]
        self._tick += 1
        window = self._tick // _WINDOW_TICKS % _WINDOWS
        smooth = self._recent.mean(axis=1)
        if self._tick % _WINDOW_TICKS == 0:
            self._least[heard, window] = smooth[heard]
        else:
            self._least[heard, window] = np.minimum(self._least[heard, window], smooth[heard])
        self.floor_dbfs = np.clip(self._least.min(axis=1), LEAST_FLOOR_DBFS, MOST_FLOOR_DBFS)
