"""One room on its origin, from lobby to end: the tick that mixes, and the requests that change it.

One task ticks; it alone touches seats, mixer and program. Requests run on the same event loop between ticks, so
nothing is locked. The room ends when its document says so, when its writer is fenced, or when it is cancelled.

Who closes whom: ``run`` owns the task group. On the way out it closes every session, lets the writer drain, and
only then returns; the process (app) then closes mux and bus.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram
from pydantic import ValidationError

from stentor.bus.port import Bus
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.errors import NotFound
from stentor.media.grid import Step
from stentor.media.rendition import RENDITIONS
from stentor.media.rendition import thrifty as at_lower_bitrate
from stentor.origin.cast import Cast, OpenSession
from stentor.origin.log_writer import LogWriter
from stentor.origin.program import Program
from stentor.origin.publisher import Publisher
from stentor.origin.requests import serve_requests
from stentor.origin.stage_reporter import StageReporter
from stentor.origin.tenure import Tenure
from stentor.room.documents import EventKind, RoomDocument, RoomEvent, StageDocument
from stentor.room.installation import KEY, InstallationDocument
from stentor.room.ladder import is_thrifty
from stentor.room.requests import Announced, RingRead
from stentor.room.states import OPEN_STATES, RoomState
from stentor.telemetry import logger

TICK_NS = 20_000_000
TICKS_PER_STEP = 12
TICKS_PER_S = 50
DRAIN_S = 3.0

_log = logger("origin")
_TICK = Histogram(
    "stentor_origin_tick_seconds",
    "Work of one 20 ms tick",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.012, 0.016, 0.02, 0.05),
)
_LATENESS = Histogram(
    "stentor_origin_tick_late_seconds",
    "How long after it was due a 20 ms tick began",
    buckets=(0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25),
)
_LATE = Counter("stentor_origin_late_ticks_total", "Ticks that began more than 20 ms after they were due")
_GARBLED = Counter("stentor_origin_garbled_documents_total", "Documents of ours that could not be read")
_ON_AIR = Gauge("stentor_origin_on_air", "1 while voices go out")


@dataclass(frozen=True, slots=True)
class RoomParts:
    """What a live room is made of; app builds it.

    ``on_tick`` is called once, when what has to be caught up is done; ``receive`` before each tick: what has come is
    to be heard in it, however busy the loop was.
    """

    bus: Bus
    clock: Clock
    document: RoomDocument
    tenure: Tenure
    writer: LogWriter
    program: Program
    open_session: OpenSession
    on_tick: Callable[[], None] | None = None
    receive: Callable[[], None] | None = None


class LiveRoom:
    """Runs one epoch of one room."""

    def __init__(self, parts: RoomParts) -> None:
        """``parts.document.zero_ns`` must be set: control sets it when the doors open."""
        if parts.document.zero_ns is None:
            raise NotFound(f"Room {parts.document.room} has not opened its doors.", slug="not-open")
        self._parts = parts
        self._clock = parts.clock
        self._zero_ns = parts.document.zero_ns
        self.room = parts.document.room
        self._document = parts.document
        self._program = parts.program
        writer = parts.writer if parts.document.recorded else None
        self._publisher = Publisher(parts.bus, writer, self.room, parts.tenure.epoch)
        self._cast = Cast(parts.document, parts.open_session, parts.clock, on_change=self._roster_changed)
        self._reporter = StageReporter(parts.bus, self.room)
        self._logged_state: RoomState | None = None
        self._logged_thrifty = False
        self._on_air_ticks = 0

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Run until the room has ended; ``on_ready`` is called once requests are answered.

        Raises Fenced when another origin has taken the room.
        """
        async with AsyncExitStack() as stack:
            await serve_requests(self._parts.bus, self.room, self._cast, self, stack)
            on_ready()
            try:
                async with asyncio.TaskGroup() as group:
                    writing = group.create_task(self._parts.writer.run())
                    helpers = [
                        group.create_task(self._follow_document()),
                        group.create_task(self._follow_installation()),
                        group.create_task(self._reporter.run()),
                        group.create_task(self._cast.run()),
                    ]
                    await self._tick_until_ended()
                    for helper in helpers:
                        helper.cancel()
                    await self._parts.writer.drain(DRAIN_S)
                    writing.cancel()
            finally:
                await self._cast.close("the room has ended")

    async def _follow_document(self) -> None:
        async for change in self._parts.bus.watch("rooms"):
            if change is None or change.key != self.room or change.value is None:
                continue
            try:
                self._document = RoomDocument.model_validate_json(change.value)
                self._cast.follow(self._document)
            except ValidationError as error:
                _GARBLED.inc()
                _log.error("room_document_garbled", room=self.room, error=str(error))

    async def _follow_installation(self) -> None:
        """Have the bitrates that the ladder says (room/ladder); a document that is gone says the usual ones."""
        async for change in self._parts.bus.watch("installation"):
            if change is None or change.key != KEY:
                continue
            try:
                said = InstallationDocument.model_validate_json(change.value) if change.value else None
            except ValidationError as error:
                _GARBLED.inc()
                _log.error("installation_garbled", room=self.room, error=str(error))
                continue
            self._program.want_bitrate(thrifty=said is not None and is_thrifty(said.ladder))

    # --- the tick

    async def _tick_until_ended(self) -> None:
        mono_zero = self._clock.monotonic_ns() - (self._clock.wall_ns() - self._zero_ns)
        tick = (self._clock.monotonic_ns() - mono_zero) // TICK_NS
        program_starts = await self._begin_program(Step(tick // TICKS_PER_STEP + 1))
        if self._parts.on_tick is not None:
            self._parts.on_tick()
        while True:
            due = MonotonicNs(mono_zero + (tick + 1) * TICK_NS)
            await self._clock.sleep_until(due)
            late_ns = self._clock.monotonic_ns() - due
            _LATENESS.observe(late_ns / NS_PER_S)
            if late_ns > TICK_NS:
                _LATE.inc()
            ended = tick % TICKS_PER_STEP == 0 and self._document.state not in OPEN_STATES
            if ended and tick >= program_starts:
                break
            if self._parts.receive is not None:
                self._parts.receive()
            with _TICK.time():
                await self._one_tick(due, in_program=tick >= program_starts)
            tick += 1
            self._reporter.tick(self._shown)
        await self._finish(Step(tick // TICKS_PER_STEP))

    async def _begin_program(self, present: Step) -> int:
        """Fill the hole before the present step with marked silence; return the program's first tick."""
        first = self._parts.tenure.first_step
        if first < present:
            for chunk in self._program.fill(present):
                await self._publisher.chunk(chunk)
        self._log_event(EventKind.EPOCH, first)
        start = max(first, present)
        _log.info("program_begins", room=self.room, epoch=self._parts.tenure.epoch, step=start, filled=start - first)
        return start * TICKS_PER_STEP

    async def _one_tick(self, due: MonotonicNs, *, in_program: bool) -> None:
        mixed = self._cast.tick(due)
        if not in_program:
            return
        for chunk in self._program.tick(mixed, on_air=self._document.state is RoomState.LIVE):
            await self._publisher.chunk(chunk)
        self._on_air_ticks = self._on_air_ticks + 1 if self._program.on_air else 0
        _ON_AIR.set(self._program.on_air)
        shown_state = self._state_in_program()
        if shown_state is not self._logged_state:
            self._logged_state = shown_state
            self._log_event(EventKind.STATE, self._program.step, state=shown_state)
        if self._program.on_air and self._program.thrifty is not self._logged_thrifty:
            self._logged_thrifty = self._program.thrifty
            self._log_event(EventKind.BITRATE, self._program.thrifty_step, text=_bitrates(thrifty=self._logged_thrifty))

    def _state_in_program(self) -> RoomState:
        """Return the state as the program carries it: a wish becomes true on a step's boundary."""
        if self._program.on_air:
            return RoomState.LIVE
        if self._document.state in OPEN_STATES and self._document.state is not RoomState.LIVE:
            return self._document.state
        return self._logged_state or RoomState.LOBBY

    async def _finish(self, step: Step) -> None:
        for chunk in self._program.finish():
            await self._publisher.chunk(chunk)
        self._log_event(EventKind.STATE, step, state=RoomState.ENDED)
        await self._reporter.over(self._shown())
        _log.info("room_ended", room=self.room, step=step)

    # --- events and documents

    def _log_event(
        self, kind: EventKind, step: Step, *, state: RoomState | None = None, text: str | None = None
    ) -> None:
        people = tuple(person.name for person in self._cast.shown()) if kind is EventKind.ROSTER else ()
        self._publisher.event(
            RoomEvent(
                kind=kind,
                at_ns=self._clock.wall_ns(),
                step=step,
                epoch=self._parts.tenure.epoch,
                state=state,
                text=text,
                people=people,
            )
        )

    def _roster_changed(self) -> None:
        self._log_event(EventKind.ROSTER, self._program.step)

    def _shown(self) -> StageDocument:
        meter = self._cast.program_meter
        return StageDocument(
            room=self.room,
            epoch=self._parts.tenure.epoch,
            at_ns=self._clock.wall_ns(),
            on_air=self._program.on_air,
            people=self._cast.shown(),
            level_dbfs=round(meter.level_dbfs, 1),
            silent_s=round(min(meter.silent_s, self._on_air_ticks / TICKS_PER_S), 1),
        )

    # --- what control and edges ask (origin/requests)

    async def announced(self, asked: Announced) -> None:
        """Log an announcement; the room's document already shows it."""
        self._log_event(EventKind.ANNOUNCEMENT, self._program.step, text=asked.text)

    def ring(self, asked: RingRead) -> bytes:
        """Return recent chunks of a rendition."""
        return self._publisher.ring(asked)


def _bitrates(*, thrifty: bool) -> str:
    """Return what each rendition has, for people."""
    renditions = (at_lower_bitrate(each) if thrifty else each for each in RENDITIONS.values())
    return ", ".join(f"{each.name} {each.bitrate_bps // 1000} kbit/s" for each in renditions)
