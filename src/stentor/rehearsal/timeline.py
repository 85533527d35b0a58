"""What was reported, second by second: the sums of all workers on one axis of wall time."""

from bisect import bisect_right
from dataclasses import dataclass, field

from stentor.rehearsal.orders import Report
from stentor.rehearsal.tally import Counts, Tally, merged

SERIES = ("arrived", "admitted", "played", "asks", "requests", "stalls", "came_back", "bytes")
"""Sums of which the timeline tells each second's growth."""
GAUGES = ("waiting", "inside", "playing")


@dataclass
class Timeline:
    """Reports by worker and second. ``silent`` are workers who were lost; what they told last is kept."""

    newest: dict[str, Report] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    _seconds: dict[str, list[tuple[int, dict[str, float]]]] = field(default_factory=dict)

    def take(self, report: Report) -> None:
        """Take a report; those of one worker come in order."""
        self.newest[report.worker] = report
        if not report.last:
            self.cpu.setdefault(report.worker, []).append(report.cpu)
        kept = {name: report.counts.sums.get(name, 0.0) for name in SERIES}
        kept |= {name: float(report.counts.gauges.get(name, 0)) for name in GAUGES}
        seconds = self._seconds.setdefault(report.worker, [])
        if seconds and seconds[-1][0] == report.wall_s:
            seconds.pop()
        seconds.append((report.wall_s, kept))

    def total(self) -> Tally:
        """Return the sum of the newest reports."""
        return merged([report.counts for report in self.newest.values()])

    def counts(self) -> Counts:
        """Return the same, as it is told."""
        return self.total().counts()

    @property
    def span(self) -> tuple[int, int]:
        """Return the first and last second that was told of; (0, 0) before any."""
        ends = [(seconds[0][0], seconds[-1][0]) for seconds in self._seconds.values() if seconds]
        return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else (0, 0)

    def series(self, name: str) -> list[float]:
        """Return a gauge, or the growth of a sum in each second, from the first second to the last."""
        first, last = self.span
        values = [self._at(name, second) for second in range(first, last + 1)]
        if name in GAUGES:
            return values
        return [max(0.0, later - earlier) for earlier, later in zip([0.0, *values[:-1]], values, strict=True)]

    def _at(self, name: str, second: int) -> float:
        total = 0.0
        for seconds in self._seconds.values():
            at = bisect_right(seconds, second, key=lambda each: each[0])
            total += seconds[at - 1][1].get(name, 0.0) if at else 0.0
        return total
