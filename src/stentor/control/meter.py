"""The crowd-or-attack meter, merged over the edges (room/crowd_meter): what it shows, and as a table to keep."""

import csv
import io
from collections import Counter, deque
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from stentor.bus.port import Core, meter_subject
from stentor.clock import NS_PER_S, Clock, UnixNs, iso_utc
from stentor.room.crowd_meter import MINUTE_S, SHOWN, MeterReport, MinuteSums, merged
from stentor.room.installation import Challenge
from stentor.telemetry import logger

HISTORY_MINUTES = 180
_EDGE_NS = 20 * NS_PER_S
_MAX_EDGES = 1_000
_MAX_ROOMS = 1_000
_LOUDEST = 20
_LATELY_MINUTES = 2

log = logger("control")


class MinuteOut(BaseModel):
    """Who arrived within one minute; an address counts once, whoever is behind it."""

    at: Annotated[str, Field(description="When the minute began.")]
    arrivals: int
    people: int
    not_people: int
    early: Annotated[int, Field(description="Too early to say, or too little was asked for.")]
    requests: int
    refused: Annotated[int, Field(description="Requests that were over an address's budget.")]
    did: Annotated[dict[str, int], Field(description="How many loaded the page, asked for state, for a ticket, …")]
    lacks: Annotated[dict[str, int], Field(description="How many of those who are no people have never done it.")]


class NetworkOut(BaseModel):
    """A network (IPv4 /24, IPv6 /48) that asks much."""

    network: str
    requests_per_s: float
    refused_per_s: float


class CrowdMeterOut(BaseModel):
    """The meter: like people or not, and by what evidence. It counts arrivals, not those who are here already."""

    people_percent: Annotated[int | None, Field(description="Of those who came lately and were judged; null: none.")]
    lately: Annotated[MinuteOut, Field(description="The last minute that is whole and the present one, together.")]
    history: Annotated[list[MinuteOut], Field(description="Each minute, the newest last; 3 hours at most.")]
    networks: Annotated[list[NetworkOut], Field(description="Who asks most now, over all rooms.")]
    agents: Annotated[
        dict[str, int], Field(description="What arrivals say they are, of the last 3 minutes (User-Agent).")
    ]
    challenge: Annotated[Challenge, Field(description="When newcomers are asked for a proof of work.")]
    challenged: Annotated[
        bool, Field(description="Whether every newcomer is asked for one at the moment, at any edge.")
    ]
    requests_per_s: float
    refused_per_s: float
    cut_per_s: Annotated[float, Field(description="Connections cut as they came, before they said anything.")]


class CrowdMeters:
    """What the edges' meters say; kept for three hours, and lost with this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reports: dict[str, MeterReport] = {}
        self._minutes: dict[str, dict[tuple[str, int], MinuteSums]] = {}
        self._order: deque[tuple[str, str, int]] = deque()

    def take(self, report: MeterReport) -> None:
        """Take an edge's newest word."""
        if report.edge not in self._reports and len(self._reports) >= _MAX_EDGES:
            return
        self._reports[report.edge] = report
        for room, said in report.rooms.items():
            if room not in self._minutes and len(self._minutes) >= _MAX_ROOMS:
                continue
            kept = self._minutes.setdefault(room, {})
            for minute in said.minutes:
                key = (report.edge, minute.at_s)
                if key not in kept:
                    self._order.append((room, *key))
                kept[key] = minute
        self._forget()

    def _forget(self) -> None:
        oldest_s = self._clock.wall_ns() // NS_PER_S - HISTORY_MINUTES * MINUTE_S
        while self._order and self._order[0][2] < oldest_s:
            room, edge, at_s = self._order.popleft()
            kept = self._minutes[room]
            del kept[edge, at_s]
            if not kept:
                del self._minutes[room]
        for edge in [edge for edge, said in self._reports.items() if said.at_ns < oldest_s * NS_PER_S]:
            del self._reports[edge]

    def minutes(self, room: str) -> list[MinuteSums]:
        """Return each minute's sums of a room, with those who have asked for no room at all."""
        return merged([*self._minutes.get(room, {}).values(), *self._minutes.get("", {}).values()])

    def shown(self, room: str, challenge: Challenge) -> CrowdMeterOut:
        """Return the meter of a room as the API shows it."""
        living = [each for each in self._reports.values() if each.at_ns > self._clock.wall_ns() - _EDGE_NS]
        history = self.minutes(room)
        since_s = self._clock.wall_ns() // NS_PER_S // MINUTE_S * MINUTE_S - (_LATELY_MINUTES - 1) * MINUTE_S
        lately = [minute.model_copy(update={"at_s": since_s}) for minute in history if minute.at_s >= since_s]
        together = merged(lately)[0] if lately else MinuteSums(at_s=since_s)
        judged = together.people + together.not_people
        return CrowdMeterOut(
            people_percent=round(100 * together.people / judged) if judged else None,
            lately=_minute(together),
            history=[_minute(minute) for minute in history],
            networks=_networks(living),
            agents=_agents(living, room),
            challenge=challenge,
            challenged=any(report.challenged for report in living),
            requests_per_s=round(sum(report.requests_per_s for report in living), 1),
            refused_per_s=round(sum(report.refused_per_s for report in living), 1),
            cut_per_s=round(sum(report.cut_per_s for report in living), 1),
        )

    async def run(self, bus: Core) -> None:
        """Listen to the edges for ever."""
        async with bus.subscribe(meter_subject("*"), self._hear):
            while True:
                await self._clock.sleep(MINUTE_S)

    def _hear(self, _subject: str, payload: bytes) -> None:
        try:
            self.take(MeterReport.model_validate_json(payload))
        except ValidationError as error:
            log.warning("meter_garbled", errors=error.error_count())


def _minute(minute: MinuteSums) -> MinuteOut:
    return MinuteOut(at=iso_utc(UnixNs(minute.at_s * NS_PER_S)), **minute.model_dump(exclude={"at_s"}))


def _networks(living: Iterable[MeterReport]) -> list[NetworkOut]:
    asked: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for report in living:
        for network, requests, over in report.networks:
            asked[network] += requests
            refused[network] += over
    return [
        NetworkOut(network=network, requests_per_s=round(count / 5, 1), refused_per_s=round(refused[network] / 5, 1))
        for network, count in asked.most_common(_LOUDEST)
    ]


def _agents(living: Iterable[MeterReport], room: str) -> dict[str, int]:
    agents: Counter[str] = Counter()
    for report in living:
        for name in (room, ""):
            if name in report.rooms:
                agents.update(report.rooms[name].agents)
    return dict(agents.most_common(_LOUDEST))


def as_csv(minutes: Iterable[MinuteSums]) -> str:
    """Return each minute as a row of a table (RFC 4180)."""
    file = io.StringIO()
    table = csv.writer(file)
    plain = ("arrivals", "people", "not_people", "early", "requests", "refused")
    table.writerow(["minute", *plain, *(f"did_{word}" for word in SHOWN), *(f"lacks_{word}" for word in SHOWN)])
    for minute in minutes:
        counts = [getattr(minute, name) for name in plain]
        words = [which.get(word, 0) for which in (minute.did, minute.lacks) for word in SHOWN]
        table.writerow([iso_utc(UnixNs(minute.at_s * NS_PER_S)), *counts, *words])
    return file.getvalue()
