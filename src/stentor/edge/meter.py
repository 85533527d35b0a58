"""Gathers for the crowd-or-attack meter (room/crowd_meter): a sample of who arrives, judged again every few seconds.

Of each minute's new addresses a random 512 are looked at, and stand for all; nothing of them leaves the edge but sums
and networks.
"""

import random
from collections import Counter, deque
from dataclasses import dataclass, field

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.buckets import Buckets, Source, Standing
from stentor.room.crowd_meter import LISTENED_S, MINUTE_S, Alarm, Arrival, Did, MeterReport, MinuteSums, RoomMeter, sums

REPORT_S = 5
_SAMPLE = 512
_MINUTES = 3
_LOUDEST = 20
_AGENTS = 20
_LISTENED_NS = LISTENED_S * NS_PER_S


@dataclass(slots=True)
class _Cohort:
    """Who was new in one minute: how many, and a fair sample of them."""

    at_s: int
    arrivals: int = 0
    sample: list[Source] = field(default_factory=list)

    def add(self, source: Source) -> None:
        self.arrivals += 1
        if len(self.sample) < _SAMPLE:
            self.sample.append(source)
        else:
            at = int(random.random() * self.arrivals)  # noqa: S311 - a sample, no secret
            if at < _SAMPLE:
                self.sample[at] = source


class Meter:
    """The meter of one edge. ``requests``, ``refused`` and ``cut`` are counted here in passing."""

    def __init__(self, edge: str, clock: Clock, buckets: Buckets) -> None:
        self.requests = self.refused = self.cut = 0
        self._edge = edge
        self._clock = clock
        self._buckets = buckets
        self._cohorts: deque[_Cohort] = deque(maxlen=_MINUTES)
        self._alarm = Alarm()
        self._reported = (clock.monotonic_ns(), 0, 0, 0)
        buckets.arrived = self._arrived

    @property
    def alarmed(self) -> bool:
        """Tell whether arrivals look so little like people that newcomers are to be challenged."""
        return self._alarm.on

    def _arrived(self, source: Source) -> None:
        if source.standing is not Standing.ORDINARY:
            return
        self._cohort().add(source)

    def _cohort(self) -> _Cohort:
        at_s = self._clock.wall_ns() // NS_PER_S // MINUTE_S * MINUTE_S
        if not self._cohorts or self._cohorts[-1].at_s != at_s:
            self._cohorts.append(_Cohort(at_s))
        return self._cohorts[-1]

    def report(self, *, challenged: bool) -> MeterReport:
        """Judge the last minutes' arrivals anew and return what to say of them."""
        self._cohort()
        now = self._clock.monotonic_ns()
        by_room: dict[str, list[MinuteSums]] = {}
        agents: dict[str, Counter[str]] = {}
        for cohort in self._cohorts:
            counted = cohort.arrivals / len(cohort.sample) if cohort.sample else 1.0
            rooms: dict[str, list[Arrival]] = {}
            for source in cohort.sample:
                if not source.did & Did.REHEARSED:
                    rooms.setdefault(source.room, []).append(_arrival(source, now))
                    agents.setdefault(source.room, Counter())[source.agent] += 1
            for room, arrivals in rooms.items():
                by_room.setdefault(room, []).append(sums(cohort.at_s, arrivals, counted))
        newest = self._cohorts[-1].at_s - MINUTE_S
        lately = [each for minutes in by_room.values() for each in minutes if each.at_s >= newest]
        self._alarm.note(lately, now / NS_PER_S)
        return self._said(now, by_room, agents, challenged=challenged)

    def _said(
        self,
        now: MonotonicNs,
        by_room: dict[str, list[MinuteSums]],
        agents: dict[str, Counter[str]],
        *,
        challenged: bool,
    ) -> MeterReport:
        since, *before = self._reported
        self._reported = (now, self.requests, self.refused, self.cut)
        seconds = max(1e-3, (now - since) / NS_PER_S)
        rates = [round((count - was) / seconds, 1) for count, was in zip(self._reported[1:], before, strict=True)]
        return MeterReport(
            edge=self._edge,
            at_ns=self._clock.wall_ns(),
            rooms={
                room: RoomMeter(minutes=tuple(minutes), agents=dict(agents[room].most_common(_AGENTS)))
                for room, minutes in by_room.items()
            },
            networks=tuple(self._buckets.loudest(_LOUDEST)),
            challenged=challenged,
            requests_per_s=rates[0],
            refused_per_s=rates[1],
            cut_per_s=rates[2],
        )


def _arrival(source: Source, now: MonotonicNs) -> Arrival:
    if source.listening and now - source.since >= _LISTENED_NS:
        source.did |= Did.LISTENED
    return Arrival((now - source.born) / NS_PER_S, source.did, source.asked, source.refused)
