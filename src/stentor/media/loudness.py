"""Loudness by ITU-R BS.1770-4, and the slow gains that bring each speaker and the program to theirs (EBU R 128).

K-weighting is done on the spectrum of each 20 ms tick: its bins are 50 Hz wide, narrower than anything the two filters
of the recommendation do above the lowest octaves of a voice. Loudness is in LUFS, gains in dB.
"""

import math
from collections import deque

import numpy as np

from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.media.rows import KNOTS, TICKS_PER_S, Flags, Numbers, Pcm, Rows, arranged, gain, level

SPEAKER_LUFS = -18.0
PROGRAM_LUFS = -16.0
MOST_GAIN_DB = 20.0
LEAST_LUFS = -70.0  # the absolute gate of BS.1770
_OFFSET_DB = -0.691  # BS.1770, formula 2
_MOMENTARY_TICKS = 20  # 400 ms
_RELATIVE_GATE_DB = 10.0
_PAUSE = 1e-6  # a program's mean square (-60 dB) below which nobody speaks
_RISE = np.arange(KNOTS) / (KNOTS - 1)
# The two filters of BS.1770 at 48 kHz, tables 1 and 2.
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_VOICE_HZ = (150.0, 4000.0)


def _weights() -> Pcm:
    """Return (bins, 2): what each bin of a tick's power spectrum adds to the mean square, K-weighted and of voices."""
    hz = np.fft.rfftfreq(TICK_SAMPLES, 1 / SAMPLE_RATE_HZ)
    z = np.exp(-2j * np.pi * hz / SAMPLE_RATE_HZ)
    share = np.where((hz == 0) | (hz == SAMPLE_RATE_HZ / 2), 1.0, 2.0) / TICK_SAMPLES**2
    weighted = share.copy()
    for (b0, b1, b2), (a0, a1, a2) in (_SHELF, _HIGH_PASS):
        weighted *= np.abs((b0 + b1 * z + b2 * z**2) / (a0 + a1 * z + a2 * z**2)) ** 2
    voice = np.where((hz >= _VOICE_HZ[0]) & (hz <= _VOICE_HZ[1]), share, 0.0)
    return np.stack([weighted, voice], axis=1).astype(np.float32)


_WEIGHTS = _weights()


def weighted(pcm: Pcm) -> tuple[Numbers, Numbers]:
    """Return the mean squares of ticks (people, 960): K-weighted, and of the band of voices (150 to 4,000 Hz)."""
    spectrum = np.fft.rfft(pcm)
    powers = (spectrum.real**2 + spectrum.imag**2) @ _WEIGHTS
    return powers[:, 0].astype(np.float64), powers[:, 1].astype(np.float64)


def lufs(mean_squares: Numbers) -> Numbers:
    """Return K-weighted mean squares as loudness, at least -70 LUFS."""
    return level(mean_squares, LEAST_LUFS - _OFFSET_DB) + _OFFSET_DB


class Loudness:
    """The gated loudness of several rows: a mean of all momentary values (400 ms) at first, then of the last seconds.

    Values more than 10 LU below it count little, so that pauses do not lower it, but whoever turns down the microphone
    is still followed.
    """

    def __init__(self, horizon_s: float, quiet_counts: float) -> None:
        """``quiet_counts``: what a value below the relative gate weighs, 0 to 1."""
        self.ticks: Numbers = np.zeros(0)
        """How many ticks have counted."""
        self._horizon_ticks = horizon_s * TICKS_PER_S
        self._quiet_counts = quiet_counts
        self._recent: Numbers = np.zeros((0, _MOMENTARY_TICKS))
        self._mean: Numbers = np.zeros(0)
        self._at = 0

    def rearrange(self, rows: Rows) -> None:
        """Take up another order of people."""
        self.ticks = arranged(self.ticks, rows)
        self._recent = arranged(self._recent, rows)
        self._mean = arranged(self._mean, rows)

    def add(self, mean_squares: Numbers, counts: Flags) -> Numbers:
        """Take a tick's K-weighted mean squares; ``counts``: where it may count. Return the momentary mean squares."""
        self._at = (self._at + 1) % _MOMENTARY_TICKS
        self._recent[:, self._at] = mean_squares
        momentary: Numbers = self._recent.mean(axis=1)
        self.ticks += counts
        weight = counts / np.clip(self.ticks, 1.0, self._horizon_ticks)
        weight[momentary < self._mean * 10 ** (-_RELATIVE_GATE_DB / 10)] *= self._quiet_counts
        self._mean += weight * (momentary - self._mean)
        return momentary

    @property
    def lufs(self) -> Numbers:
        """Return the loudness of each row."""
        return lufs(self._mean)


