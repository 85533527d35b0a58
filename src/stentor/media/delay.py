"""How long a speaker's sound has to wait so that nearly every packet is there at its turn.

A packet's *transit* is the time of its arrival less its timestamp, in samples from an arbitrary start; only
differences mean anything. Sound that is played at *offset* plays timestamp t at time t + offset.
"""

from collections import deque
from math import inf

from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES

MIN_WAIT_SAMPLES = TICK_SAMPLES + 768
"""A tick, because a packet may come just after the one that would have taken it, and 16 ms: so much later than the
quickest packets are, now and then, on any line, and to follow each time would be heard more than to wait."""
MAX_WAIT_SAMPLES = SAMPLE_RATE_HZ // 2
_WINDOW_PACKETS = 250  # 5 s of 20 ms packets
_SPARE_SAMPLES = TICK_SAMPLES + 192  # beyond the slowest packet: a tick, and 4 ms for what has not been seen yet
_LATE_SHARE = 0.01
_WORTH_SAMPLES = 1_920  # each packet that is left to come late has to save 40 ms for all the others
_BURST_SAMPLES = 96  # what comes within 2 ms was held up together and counts once
_RECOUNT_PACKETS = 5
_LOSS_SMOOTHING = 1 / 500
_LOSSY = 0.001
"""The share of lost packets, smoothed over 10 s, from which it pays to wait for the next packet's FEC."""


class TargetDelay:
    """The offset to play at, learnt from the transits of the last 5 s."""

    def __init__(self) -> None:
        self.jitter_samples = 0.0
        self._transits: deque[float] = deque(maxlen=_WINDOW_PACKETS)
        self._last: float | None = None
        self._last_arrival = -inf
        self._quickest = 0.0
        self._slow = 0.0
        self._count = 0
        self._loss = 0.0
        self._packet_samples = TICK_SAMPLES

    def add(self, arrival: float, timestamp: int, packet_samples: int) -> None:
        """Take a packet that came in order or not, by itself, for the first time."""
        transit = arrival - timestamp
        if self._last is not None:  # the interarrival jitter of RFC 3550, 6.4.1
            change = min(abs(transit - self._last), float(SAMPLE_RATE_HZ))
            self.jitter_samples += (change - self.jitter_samples) / 16
        self._last = transit
        self._packet_samples = packet_samples
        self._loss -= self._loss * _LOSS_SMOOTHING
        if arrival - self._last_arrival < _BURST_SAMPLES and self._transits:
            self._transits[-1] = max(self._transits[-1], transit)
        else:
            self._transits.append(transit)
        self._last_arrival = arrival
        self._count += 1
        if self._count % _RECOUNT_PACKETS == 0 or self._count < 2 * _RECOUNT_PACKETS:
            self._recount()

    def lost(self) -> None:
        """Note a packet that was not there at its turn."""
        self._loss += (1.0 - self._loss) * _LOSS_SMOOTHING

    @property
    def quickest(self) -> float:
        """Return the least transit: what the line takes at best."""
        return self._quickest

    @property
    def offset(self) -> float:
        """Return the offset at which all are there but what is too slow to wait for, and FEC where packets are lost."""
        wait = max(float(MIN_WAIT_SAMPLES), self._slow - self._quickest + _SPARE_SAMPLES)
        if self._loss > _LOSSY:
            wait += self._packet_samples
        return self._quickest + min(wait, MAX_WAIT_SAMPLES)

    def _recount(self) -> None:
        ordered = sorted(self._transits)
        self._quickest = ordered[0]
        may_be_late = range(int(_LATE_SHARE * len(ordered)) + 1)
        self._slow = ordered[-1 - max(may_be_late, key=lambda late: -ordered[-1 - late] - late * _WORTH_SAMPLES)]
