"""All doors of an edge: which rooms have one, and what edges and the leader say of them on the bus.

A room has a door while its own dials, the installation's or the ladder say so and it is not over. Each half second
every door's report goes out; words and the other edges' reports come in. Nothing is awaited on the way of a listener:
while the bus is away, doors go by what they know.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from stentor.bus.port import Bus, Document, door_report_subject
from stentor.clock import NS_PER_S, Clock
from stentor.edge.door import RoomDoor
from stentor.edge.door_below import DoorsBelow
from stentor.edge.door_leader import BUCKET, LEASE_KEY, DoorLeader, Led
from stentor.edge.installation import Installation
from stentor.edge.metrics import DOOR_INSIDE, DOOR_WAITING, DROPPED
from stentor.edge.room import Room
from stentor.edge.tickets import Tickets
from stentor.room.door_words import REPORT_NS, DoorReport, DoorWord
from stentor.room.installation import InstallationDocument
from stentor.room.ladder import RATE
from stentor.room.states import RoomState
from stentor.telemetry import logger

WORDS, REPORTS = "door.*.word", "door.*.report"
_SAMPLE_EVERY = 5
_OVER = (RoomState.ENDED, RoomState.PUBLISHED)

log = logger("edge")

D = TypeVar("D", DoorWord, DoorReport)


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """``key`` is the secret that edges share.

    ``leads``: this edge may lead the doors. An edge behind an edge may not, it writes no documents. ``reports``: it is
    heard; where it is not, it lets nobody into a room with a door.
    """

    key: bytes
    leads: bool = True
    reports: bool = True


class DoorDesk:
    """Holds the doors; ``edge`` is this edge's name, ``below`` the edges that feed themselves from it."""

    def __init__(
        self, edge: str, bus: Bus, clock: Clock, installation: Installation, below: DoorsBelow, settings: DoorSettings
    ) -> None:
        self._tickets = Tickets(settings.key)
        self._settings = settings
        self._below = below
        self._edge = edge
        self._bus = bus
        self._clock = clock
        self._installation = installation
        self._wall_ns = clock.wall_ns() - clock.monotonic_ns()
        self._started_ns = self.now()
        self._rooms: dict[str, Room] = {}
        self._doors: dict[str, RoomDoor] = {}
        self._some = asyncio.Event()
        self._ticks = 0
        self._leader = DoorLeader(edge, bus, clock, self)
        installation.changed(self._look_at_all)

    def now(self) -> int:
        """Return the door's time: Unix nanoseconds that never go back while this edge runs."""
        return self._wall_ns + self._clock.monotonic_ns()

    # Which rooms have a door.

    def look(self, room: Room) -> None:
        """Set a room's door up or take it away, as its document and the installation say."""
        self._rooms[room.document.room] = room
        wanted = self._guarded(room)
        if wanted and room.door is None:
            room.door = self._doors.get(room.document.room) or self._made(room)
            room.door.adopt()
            log.info("door_set_up", room=room.document.room)
        elif not wanted and room.door is not None:
            room.door.release()
            room.door = None
            self._below.door_gone(room.document.room)
            log.info("door_taken_away", room=room.document.room)
        if wanted:
            self._some.set()

    def gone(self, room: Room) -> None:
        """Forget a room that is no longer."""
        self._rooms.pop(room.document.room, None)
        self._doors.pop(room.document.room, None)
        room.door = None

    def _guarded(self, room: Room) -> bool:
        document, all_rooms = room.document, self._installation.document
        some = document.door.guarded or all_rooms.door.guarded or all_rooms.ladder.step >= RATE
        return some and document.state not in _OVER

    def _made(self, room: Room) -> RoomDoor:
        door = RoomDoor(room, self._edge, self._started_ns, self._tickets, self._settings.key, self.now)
        door.shut = not self._settings.reports
        self._doors[door.room] = door
        return door

    def _look_at_all(self, _document: InstallationDocument) -> None:
        for room in tuple(self._rooms.values()):
            self.look(room)

    # What the leader asks (door_leader.Desk).

    @property
    def document(self) -> InstallationDocument:
        """Return what holds for the installation."""
        return self._installation.document

    def led(self) -> Iterable[Led]:
        """Return the rooms that have a door."""
        for room in self._rooms.values():
            if room.door is not None:
                yield Led(room.document.room, room.document.door, room.is_open, room.door.rules.word)

    def joins(self) -> int:
        """Return how many have begun to listen to any room, at all edges, since they began."""
        return sum(room.audience.joins_anywhere() for room in self._rooms.values())

    def hear_word(self, word: DoorWord, payload: bytes) -> None:
        """Follow a word, the own leader's or another's."""
        room = self._rooms.get(word.room)
        if room is not None and room.door is not None and room.door.take_word(word):
            self._below.word_heard(word.room, payload)

    def sample(self) -> None:
        """Note how many have come so far; to be called once a second."""
        self._ticks += 1
        if self._settings.leads and self._ticks % _SAMPLE_EVERY == 0:
            self._leader.sample()

    async def hand_over(self) -> None:
        """Lead no more: this edge stops."""
        await self._leader.hand_over()

    # The bus.

    def take_word(self, _subject: str, payload: bytes) -> None:
        """Take a word from the bus."""
        word = _parse(DoorWord, payload)
        if word is not None:
            self.hear_word(word, payload)

    def take_report(self, _subject: str, payload: bytes) -> None:
        """Take an edge's report from the bus."""
        report = _parse(DoorReport, payload)
        room = self._rooms.get(report.room) if report is not None else None
        if report is None or room is None or room.door is None or report.edge == self._edge:
            return
        room.door.take_report(report)
        self._below.report_heard(report.room, payload)
        self._leader.take_report(report)

    async def watch(self) -> None:
        """Follow the stored words and the lease for ever."""
        async for document in self._bus.watch(BUCKET):
            if document is not None:
                self._take_document(document)

    def _take_document(self, document: Document) -> None:
        self._leader.see(document)
        if document.key != LEASE_KEY and document.value is not None:
            self.take_word(document.key, document.value)

    async def run(self) -> None:
        """Say each half second how the doors stand here, and lead them all if that falls to this edge."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watch())
            if self._settings.leads:
                tasks.create_task(self._leader.run(self._some))
            while True:
                await self._some.wait()
                await self._tick()
                await self._clock.sleep(REPORT_NS / NS_PER_S)

    async def _tick(self) -> None:
        doors = [room.door for room in self._rooms.values() if room.door is not None]
        if not doors:
            self._some.clear()
        for door in doors:
            report = door.tick()
            if report is not None:
                self._leader.take_report(report)
                payload = report.to_bytes()
                self._below.report_heard(door.room, payload)
                await self._bus.publish(door_report_subject(door.room), payload)
        words = [door.rules.word for door in doors]
        DOOR_INSIDE.set(sum(door.inside for door in doors))
        DOOR_WAITING.set(sum(word.waiting for word in words if word is not None))


def _parse(kind: type[D], payload: bytes) -> D | None:
    try:
        return kind.model_validate_json(payload)
    except ValidationError:
        DROPPED.labels("garbled").inc()
        return None
