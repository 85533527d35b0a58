"""The rooms that this edge knows: control's documents, the origins' words and the other edges' counts."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from pydantic import ValidationError

from stentor.bus.port import Bus, Document, live_audience_subject
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.audience import Audience
from stentor.edge.metrics import BY_BEACON, DROPPED, LISTENERS, REHEARSAL
from stentor.edge.replay_port import ReplayDesk
from stentor.edge.room import Room, Surroundings
from stentor.errors import BadRequest, NotFound, StentorError
from stentor.media.rendition import RenditionName
from stentor.room.documents import AudienceReport, RoomDocument, StageDocument
from stentor.room.ids import room_id
from stentor.room.ladder import SLOW_S, is_slower
from stentor.room.states import RoomState
from stentor.telemetry import logger

REPORT_EVERY_NS = 2 * NS_PER_S
PING_EVERY_NS = 60 * NS_PER_S
PONG_WITHIN_NS = 15 * NS_PER_S
STAGES, AUDIENCES = "live.*.stage", "live.*.audience"

log = logger("edge")

D = TypeVar("D", RoomDocument, StageDocument, AudienceReport)


class Rooms:
    """All rooms but drafts, which are nobody's business."""

    def __init__(self, name: str, around: Surroundings, replay: ReplayDesk | None) -> None:
        self._name = name
        self._around = around
        self._bus: Bus = around.bus
        self._clock: Clock = around.clock
        self._replay = replay
        self._rooms: dict[str, Room] = {}
        self._stages: dict[str, StageDocument] = {}
        self._started_ns = self._clock.wall_ns()
        self._next_report = MonotonicNs(0)
        self._next_ping = MonotonicNs(self._clock.monotonic_ns() + PING_EVERY_NS)
        self._pongs_due: MonotonicNs | None = None
        self._asking: dict[str, MonotonicNs] = {}
        self.synced = False
        self.downstream = around.downstream
        self.downstream.rooms = self
        self.look_at_door: Callable[[Room], None] = _leave_open
        self.forget_door: Callable[[Room], None] = _leave_open

    def get(self, text: str) -> Room:
        """Return a room; raises NotFound, and also for an address that no room can have."""
        try:
            room = self._rooms.get(room_id(text))
        except BadRequest:
            room = None
        if room is None:
            raise NotFound("There is no such room on this server.", slug="no-such-room")
        return room

    def all(self) -> list[Room]:
        """Return the rooms, in the order of their addresses."""
        return [self._rooms[key] for key in sorted(self._rooms)]

    async def watch_rooms(self) -> None:
        """Follow control's documents for ever."""
        async for document in self._bus.watch("rooms"):
            if document is None:
                self.synced = True
            else:
                self._take_room(document)

    async def watch_stages(self) -> None:
        """Follow the origins' documents for ever."""
        await _each(self._bus.watch("stages"), self._take_stage_document)

    def _take_room(self, document: Document) -> None:
        parsed = None if document.value is None else _parse(RoomDocument, document.value)
        if document.value is not None and parsed is None:
            return
        room = self._rooms.get(document.key)
        if parsed is None or parsed.state is RoomState.DRAFT:
            self._stages.pop(document.key, None)
            self.downstream.room_changed(document.key, None)
            if room is not None:
                del self._rooms[document.key]
                room.remove()
                self.forget_door(room)
            return
        self.downstream.room_changed(document.key, parsed)
        if room is None:
            audience = Audience(self._name, started_ns=self._started_ns)
            room = self._rooms[document.key] = Room(parsed, self._around, audience)
            stage = self._stages.get(document.key)
            if stage is not None:
                room.set_stage(stage)
        else:
            log.info("room_changed", room=document.key, state=str(parsed.state))
            room.set_document(parsed)
        self.look_at_door(room)

    def _take_stage_document(self, document: Document) -> None:
        if document.value is None:
            self._stages.pop(document.key, None)
        else:
            self.take_stage(document.key, document.value)

    def take_stage(self, _subject: str, payload: bytes) -> None:
        """Take an origin's word, live or from the bucket."""
        stage = _parse(StageDocument, payload)
        if stage is None:
            return
        self._stages[stage.room] = stage
        self.downstream.stage_changed(stage)
        room = self._rooms.get(stage.room)
        if room is not None:
            room.set_stage(stage)

    def take_report(self, subject: str, payload: bytes) -> None:
        """Take another edge's count."""
        report = _parse(AudienceReport, payload)
        room = self._rooms.get(subject.split(".")[1])
        if report is None or room is None:
            return
        self.downstream.report_heard(room.document.room, report)
        if report.edge != self._name:
            room.audience.note_report(report, self._clock.monotonic_ns())

    # What the edges below ask (downstream.Upper).

    def begin(self, room: str, name: RenditionName) -> None:
        """Begin to relay a rendition if nobody has asked before. Raises NotFound or Conflict."""
        self.get(room).program(name)

    def counts(self) -> dict[str, int]:
        """Return how many listen to each room, at all edges."""
        return {key: room.listeners() for key, room in self._rooms.items()}

    async def tick(self) -> None:
        """Do what is due once a second."""
        now = self._clock.monotonic_ns()
        await self.downstream.tick()
        for room in self.all():
            room.tick()
            if room.replay_wanted and self._replay is not None and now >= self._asking.get(room.document.room, 0):
                self._asking[room.document.room] = MonotonicNs(now + 2 * NS_PER_S)
                self._around.spawn(self._ask_replay(room, self._replay))
        here = [room.by_transport() for room in self._rooms.values()]
        for transport in ("push", "progressive", "hls"):
            LISTENERS.labels(transport).set(sum(counts[transport] for counts in here))
        REHEARSAL.set(sum(room.rehearsal() for room in self._rooms.values()))
        BY_BEACON.set(sum(room.audience.by_beacon() for room in self._rooms.values()))
        if now >= self._next_ping:
            self._next_ping = MonotonicNs(now + PING_EVERY_NS)
            self._pongs_due = MonotonicNs(now + PONG_WITHIN_NS)
            for room in self.all():
                room.ping()
        if self._pongs_due is not None and now >= self._pongs_due:
            self._pongs_due = None
            for room in self.all():
                room.cut_silent()
        if now >= self._next_report:
            every_ns = int(SLOW_S * NS_PER_S) if is_slower(self._around.ladder()) else REPORT_EVERY_NS
            self._next_report = MonotonicNs(now + every_ns)
            await self._report(every_ns / NS_PER_S)

    async def _report(self, every_s: float) -> None:
        for room in self.all():
            by_transport = room.by_transport()
            rehearsal = room.rehearsal()
            some = any(by_transport.values()) or rehearsal > 0 or not room.audience.idle
            if some or room.reported:
                report = room.audience.report(by_transport, room.block_steps, rehearsal, every_s)
                await self._bus.publish(live_audience_subject(room.document.room), report.to_bytes())
            room.reported = some

    async def _ask_replay(self, room: Room, replay: ReplayDesk) -> None:
        room.replay_wanted = False
        try:
            room.set_replay(await replay.summary(room.document.room))
        except StentorError as error:
            log.warning("replay_summary_failed", room=room.document.room, why=error.detail)


async def _each(documents: AsyncIterator[Document | None], take: Callable[[Document], None]) -> None:
    async for document in documents:
        if document is not None:
            take(document)


def _parse(kind: type[D], payload: bytes) -> D | None:
    try:
        return kind.model_validate_json(payload)
    except ValidationError:
        DROPPED.labels("garbled").inc()
        return None


def _leave_open(_room: Room) -> None:
    """Leave a room without a door."""
