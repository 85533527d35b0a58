"""The mix of a 20 ms tick: program, mix-minus, levels and who is speaking.

Each voice goes through the gate and the gain that brings it to -18 LUFS; the sum through the gain that brings the
program to -16 LUFS, and through the limiter. Every mix is the same 5 ms late (``limiter.DELAY_SAMPLES``). Sound is
float32 (1, 960), full scale 1.0. Levels are RMS in dBFS (a full-scale square wave is 0), at least -90.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stentor.media.encoder import Pcm
from stentor.media.gate import Gate
from stentor.media.grid import TICK_SAMPLES
from stentor.media.limiter import DELAY_SAMPLES, Limiter
from stentor.media.loudness import ProgramGain, SpeakerGains, weighted
from stentor.media.rows import TICK_MS, Flags, Numbers, Rows, arranged, curve, gain, level
from stentor.media.voice_activity import VoiceActivity

FLOOR_DBFS = -90.0
# Below this somebody hears the mix of all instead of their own: the echo of so little cannot be heard.
CONTRIBUTES_DBFS = -60.0
# Steady noise up to this is no voice and gives nobody an own mix.
NOISE_DBFS = -45.0
PROGRAM_SILENT_DBFS = -50.0
_LEVEL_TICKS = 10  # 200 ms
_MOMENTARY_MS = 400  # as in ITU-R BS.1770
_MOST_MEAN_SQUARE = 4.0  # what no decoder gives; infinite and NaN are above it, too
_ACTIVE_DBFS = -85.0
SILENCE: Pcm = np.zeros((1, TICK_SAMPLES), np.float32)


@dataclass(frozen=True, slots=True)
class Voice:
    """One person in a mix: RMS of the last 200 ms as it came, and whether they are speaking."""

    level_dbfs: float
    speaking: bool


@dataclass(frozen=True, slots=True)
class Mix:
    """One tick: the program, which is also what the silent hear, and the mix of each who contributes to it."""

    program: Pcm
    minus: Mapping[str, Pcm]
    voices: Mapping[str, Voice]

    def heard_by(self, person: str) -> Pcm:
        """Return a person's mix-minus."""
        return self.minus.get(person, self.program)


class LevelMeter:
    """RMS over the last ``window_ms``; takes the duration of what it is given."""

    def __init__(self, window_ms: float) -> None:
        self._window_ms = window_ms
        self._recent: deque[tuple[float, float]] = deque()
        self._recent_ms = 0.0

    def add(self, mean_square: float, duration_ms: float) -> float:
        """Take the mean square of the next ``duration_ms``; return the level in dBFS."""
        self._recent.append((mean_square * duration_ms, duration_ms))
        self._recent_ms += duration_ms
        while self._recent_ms - self._recent[0][1] >= self._window_ms:
            self._recent_ms -= self._recent.popleft()[1]
        return self.level_dbfs

    @property
    def level_dbfs(self) -> float:
        """Return the level of the window."""
        return to_dbfs(sum(energy for energy, _ in self._recent) / self._recent_ms) if self._recent else FLOOR_DBFS


class ProgramMeter:
    """The program's level, and for how long it has been silent."""

    def __init__(self, silent_dbfs: float = PROGRAM_SILENT_DBFS) -> None:
        self.silent_s = 0.0
        self._silent_dbfs = silent_dbfs
        self._meter = LevelMeter(_MOMENTARY_MS)

    @property
    def level_dbfs(self) -> float:
        """Return the level of the last 400 ms."""
        return self._meter.level_dbfs

    def add(self, mean_square: float, duration_ms: float) -> None:
        """Take the mean square of the next ``duration_ms``."""
        silent = self._meter.add(mean_square, duration_ms) < self._silent_dbfs
        self.silent_s = self.silent_s + duration_ms / 1000 if silent else 0.0


