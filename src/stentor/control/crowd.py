"""Who listens, as the edges report it: merged over edges, and what happened in the last five minutes.

Edges report sums since they began. What happened lately is the difference of two reports; an edge that begins anew
begins new sums, and what it had said before stays. Listeners of an edge that was killed have left without a word:
they leave the count when no report comes (7 s), and no leave is counted.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, Field

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.room.documents import JOIN_BOUNDS_MS, LATENCY_BOUNDS_MS, AudienceReport

SAMPLE_S = 10
WINDOW_S = 300
HISTORY_S = 600
_FORGET_NS = 3600 * NS_PER_S
_FIRST_NS = 10 * NS_PER_S
_MAX_EDGES = 1_000

Sums = Counter[tuple[str, ...]]
"""Sums of one edge: ("joins", transport), ("leaves" or "cuts", transport, reason), (what players say, transport, …)."""


class HeardOut(BaseModel):
    """What happened in the last `window_s` seconds, and what players said of themselves in that time."""

    joins: Annotated[int, Field(description="Listeners who came.")]
    leaves: Annotated[dict[str, int], Field(description="Listeners who left, by reason: left, server-stops, …")]
    cuts: Annotated[dict[str, int], Field(description="Listeners whom an edge cut, by reason: too-slow, no-pong, …")]
    join_ms_p50: Annotated[int | None, Field(description="From the click to sound: half of the players waited less.")]
    join_ms_p95: Annotated[int | None, Field(description="The same for 95 of 100 players.")]
    latency_ms_p50: Annotated[int | None, Field(description="From mouth to ear: half of the players have less.")]
    stall_ratio: Annotated[float | None, Field(description="Silence of stalls in all that was to be heard, 0 to 1.")]


class TransportOut(HeardOut):
    """One transport: push, hls or progressive."""

    listeners: int


class EdgeOut(BaseModel):
    """One edge that reported within 7 s."""

    edge: str
    listeners: int
    block_steps: Annotated[int, Field(description="Steps of 0.24 s that one block carries now.")]
    transports: dict[str, TransportOut]


class AudienceOut(HeardOut):
    """A room's audience, over all edges."""

    listeners: Annotated[int, Field(description="Who is connected, or asked for a playlist within 6 s.")]
    by_beacon: Annotated[int, Field(description="Players whom only their beacons show; not in `listeners`.")]
    rehearsal: Annotated[int, Field(description="Listeners that a rehearsal's generator made; in no other count.")]
    window_s: int = WINDOW_S
    history_s: Annotated[int, Field(description="Seconds between two numbers of `history`.")] = SAMPLE_S
    history: Annotated[list[int], Field(description="`listeners` and `by_beacon` together lately, the newest last.")]
    transports: dict[str, TransportOut]
    edges: list[EdgeOut]


