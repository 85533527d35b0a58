"""Tells the world who is on stage: ``live.{room}.stage`` as it changes, bucket ``stages`` when the roster does."""

from collections.abc import Callable

from stentor.backlog import Backlog, WhenFull
from stentor.bus.port import Bus, live_stage_subject
from stentor.errors import BusUnavailable
from stentor.room.documents import StageDocument
from stentor.telemetry import logger

_FAST_TICKS = 10
_SLOW_TICKS = 50

_log = logger("origin")

_Roster = tuple[object, ...]


class StageReporter:
    """Reports at most five times a second, and at least once: the report is also the origin's heartbeat."""

    def __init__(self, bus: Bus, room: str) -> None:
        self._bus = bus
        self._room = room
        self._reports: Backlog[StageDocument] = Backlog(max_items=2, when_full=WhenFull.DROP_OLDEST)
        self._ticks = 0
        self._said: StageDocument | None = None
        self._stored: _Roster | None = None

    def tick(self, shown: Callable[[], StageDocument]) -> None:
        """Look whether a report is due; called once a tick, and cheap when none is."""
        self._ticks += 1
        if self._ticks % _FAST_TICKS:
            return
        document = shown()
        if self._ticks % _SLOW_TICKS == 0 or self._said is None or _visible(document) != _visible(self._said):
            self._said = document
            self._reports.put(document)

    async def run(self) -> None:
        """Send reports until cancelled."""
        async for document in self._reports:
            await self._send(document)

    async def over(self, document: StageDocument) -> None:
        """Send the last report."""
        await self._send(document)

    async def _send(self, document: StageDocument) -> None:
        await self._bus.publish(live_stage_subject(self._room), document.to_bytes())
        roster = _roster(document)
        if roster == self._stored:
            return
        try:
            await self._bus.put("stages", self._room, document.to_bytes())
            self._stored = roster
        except BusUnavailable:
            _log.warning("stage_not_stored", room=self._room)


def _roster(document: StageDocument) -> _Roster:
    people = tuple((p.person, p.name, p.role, p.connected, p.muted_by, p.heard) for p in document.people)
    return (document.epoch, document.on_air, people)


def _visible(document: StageDocument) -> _Roster:
    levels = tuple((p.speaking, round(p.level_dbfs / 3)) for p in document.people)
    return (_roster(document), levels, round(document.level_dbfs / 3), int(document.silent_s))