class Mixer:
    """Mixes one room, ``mix`` once a tick. ``meter`` tells of the program, ``gate`` switches the noise gate."""

    def __init__(self) -> None:
        self.meter = ProgramMeter()
        self._names: tuple[str, ...] = ()
        self._forgotten: set[str] = set()
        self._gate = Gate()
        self._activity = VoiceActivity()
        self._gains = SpeakerGains()
        self._program_gain = ProgramGain()
        self._limiter = Limiter()
        self._levels: Numbers = np.zeros((0, _LEVEL_TICKS))
        self._tick = 0
        self._contributed: Numbers = np.zeros(0)  # in the tick before
        # With the last samples of the tick before in front.
        self._voices: Pcm = np.zeros((0, DELAY_SAMPLES + TICK_SAMPLES), np.float32)
        self._total: Pcm = np.zeros((1, DELAY_SAMPLES + TICK_SAMPLES), np.float32)
        self._program = SILENCE

    @property
    def gate(self) -> bool:
        """Whether the noise gate is on."""
        return self._gate.enabled

    @gate.setter
    def gate(self, enabled: bool) -> None:
        self._gate.enabled = enabled

    def mix(self, voices: Mapping[str, Pcm], together: Mapping[str, str] | None = None) -> Mix:
        """Mix a tick. Nothing that is put in is changed.

        Args:
            voices: (1, 960) float32 by person.
            together: for a person the group they belong to, such as a device: nobody is fed a voice of their own group.
        """
        self._arrange(voices)
        if not voices and not self._total.any():
            self.meter.add(0.0, TICK_MS)
            return Mix(SILENCE, {}, {})
        mean_squares, contributes = self._take(voices)
        feeds, rows, sharing = self._feeds(contributes, together or {})
        limited = self._limiter.limit(rows, feeds)
        self._program = limited[:1]
        self.meter.add(float(np.einsum("ij,ij->", self._program, self._program)) / TICK_SAMPLES, TICK_MS)
        minus = {name: limited[place : place + 1] for name, place in sharing.items()}
        return Mix(self._program, minus, self._told(mean_squares))

    def forget(self, person: str) -> None:
        """Give up what is kept of a person."""
        self._forgotten.add(person)

    def _arrange(self, voices: Mapping[str, Pcm]) -> None:
        names = tuple(voices)
        if names == self._names and not self._forgotten:
            return
        known = {name: row for row, name in enumerate(self._names) if name not in self._forgotten}
        rows: Rows = np.array([known.get(name, -1) for name in names], np.intp)
        self._names, self._forgotten = names, set()
        for part in (self._gate, self._activity, self._gains, self._limiter):
            part.rearrange(rows)
        self._levels = arranged(self._levels, rows)
        self._contributed = arranged(self._contributed, rows)
        self._voices = np.concatenate([self._voices, np.zeros_like(self._total)])[rows]

    def _take(self, voices: Mapping[str, Pcm]) -> tuple[Numbers, Flags]:
        """Put the voices in, gains applied; return their mean squares as they came, and who needs an own mix."""
        self._total[:, :DELAY_SAMPLES] = self._total[:, TICK_SAMPLES:]
        self._voices[:, :DELAY_SAMPLES] = self._voices[:, TICK_SAMPLES:]
        stack = self._voices[:, DELAY_SAMPLES:]
        if not voices:
            self._total[:, DELAY_SAMPLES:] = 0.0
            return np.zeros(0), np.zeros(0, bool)
        np.concatenate(list(voices.values()), out=stack)
        mean_squares = np.einsum("ij,ij->i", stack, stack).astype(np.float64) / TICK_SAMPLES
        if not np.all(mean_squares <= _MOST_MEAN_SQUARE):
            np.nan_to_num(stack, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
            np.clip(stack, -1.0, 1.0, out=stack)
            mean_squares = np.einsum("ij,ij->i", stack, stack).astype(np.float64) / TICK_SAMPLES
        levels = level(mean_squares, FLOOR_DBFS)
        loud, voice_levels = np.zeros(len(stack)), np.full(len(stack), FLOOR_DBFS)
        active = np.flatnonzero(levels > _ACTIVE_DBFS)
        weighted_squares, in_band = weighted(np.concatenate([self._program, stack[active]]))
        loud[active], voice_levels[active] = weighted_squares[1:], level(in_band[1:], FLOOR_DBFS)
        speaking = self._activity.add(voice_levels)
        voiced = self._activity.voiced(voice_levels)
        knots = self._gate.knots(voiced)
        knots += self._program_gain.knots(float(weighted_squares[0]))
        self._gains.hear(self._program_gain.heard)
        knots += self._gains.knots(loud, speaking, self._activity.floor_dbfs)
        stack *= curve(gain(knots))
        np.sum(stack, axis=0, keepdims=True, out=self._total[:, DELAY_SAMPLES:])
        heard = levels + knots.max(axis=1)
        contributes = (heard >= NOISE_DBFS) | (voiced & (heard >= CONTRIBUTES_DBFS))
        # The last 5 ms of the tick before are still to come, so who was heard in it has an own mix now.
        own = contributes | (self._contributed > 0)
        self._contributed = contributes.astype(float)
        return mean_squares, own

    def _feeds(self, contributes: Flags, together: Mapping[str, str]) -> tuple[Pcm, Rows, dict[str, int]]:
        """Return the mixes before the limiter, their rows there, and by person which of them they hear.

        The program comes first. Who is not named hears the program.
        """
        groups: dict[str, list[int]] = {}
        alone: list[list[int]] = []
        for row, name in enumerate(self._names):
            group = together.get(name)
            if group is not None:
                groups.setdefault(group, []).append(row)
            elif contributes[row]:
                alone.append([row])
        own = alone + [members for members in groups.values() if contributes[members].any()]
        feeds = np.repeat(self._total, 1 + len(own), axis=0)
        for place, members in enumerate(own, 1):
            for row in members:
                feeds[place] -= self._voices[row]
        rows: Rows = np.array([0] + [members[0] + 1 for members in own], np.intp)
        return feeds, rows, {self._names[row]: place for place, members in enumerate(own, 1) for row in members}

    def _told(self, mean_squares: Numbers) -> dict[str, Voice]:
        self._tick = (self._tick + 1) % _LEVEL_TICKS
        self._levels[:, self._tick] = mean_squares
        levels = level(self._levels.mean(axis=1), FLOOR_DBFS)
        speaking = self._activity.speaking.tolist()
        return {
            name: Voice(level_dbfs, speaks)
            for name, level_dbfs, speaks in zip(self._names, levels.tolist(), speaking, strict=True)
        }


def to_dbfs(mean_square: float) -> float:
    """Return a mean square as a level, at least -90 dBFS."""
    return max(FLOOR_DBFS, 10.0 * float(np.log10(mean_square))) if mean_square > 0 else FLOOR_DBFS