@dataclass(slots=True)
class _Edge:
    """``past``: sums of its earlier lives. ``samples``: all sums, taken each 10 s; the first is the window's start."""

    report: AudienceReport
    at: MonotonicNs
    past: Sums = field(default_factory=Counter)
    samples: deque[Sums] = field(default_factory=lambda: deque(maxlen=WINDOW_S // SAMPLE_S + 1))

    def sums(self) -> Sums:
        return self.past + _sums(self.report)

    def recent(self) -> Sums:
        recent = self.sums()
        recent.subtract(self.samples[0])
        return recent


@dataclass(slots=True)
class _Room:
    edges: dict[str, _Edge] = field(default_factory=dict)
    history: deque[int] = field(default_factory=lambda: deque(maxlen=HISTORY_S // SAMPLE_S))


class Crowd:
    """What edges say of every room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic_ns()
        self._sampled = self._began
        self._rooms: dict[str, _Room] = {}

    def take(self, room: str, report: AudienceReport) -> None:
        """Take an edge's newest word."""
        now = self._clock.monotonic_ns()
        edges = self._rooms.setdefault(room, _Room()).edges
        edge = edges.get(report.edge)
        if edge is not None:
            if edge.report.started_ns != report.started_ns:
                edge.past = edge.sums()
            edge.report, edge.at = report, now
        elif len(edges) < _MAX_EDGES:
            edge = edges[report.edge] = _Edge(report, now)
            # What an edge says to a control that has only begun may be hours old, but for an edge that is young itself.
            young = self._clock.wall_ns() - report.started_ns < WINDOW_S * NS_PER_S
            edge.samples.append(Counter() if young or now - self._began > _FIRST_NS else _sums(report))

    def listeners(self, room: str) -> int:
        """Return how many listen, over all edges that reported within 7 s."""
        return sum(max(0, edge.report.listeners) for edge in self._living(room))

    def by_beacon(self, room: str) -> int:
        """Return how many listen whom only their beacons show; each edge says the same of all."""
        return max((edge.report.by_beacon for edge in self._living(room)), default=0)

    def shown(self, room: str) -> AudienceOut:
        """Return a room's audience as the API shows it."""
        living = sorted(self._living(room), key=lambda edge: edge.report.edge)
        known = self._rooms.get(room, _Room())
        total: Sums = sum((edge.recent() for edge in known.edges.values()), Counter())
        by_transport: Counter[str] = sum((_listeners(edge.report) for edge in living), Counter())
        return AudienceOut(
            **_heard(total).model_dump(),
            listeners=self.listeners(room),
            by_beacon=self.by_beacon(room),
            rehearsal=sum(max(0, edge.report.rehearsal) for edge in living),
            history=list(known.history),
            transports=_transports(by_transport, total),
            edges=[
                EdgeOut(
                    edge=edge.report.edge,
                    listeners=max(0, edge.report.listeners),
                    block_steps=edge.report.block_steps,
                    transports=_transports(_listeners(edge.report), edge.recent()),
                )
                for edge in living
            ],
        )

    def tick(self) -> None:
        """Take a sample each 10 s, and forget edges that have been silent for an hour."""
        now = self._clock.monotonic_ns()
        if now - self._sampled < SAMPLE_S * NS_PER_S:
            return
        self._sampled = now
        for name, room in list(self._rooms.items()):
            for edge in [edge for edge, known in room.edges.items() if known.at < now - _FORGET_NS]:
                del room.edges[edge]
            if not room.edges:
                del self._rooms[name]
                continue
            for known in room.edges.values():
                known.samples.append(known.sums())
            room.history.append(self.listeners(name) + self.by_beacon(name))

    def _living(self, room: str) -> list[_Edge]:
        now = self._clock.monotonic_ns()
        known = self._rooms.get(room)
        return [edge for edge in known.edges.values() if edge.at >= now - edge.report.good_for_ns] if known else []


def _listeners(report: AudienceReport) -> Counter[str]:
    return Counter({transport: count for transport, count in report.by_transport.items() if count > 0})


def _sums(report: AudienceReport) -> Sums:
    sums: Sums = Counter({("joins", transport): count for transport, count in report.joins.items()})
    for what, by_transport in (("leaves", report.leaves), ("cuts", report.cuts)):
        for transport, reasons in by_transport.items():
            sums.update({(what, transport, reason): count for reason, count in reasons.items()})
    for transport, players in report.players.items():
        sums.update({("stall_ms", transport): players.stall_ms, ("played_ms", transport): players.played_ms})
        sums.update({("join", transport, str(at)): count for at, count in enumerate(players.join)})
        sums.update({("latency", transport, str(at)): count for at, count in enumerate(players.latency)})
    return sums


def _transports(listeners: Counter[str], sums: Sums) -> dict[str, TransportOut]:
    """Return what is known of each transport of which anything is."""
    names = sorted(listeners.keys() | {key[1] for key, count in sums.items() if count > 0})
    return {
        name: TransportOut(
            listeners=listeners[name],
            **_heard(Counter({key: count for key, count in sums.items() if key[1] == name})).model_dump(),
        )
        for name in names
    }


def _heard(sums: Sums) -> HeardOut:
    stalled, played = _of(sums, "stall_ms"), _of(sums, "played_ms")
    join, latency = _histogram(sums, "join", len(JOIN_BOUNDS_MS)), _histogram(sums, "latency", len(LATENCY_BOUNDS_MS))
    return HeardOut(
        joins=_of(sums, "joins"),
        leaves=_reasons(sums, "leaves"),
        cuts=_reasons(sums, "cuts"),
        join_ms_p50=quantile(join, JOIN_BOUNDS_MS, 0.5),
        join_ms_p95=quantile(join, JOIN_BOUNDS_MS, 0.95),
        latency_ms_p50=quantile(latency, LATENCY_BOUNDS_MS, 0.5),
        stall_ratio=round(stalled / (stalled + played), 5) if stalled + played > 0 else None,
    )


def _of(sums: Sums, what: str) -> int:
    return sum(max(0, count) for key, count in sums.items() if key[0] == what)


def _reasons(sums: Sums, what: str) -> dict[str, int]:
    reasons: Counter[str] = Counter()
    for key, count in sums.items():
        if key[0] == what and count > 0:
            reasons[key[2]] += count
    return dict(sorted(reasons.items()))


def _histogram(sums: Sums, what: str, bounds: int) -> list[int]:
    counts = [0] * (bounds + 1)
    for key, count in sums.items():
        if key[0] == what and int(key[2]) <= bounds:
            counts[int(key[2])] += max(0, count)
    return counts


def quantile(counts: list[int], bounds: tuple[int, ...], share: float) -> int | None:
    """Return the value under which ``share`` of a histogram lies, None when it is empty.

    ``counts`` has one more than ``bounds``: what lies beyond the last bound is said to be that bound.
    """
    rank = share * sum(counts)
    if rank <= 0:
        return None
    below = 0
    for count, low, high in zip(counts, (0, *bounds), bounds, strict=False):
        if count and below + count >= rank:
            return round(low + (high - low) * (rank - below) / count)
        below += count
    return bounds[-1]
