"""Audio markers: short tones whose pitch says which one they are, found again by level and zero crossings; a hum."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES

PITCHES_HZ = (500, 750, 1100, 1600, 2300)
TONE_S = 0.12
SPACING_S = 1.0
HUM_HZ = 440.0
_THRESHOLD = 0.05


def tone(index: int) -> NDArray[np.float32]:
    """Return marker number ``index`` (pitches repeat after five), shape ``(samples,)`` float32."""
    at = np.arange(int(TONE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sound: NDArray[np.float32] = (0.4 * np.sin(2 * np.pi * PITCHES_HZ[index % len(PITCHES_HZ)] * at)).astype(np.float32)
    return sound


@dataclass
class ToneSource:
    """A speaker's microphone that plays a marker every second and notes when each left."""

    wall_s: Callable[[], float]
    spacing_s: float = SPACING_S
    left: list[tuple[int, float]] = field(default_factory=list)
    _samples: int = 0

    def __call__(self) -> NDArray[np.float32]:
        """Return the next 20 ms, shape ``(1, 960)`` float32."""
        spacing = int(self.spacing_s * SAMPLE_RATE_HZ)
        index, offset = divmod(self._samples, spacing)
        self._samples += TICK_SAMPLES
        if offset == 0:
            self.left.append((index, self.wall_s()))
        sound = tone(index)[offset : offset + TICK_SAMPLES]
        frame = np.zeros((1, TICK_SAMPLES), np.float32)
        frame[0, : len(sound)] = sound
        return frame


def nearest_pitch(frequency_hz: float) -> int:
    """Return the index of the pitch nearest to a frequency."""
    return min(range(len(PITCHES_HZ)), key=lambda i: abs(PITCHES_HZ[i] - frequency_hz))


def latencies(
    left: list[tuple[int, float]], heard: list[tuple[float, float]], *, at_most_s: float = 4.5
) -> list[float]:
    """Match markers that left (index, wall s) with those heard (wall s, frequency Hz); return delays in seconds."""
    delays = []
    for at, frequency_hz in heard:
        pitch = nearest_pitch(frequency_hz)
        candidates = [
            at - sent for index, sent in left if index % len(PITCHES_HZ) == pitch and 0 < at - sent <= at_most_s
        ]
        if candidates:
            delays.append(min(candidates))
    return delays


@dataclass
class ToneFinder:
    """Finds markers in decoded 48 kHz mono sound; feed it blocks with the wall time of their first sample."""

    heard: list[tuple[float, float]] = field(default_factory=list)
    _quiet_samples: int = SAMPLE_RATE_HZ
    _onset: tuple[float, list[NDArray[np.float32]]] | None = None

    def feed(self, pcm: NDArray[np.float32], wall_s: float) -> None:
        """Look at a block, shape ``(samples,)``, in windows of 240 samples."""
        for start in range(0, len(pcm), 240):
            window = pcm[start : start + 240]
            loud = float(np.abs(window).max(initial=0.0)) > _THRESHOLD
            if self._onset is not None:
                self._collect(window)
            elif loud and self._quiet_samples > SAMPLE_RATE_HZ // 4:
                self._onset = (wall_s + start / SAMPLE_RATE_HZ, [])
            self._quiet_samples = 0 if loud else self._quiet_samples + len(window)

    def _collect(self, window: NDArray[np.float32]) -> None:
        onset, blocks = self._onset or (0.0, [])
        blocks.append(window)
        if sum(map(len, blocks)) >= 2_400:
            sound = np.concatenate(blocks)
            crossings = int(np.count_nonzero(np.diff(np.signbit(sound))))
            self.heard.append((onset, crossings * SAMPLE_RATE_HZ / (2 * len(sound))))
            self._onset = None


class Hum:
    """A microphone that hums without a pause."""

    def __init__(self) -> None:
        self._at = 0

    def __call__(self) -> NDArray[np.float32]:
        """Return the next 20 ms, shape ``(1, 960)`` float32."""
        at = (self._at + np.arange(TICK_SAMPLES)) / SAMPLE_RATE_HZ
        self._at += TICK_SAMPLES
        return (0.3 * np.sin(2 * np.pi * HUM_HZ * at)).astype(np.float32).reshape(1, -1)
