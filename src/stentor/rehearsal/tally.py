"""What one worker counts, and the sum of what all count. Everything but gauges only grows."""

from collections import Counter

from pydantic import BaseModel, ConfigDict

from stentor.rehearsal.histogram import Histogram

GAUGES = ("waiting", "inside", "playing", "wires")
SPREADS = ("connect_ms", "ticket_ms", "wait_s", "join_ms", "latency_push_ms", "latency_hls_ms", "back_ms", "late_ms")
"""What is measured of each listener.

Connecting with TLS; a ticket from the question to the answer; in line from coming to being let in; from being let in to
the first sound; how old the sound is that is heard; from the cut to sound again; how late the generator itself was.
"""


class Counts(BaseModel):
    """A tally as it is told: sums since the worker began, gauges of the moment, distributions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sums: dict[str, float] = {}
    gauges: dict[str, int] = {}
    spreads: dict[str, dict[str, int]] = {}


class Tally:
    """Counts of one worker, or of all together (``merged``).

    Sums: ``arrived``, ``admitted``, ``played`` (heard something), ``came_back``, ``asks`` (tickets asked for),
    ``requests``, ``blocks``, ``stalls``, ``stall_ms``, ``played_ms``, ``worse`` (positions that got worse), ``bytes``;
    ``status.N`` of responses, ``close.N`` of the push, ``failed.WORD`` of connections, ``gave_up.WORD`` of listeners.
    """

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.gauges: Counter[str] = Counter()
        self.spreads = {name: Histogram() for name in SPREADS}
        self.estimates = Histogram()

    def counts(self) -> Counts:
        """Return everything, to be told."""
        return Counts(
            sums={name: round(value, 3) for name, value in self.sums.items()},
            gauges=dict(self.gauges),
            spreads={name: each.to_json() for name, each in self._all().items() if len(each)},
        )

    def add(self, counts: Counts) -> None:
        """Add what another one told."""
        self.sums.update(counts.sums)
        self.gauges.update(counts.gauges)
        known = self._all()
        for name, told in counts.spreads.items():
            if name in known:
                known[name].merge(Histogram(told))

    def _all(self) -> dict[str, Histogram]:
        return {**self.spreads, "estimate": self.estimates}

    def named(self, prefix: str) -> dict[str, int]:
        """Return the sums whose names begin so, without that beginning."""
        return {name.removeprefix(prefix): int(count) for name, count in self.sums.items() if name.startswith(prefix)}


def merged(told: list[Counts]) -> Tally:
    """Return the sum of what several told."""
    tally = Tally()
    for counts in told:
        tally.add(counts)
    return tally