class SpeakerGains:
    """The gain of each person towards -18 LUFS.

    It moves only while they speak, so that it never pumps up a pause: quickly in their first seconds, then by 2 dB a
    second. It goes down faster when somebody is suddenly loud, and never raises a room's noise above ``noise_dbfs``.
    Whoever's peaks the limiter takes away is raised by what their loudness loses there.
    """

    LEARNING_S = 4.0
    KNOWN_TICKS = 5  # before that nothing is known
    UP_DB, LEARNING_UP_DB = 2.0 / TICKS_PER_S, 12.0 / TICKS_PER_S
    DOWN_DB, LEARNING_DOWN_DB = 6.0 / TICKS_PER_S, 30.0 / TICKS_PER_S
    SUDDEN_LU = 8.0
    NOISE_S = 5.0
    LOSS_S, MOST_LOSS_DB = 5.0, 1.0  # more limiting costs more than it evens out: 0.05 PESQ for 2 dB
    ALONE = 0.95  # share of the sound by which somebody speaks alone

    def __init__(self, noise_dbfs: float = -40.0) -> None:
        self.gain_db: Numbers = np.zeros(0)
        self._loudness = Loudness(horizon_s=10.0, quiet_counts=0.15)
        self._noise_dbfs = noise_dbfs
        self._spoken_ticks: Numbers = np.zeros(0)  # without a stop
        self._floor_dbfs: Numbers = np.zeros(0)
        self._sent: Numbers = np.zeros(0)  # K-weighted mean squares of the last tick, with this gain
        self._before: Numbers = np.zeros(0)  # means of when one spoke alone: of what was sent, and of what came out
        self._after: Numbers = np.zeros(0)

    def rearrange(self, rows: Rows) -> None:
        """Take up another order of people."""
        self.gain_db = arranged(self.gain_db, rows)
        self._spoken_ticks = arranged(self._spoken_ticks, rows)
        self._floor_dbfs = arranged(self._floor_dbfs, rows, LEAST_LUFS)
        self._sent = arranged(self._sent, rows)
        self._before = arranged(self._before, rows)
        self._after = arranged(self._after, rows)
        self._loudness.rearrange(rows)

    def hear(self, program: float) -> None:
        """Take the K-weighted mean square of the program's last tick, its own gain taken off."""
        loudest = int(self._sent.argmax()) if len(self._sent) else 0
        if len(self._sent) and self._sent[loudest] > max(_PAUSE, self.ALONE * float(self._sent.sum())):
            share = 1 / (self.LOSS_S * TICKS_PER_S)
            self._before[loudest] += share * (self._sent[loudest] - self._before[loudest])
            self._after[loudest] += share * (program - self._after[loudest])

    def knots(self, mean_squares: Numbers, speaking: Flags, floor_dbfs: Numbers) -> Numbers:
        """Take a tick's K-weighted mean squares, who speaks, and the noise of each; return gains in dB."""
        self._spoken_ticks = np.where(speaking, self._spoken_ticks + 1, 0.0)
        # While the 400 ms still hold what was before the first word they tell too little.
        momentary = lufs(self._loudness.add(mean_squares, self._spoken_ticks > _MOMENTARY_TICKS))
        self._floor_dbfs += (floor_dbfs - self._floor_dbfs) / (self.NOISE_S * TICKS_PER_S)
        quietest = np.clip(self._noise_dbfs - self._floor_dbfs, 0.0, MOST_GAIN_DB)
        loss_db = np.clip(lufs(self._before) - lufs(self._after), 0.0, self.MOST_LOSS_DB)
        wanted = np.clip(SPEAKER_LUFS + loss_db - self._loudness.lufs, -MOST_GAIN_DB, quietest)
        unknown = self._loudness.ticks < self.KNOWN_TICKS
        wanted[unknown] = MOST_GAIN_DB
        sudden = SPEAKER_LUFS + self.SUDDEN_LU - momentary
        learning = self._loudness.ticks < self.LEARNING_S * TICKS_PER_S
        down = np.where(learning | (sudden < self.gain_db), self.LEARNING_DOWN_DB, self.DOWN_DB)
        up = np.where(learning, self.LEARNING_UP_DB, self.UP_DB)
        up[unknown] = 0.0
        step = np.clip(np.minimum(wanted, sudden) - self.gain_db, -down, up)
        step[~speaking] = 0.0
        before, self.gain_db = self.gain_db, self.gain_db + step
        self._sent = mean_squares * gain(2 * self.gain_db)
        return before[:, None] + step[:, None] * _RISE


class ProgramGain:
    """The gain of the program towards -16 LUFS: starts with what speakers at -18 LUFS need, then follows slowly.

    What it is told is the loudness of the program as it went out, limiter and all.
    """

    DB = 0.5 / TICKS_PER_S
    LEAST_DB, MOST_DB = -4.0, 8.0
    KNOWN_TICKS = 3 * TICKS_PER_S
    HORIZON_TICKS = 60 * TICKS_PER_S

    def __init__(self) -> None:
        self.gain_db = PROGRAM_LUFS - SPEAKER_LUFS
        self._recent: deque[float] = deque([0.0], _MOMENTARY_TICKS)
        self._mean = 0.0
        self._ticks = 0

    @property
    def heard(self) -> float:
        """Return the K-weighted mean square of the program's last tick, this gain taken off."""
        return self._recent[-1]

    def knots(self, mean_square: float) -> Numbers:
        """Take the K-weighted mean square of the program's last tick; return the gains of the next in dB, (KNOTS,)."""
        before = self.gain_db
        self._recent.append(mean_square / 10 ** (before / 10))
        if self._recent[-1] > _PAUSE:
            self._follow(sum(self._recent) / _MOMENTARY_TICKS)
        return before + (self.gain_db - before) * _RISE

    def _follow(self, momentary: float) -> None:
        """Count a momentary mean square (before this gain) in and move the gain."""
        self._ticks += 1
        pause = momentary < self._mean * 10 ** (-_RELATIVE_GATE_DB / 10)
        weight = 0.02 if pause else 1.0  # hardly counts, yet a shout at the beginning is forgotten
        self._mean += (momentary - self._mean) * weight / min(self._ticks, self.HORIZON_TICKS)
        if self._ticks >= self.KNOWN_TICKS:
            wanted = PROGRAM_LUFS - _OFFSET_DB - 10 * math.log10(max(self._mean, _PAUSE))
            wanted = min(max(wanted, self.LEAST_DB), self.MOST_DB)
            self.gain_db += min(max(wanted - self.gain_db, -self.DB), self.DB)
