"""Distributions that many workers add up: counts of values, each exact to 2.5 %."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

_GROWTH = math.log(1.05)


class Histogram:
    """Counts of values in buckets whose bounds grow by 5 %; what is 0 or less counts as 0."""

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts: Counter[int] = Counter({int(bucket): count for bucket, count in (counts or {}).items()})

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[round(math.log(value) / _GROWTH) if value > 0.001 else -1_000] += 1

    def merge(self, other: Histogram) -> None:
        """Add another distribution to this one."""
        self._counts.update(other._counts)

    def __len__(self) -> int:
        return self._counts.total()

    def at(self, share: float) -> float | None:
        """Return the value that ``share`` (0 to 1) of the values do not exceed; None of nothing."""
        wanted = share * len(self)
        if not wanted:
            return None
        below = 0
        for bucket in sorted(self._counts):
            below += self._counts[bucket]
            if below >= wanted:
                break
        return _value(bucket)

    def share_above(self, limit: float) -> float:
        """Return which share of the values exceeds ``limit``; 0 of nothing."""
        above = sum(count for bucket, count in self._counts.items() if _value(bucket) > limit)
        return above / len(self) if len(self) else 0.0

    def curve(self) -> list[tuple[float, float]]:
        """Return (value, share of all that do not exceed it), ascending: what is drawn."""
        points, below = [], 0
        for bucket in sorted(self._counts):
            below += self._counts[bucket]
            points.append((_value(bucket), below / len(self)))
        return points

    def to_json(self) -> dict[str, int]:
        """Return the counts, for the constructor."""
        return {str(bucket): count for bucket, count in sorted(self._counts.items())}


def _value(bucket: int) -> float:
    return 0.0 if bucket == -1_000 else math.exp(bucket * _GROWTH)
