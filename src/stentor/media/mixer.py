"""The mix of a 20 ms tick: program, mix-minus, limiter, levels and who is speaking.

Sound is float32 (1, 960), full scale 1.0. Levels are RMS in dBFS (a full-scale square wave is 0), at least -90.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stentor.media.encoder import Pcm
from stentor.media.grid import TICK_SAMPLES

TICK_MS = 20
FLOOR_DBFS = -90.0
CEILING = 0.89  # -1 dBFS: lossy coding overshoots a little
# Below this somebody hears the mix of all instead of their own: the echo of so little cannot be heard.
CONTRIBUTES_DBFS = -60.0
PROGRAM_SILENT_DBFS = -50.0
_LEVEL_MS = 200
_MOMENTARY_MS = 400  # as in ITU-R BS.1770
_BLOCKS = 16
_BLOCK_SAMPLES = TICK_SAMPLES // _BLOCKS
_RELEASE_PER_BLOCK = 10 ** (0.02 / 20)  # 16 dB a second


@dataclass(frozen=True, slots=True)
class Voice:
    """One person in a mix: RMS of the last 200 ms, and whether they are speaking."""

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

    def __init__(self, window_ms: float = _LEVEL_MS) -> None:
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


class SpeakingDetector:
    """Who speaks, with hysteresis: on after ``attack_ms`` above ``on_dbfs``, off after ``release_ms`` below another."""

    def __init__(
        self, *, on_dbfs: float = -45.0, off_dbfs: float = -52.0, attack_ms: float = 60.0, release_ms: float = 500.0
    ) -> None:
        self.speaking = False
        self._on_dbfs, self._off_dbfs = on_dbfs, off_dbfs
        self._attack_ms, self._release_ms = attack_ms, release_ms
        self._turning_ms = 0.0

    def add(self, level_dbfs: float, duration_ms: float) -> bool:
        """Take the level of the next ``duration_ms``; return whether this is speaking."""
        turning = level_dbfs < self._off_dbfs if self.speaking else level_dbfs >= self._on_dbfs
        self._turning_ms = self._turning_ms + duration_ms if turning else 0.0
        if self._turning_ms >= (self._release_ms if self.speaking else self._attack_ms):
            self.speaking = not self.speaking
            self._turning_ms = 0.0
        return self.speaking


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


class Limiter:
    """Keeps a mix below the ceiling by turning it down smoothly before each peak of the tick in hand.

    Between the edges of blocks of 1.25 ms the gain is linear, and at each edge low enough for both neighbours; it
    recovers by 16 dB a second. Only a peak at the very start of a tick is met by a step in the gain.
    """

    def __init__(self, ceiling: float = CEILING) -> None:
        self._ceiling = ceiling
        self._gain = 1.0

    def limit(self, pcm: Pcm) -> Pcm:
        """Return ``pcm`` (1, 960), itself if there is nothing to do."""
        if self._gain == 1.0 and max(pcm.max(), -pcm.min()) <= self._ceiling:
            return pcm
        peaks = np.abs(pcm.reshape(_BLOCKS, _BLOCK_SAMPLES)).max(axis=1)
        wanted = np.minimum(1.0, self._ceiling / np.maximum(peaks, 1e-9))
        edges = np.empty(_BLOCKS + 1)
        edges[0] = min(self._gain, wanted[0])
        edges[1:-1] = np.minimum(wanted[:-1], wanted[1:])
        edges[-1] = wanted[-1]
        for index in range(_BLOCKS):
            edges[index + 1] = min(edges[index + 1], edges[index] * _RELEASE_PER_BLOCK)
        self._gain = float(edges[-1])
        positions = np.arange(TICK_SAMPLES) / _BLOCK_SAMPLES
        gain = np.interp(positions, np.arange(_BLOCKS + 1), edges)
        return (pcm * gain).astype(np.float32)


class _Person:
    """What the mixer keeps of one person."""

    def __init__(self) -> None:
        self.meter = LevelMeter()
        self.detector = SpeakingDetector()
        self.limiter = Limiter()


class Mixer:
    """Mixes one room. ``meter`` tells of the program; ``mix`` is called once a tick."""

    def __init__(self) -> None:
        self.meter = ProgramMeter()
        self._people: dict[str, _Person] = {}
        self._limiter = Limiter()

    def mix(self, voices: Mapping[str, Pcm]) -> Mix:
        """Mix a tick; ``voices`` holds (1, 960) float32 by person. Nothing that is put in is changed."""
        if not voices:
            program = np.zeros((1, TICK_SAMPLES), np.float32)
            self.meter.add(0.0, TICK_MS)
            return Mix(program, {}, {})
        stack = np.concatenate(list(voices.values()))
        np.nan_to_num(stack, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
        mean_squares = np.einsum("ij,ij->i", stack, stack) / TICK_SAMPLES
        total = stack.sum(axis=0, keepdims=True)
        program = self._limiter.limit(total)
        self.meter.add(float(np.mean(program * program)), TICK_MS)
        told: dict[str, Voice] = {}
        minus: dict[str, Pcm] = {}
        for row, (name, mean_square) in enumerate(zip(voices, mean_squares.tolist(), strict=True)):
            person = self._people.setdefault(name, _Person())
            level = to_dbfs(mean_square)
            speaking = person.detector.add(level, TICK_MS)
            told[name] = Voice(person.meter.add(mean_square, TICK_MS), speaking)
            if level >= CONTRIBUTES_DBFS:
                minus[name] = person.limiter.limit(total - stack[row])
        return Mix(program, minus, told)

    def forget(self, person: str) -> None:
        """Give up what is kept of a person."""
        self._people.pop(person, None)


def to_dbfs(mean_square: float) -> float:
    """Return a mean square as a level, at least -90 dBFS."""
    return max(FLOOR_DBFS, 10.0 * float(np.log10(mean_square))) if mean_square > 0 else FLOOR_DBFS
