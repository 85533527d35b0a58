"""Who came to a room at this edge, who left, and why: sums since the edge began."""

from functools import cache
from typing import TypeVar

from prometheus_client import Counter, Histogram

from stentor.edge.metrics import CUTS, JOIN, JOINS, LEAVES, Leave


class Tally:
    """The joins, leaves and cuts of one room, by transport: ``push``, ``progressive`` or ``hls``.

    Held by whoever takes listeners on. Sums only grow, so that a reader sees what happened between two looks. Those
    of a rehearsal (room/permits) are in the metrics alone, by a transport of their own: they are no audience.
    ``sent_bytes`` are those of blocks.
    """

    __slots__ = ("cuts", "joins", "leaves", "sent_bytes")

    def __init__(self) -> None:
        self.joins: dict[str, int] = {}
        self.leaves: dict[str, dict[str, int]] = {}
        self.cuts: dict[str, dict[str, int]] = {}
        self.sent_bytes = 0

    def joined(self, transport: str, *, rehearsal: bool = False) -> None:
        """Note that somebody began to listen."""
        if rehearsal:
            _child(JOINS, f"rehearsal-{transport}").inc()
            return
        self.joins[transport] = self.joins.get(transport, 0) + 1
        _child(JOINS, transport).inc()

    def left(self, transport: str, reason: Leave, count: int = 1, *, rehearsal: bool = False) -> None:
        """Note that somebody listens no more."""
        if rehearsal:
            _child(LEAVES, f"rehearsal-{transport}", reason.value).inc(count)
            return
        reasons = (self.cuts if reason in CUTS else self.leaves).setdefault(transport, {})
        reasons[reason.value] = reasons.get(reason.value, 0) + count
        _child(LEAVES, transport, reason.value).inc(count)

    @staticmethod
    def first_sound(transport: str, seconds: float) -> None:
        """Note how long after its connection was accepted a listener was written the first sound."""
        _child(JOIN, transport).observe(seconds)


M = TypeVar("M", Counter, Histogram)


@cache
def _child(metric: M, *labels: str) -> M:
    """Return a metric's child; looking it up anew costs a join as much as parsing its request."""
    return metric.labels(*labels)
