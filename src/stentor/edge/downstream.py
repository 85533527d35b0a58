"""The edges that feed themselves from this one: ``GET /relay`` (docs/design.md, "Edge behind edge").

A relay is one WebSocket of another edge. It is told every room that the public may know, who is on stage, who listens
elsewhere, and the chunks that it subscribes to: the same ones, in the same order, as this edge's own listeners get.
Only what state.json says anyway goes down. What comes up is believed only of a relay that has proven the relay key.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from stentor.bus.port import (
    Core,
    live_audience_subject,
    live_chunk_subject,
    live_stage_subject,
    load_subject,
    meter_subject,
)
from stentor.bus.upstream_key import SCHEME, Gate, challenge
from stentor.bus.upstream_wire import VERSION, Kind, pack, pack_numbered, unpack, unpack_after, unpack_numbered
from stentor.bus.wire import encode_chunk
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.below import Below
from stentor.edge.connection import Connection
from stentor.edge.door_below import DoorsBelow
from stentor.edge.http import Request, Response, problem
from stentor.edge.relay import HISTORY_SEGMENTS
from stentor.edge.websocket import CloseCode, Opcode, accept, frame
from stentor.errors import BadRequest, MediaError, StentorError, Unauthenticated, Unavailable
from stentor.media.chunk import Chunk
from stentor.media.grid import STEPS_PER_SEGMENT, Segment, first_step, segment_of
from stentor.media.rendition import RenditionName
from stentor.room.crowd_meter import MeterReport
from stentor.room.documents import AudienceReport, RoomDocument, StageDocument
from stentor.room.hands import HandAsk
from stentor.room.ladder import LoadReport
from stentor.telemetry import logger

MAX_RELAYS = 64
_MAX_STREAMS, _MAX_PUBLIC_STREAMS = 1_024, 8
_MAX_REPORTS_A_TICK = 4_096
_MAX_ASKS, _MAX_PUBLIC_ASKS = 64, 4
_ASK_S = 3.0
_MAX_LISTENERS = 100_000_000
_SILENT_NS = 10 * NS_PER_S
_STAGE_EVERY_NS = NS_PER_S
_COUNTS_EVERY_TICKS = 2
_RENDITIONS = frozenset(str(name) for name in RenditionName)

Key = tuple[str, RenditionName]

_relays_now = Gauge("stentor_edge_relays_count", "Edges that feed themselves from this one.")
_streams_now = Gauge("stentor_edge_relay_streams_count", "Chunk streams (room and rendition) that these edges take.")
_refused = Counter("stentor_edge_refused_relays", "Edges that were not let in.", ["why"])

log = logger("edge")


class Upper(Protocol):
    """What the relays ask of this edge's rooms."""

    synced: bool

    def begin(self, room: str, name: RenditionName) -> None:
        """Begin to relay a rendition if nobody has asked before. Raises StentorError when the room is not open."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many listen to each room, at all edges."""
        ...


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """``key``: what relays must prove, empty for none; ``public``: how many may come without, at a time."""

    key: str = ""
    public: int = 0


class Feed:
    """The chunks of one rendition for relays: an output of the edge's own relay, and what a new one begins with."""

    def __init__(self, key: Key, downstream: "Downstream") -> None:
        self.key = key
        self.history: deque[Chunk] = deque(maxlen=(HISTORY_SEGMENTS + 1) * STEPS_PER_SEGMENT)
        self.caught_up = False
        self._downstream = downstream

    def past(self, after: int) -> list[Chunk]:
        """Return what is held after a step, from the beginning of a segment on, as an edge itself begins."""
        if not self.history:
            return []
        oldest = first_step(Segment(max(0, segment_of(self.history[-1].step) - HISTORY_SEGMENTS)))
        return [chunk for chunk in self.history if chunk.step > after and chunk.step >= oldest]

    def take(self, chunk: Chunk) -> None:
        """Give out the next chunk."""
        self.history.append(chunk)
        self._downstream.give(self, chunk)

    def ready(self) -> None:
        """Say that the past has been said."""
        self.caught_up = True
        self._downstream.say_caught_up(self)

    def finish(self) -> None:
        """Let go of the chunks; relays see by the room's document that it has ended."""
        self._downstream.forget(self)


class Downstream:
    """All relays of this edge."""

    def __init__(self, core: Core, clock: Clock, settings: RelaySettings) -> None:
        self.rooms: Upper
        self.spawn: Callable[[Coroutine[object, object, None]], None]
        self.why_not_ready: Callable[[], str] = str
        self._core = core
        self._clock = clock
        self._settings = settings
        self._gate = Gate(settings.key)
        self._relays: set[Below] = set()
        self._documents: dict[str, bytes] = {}
        self._stages: dict[str, tuple[StageDocument, MonotonicNs, bytes]] = {}
        self._feeds: dict[Key, Feed] = {}
        self._wanted: dict[Key, set[Below]] = {}
        self._reports: list[tuple[str, AudienceReport]] = []
        self._own: list[tuple[str, bytes]] = []
        self._ticks = 0
        self.doors = DoorsBelow(core, self._tell)

    # A relay comes and goes.

    def join(self, connection: Connection, request: Request) -> Response | None:
        """Take a relay on, or answer with a challenge. Raises StentorError."""
        if request.method != "GET" or request.query.get("version") != VERSION:
            raise BadRequest(f"A relay speaks version {VERSION}, with GET.")
        header = request.headers.get("authorization", "")
        edge = self._gate.admits(header, self._clock.wall_ns())
        if edge is None and (header or not self._settings.public):
            return self._challenge(header)
        if not self.rooms.synced:
            raise Unavailable("This edge does not know the rooms yet.")
        public = sum(not relay.trusted for relay in self._relays)
        if len(self._relays) >= MAX_RELAYS or (edge is None and public >= self._settings.public):
            _refused.labels("full").inc()
            raise Unavailable("As many edges as may feed themselves from this one do so.")
        head = accept(request.headers)
        relay = Below(connection, self, edge, self._clock.monotonic_ns())
        connection.keep(head, lambda: self._lost(relay), relay)
        self._relays.add(relay)
        _relays_now.set(len(self._relays))
        log.info("relay_joined", edge=edge or "without a key", address=connection.address)
        stages = (said for room, (_, _, said) in self._stages.items() if f"rooms/{room}" in self._documents)
        doors = self.doors.said(trusted=relay.trusted)
        said = (*self._documents.values(), *stages, doors, _say(Kind.COMPLETE), self._status())
        relay.send(b"".join(said), burst=True)
        return None

    def _challenge(self, header: str) -> Response:
        if header.strip().lower() != SCHEME.lower():
            _refused.labels("key").inc()
        nonce = challenge(self._settings.key, self._clock.wall_ns())
        error = Unauthenticated("Only an edge that holds the relay key may feed itself from here.")
        wanted = f'{SCHEME} nonce="{nonce}"' if self._settings.key else SCHEME
        return problem(error, extra_headers={"WWW-Authenticate": wanted})

    def _lost(self, relay: Below) -> None:
        self._relays.discard(relay)
        _relays_now.set(len(self._relays))
        for key in tuple(relay.after):
            self._drop(relay, key)
        log.info("relay_left", edge=relay.edge or "without a key")

    def drain(self) -> None:
        """Send every relay elsewhere."""
        for relay in tuple(self._relays):
            relay.hang_up(CloseCode.GOING_AWAY, "retry=0")

    # What goes down.

    def feed(self, room: str, name: RenditionName) -> Feed:
        """Return the output of a rendition that this edge begins to relay."""
        feed = self._feeds[room, name] = Feed((room, name), self)
        return feed

    def forget(self, feed: Feed) -> None:
        """Let go of a rendition that has ended."""
        if self._feeds.get(feed.key) is feed:
            del self._feeds[feed.key]

    def give(self, feed: Feed, chunk: Chunk) -> None:
        """Send a chunk to the relays that have not got it."""
        relays = self._wanted.get(feed.key)
        if not relays or self._feeds.get(feed.key) is not feed:
            return
        said = _chunk(chunk)
        for relay in tuple(relays):
            if chunk.step > relay.after[feed.key]:
                relay.send(said)

    def say_caught_up(self, feed: Feed) -> None:
        """Tell the relays that what they get from now on is live."""
        for relay in tuple(self._wanted.get(feed.key, ())):
            relay.send(_say(Kind.CAUGHT_UP, live_chunk_subject(*feed.key)))

    def room_changed(self, key: str, document: RoomDocument | None) -> None:
        """Tell the relays of a room that the public may know of, or may no longer."""
        name = f"rooms/{key}"
        if document is None:
            self._stages.pop(key, None)
            if self._documents.pop(name, None) is not None:
                self._tell(_say(Kind.GONE, f"stages/{key}") + _say(Kind.GONE, name))
            return
        self._documents[name] = _say(Kind.DOCUMENT, name, document.to_bytes())
        self._tell(self._documents[name])

    def stage_changed(self, stage: StageDocument) -> None:
        """Tell the relays what the public may know of a stage: when that changes, and once a second."""
        public, now = public_stage(stage), self._clock.monotonic_ns()
        last = self._stages.get(stage.room)
        if last is not None and now - last[1] < _STAGE_EVERY_NS and public.model_copy(update=_when(last[0])) == last[0]:
            return
        payload = public.to_bytes()
        self._stages[stage.room] = (public, now, _say(Kind.DOCUMENT, f"stages/{stage.room}", payload))
        if f"rooms/{stage.room}" in self._documents:
            self._tell(_say(Kind.MESSAGE, live_stage_subject(stage.room), payload))

    def report_heard(self, room: str, report: AudienceReport) -> None:
        """Pass on how many listen at another edge, or at this one, to the relays that are trusted with its name."""
        if self._relays and f"rooms/{room}" in self._documents:
            self._tell(_say(Kind.MESSAGE, live_audience_subject(room), report.to_bytes()), trusted=True)

    def _tell(self, said: bytes, *, trusted: bool | None = None) -> None:
        for relay in tuple(self._relays):
            if trusted is None or relay.trusted is trusted:
                relay.send(said)

    def _status(self) -> bytes:
        return _say(Kind.STATUS, "", self.why_not_ready().encode())

    async def tick(self) -> None:
        """Do what is due once a second: say how we are, pass on counts, cut whoever is silent."""
        now = self._clock.monotonic_ns()
        self._ticks += 1
        for relay in tuple(self._relays):
            if now - relay.heard_at > _SILENT_NS:
                relay.cut()
        self._tell(self._status())
        for key in [key for key, relays in self._wanted.items() if relays and key not in self._feeds]:
            self._begin(key)
        if self._ticks % _COUNTS_EVERY_TICKS == 0 and any(not relay.trusted for relay in self._relays):
            for room, listeners in self.rooms.counts().items():
                report = AudienceReport(edge="above", listeners=listeners)
                self._tell(_say(Kind.MESSAGE, live_audience_subject(room), report.to_bytes()), trusted=False)
        reports, self._reports = self._reports, []
        for room, report in reports:
            await self._core.publish(live_audience_subject(room), report.to_bytes())
        own, self._own = self._own, []
        for subject, payload in own:
            await self._core.publish(subject, payload)

    # What comes up (below.Taken).

    def taken(self, relay: Below, message: bytes) -> None:
        """Take what a relay says. Raises MediaError for what is no message."""
        if relay not in self._relays:
            return  # cut, and this was still on its way
        kind, name, payload = unpack(message)
        relay.heard_at = self._clock.monotonic_ns()
        if kind is Kind.ALIVE:
            return
        match name.split("."):
            case ["live", room, "chunk", text] if kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE) and text in _RENDITIONS:
                key = (room, RenditionName(text))
                self._drop(relay, key)
                if kind is Kind.SUBSCRIBE:
                    self._subscribe(relay, key, unpack_after(payload))
            case ["live", room, "audience"] if kind is Kind.MESSAGE and relay.trusted:
                self._take_report(room, payload)
            case ["load" | "meter" as what, _] if kind is Kind.MESSAGE and relay.trusted:
                self._take_own(what, payload)
            case ["door", room, "report"] if kind is Kind.MESSAGE and relay.trusted:
                self.doors.take_report(room, payload)
            case ["control", room, "hand"] if kind is Kind.ASK:
                self._take_ask(relay, name, room, *unpack_numbered(payload))
            case _:
                raise MediaError(f"A relay may not say {kind.name} {name}.")

    def _subscribe(self, relay: Below, key: Key, after: int) -> None:
        most = _MAX_STREAMS if relay.trusted else _MAX_PUBLIC_STREAMS
        if f"rooms/{key[0]}" not in self._documents or len(relay.after) >= most:
            return
        relay.after[key] = after
        self._wanted.setdefault(key, set()).add(relay)
        _streams_now.inc()
        if key not in self._feeds:
            self._begin(key)
        feed = self._feeds.get(key)
        if feed is not None:
            past = [_chunk(chunk) for chunk in feed.past(after)]
            mark = _say(Kind.CAUGHT_UP, live_chunk_subject(*key)) if feed.caught_up else b""
            relay.send(b"".join(past) + mark, burst=True)

    def _begin(self, key: Key) -> None:
        try:
            self.rooms.begin(*key)
        except StentorError as error:
            log.debug("relay_waits_for_room", room=key[0], why=error.detail)

    def _drop(self, relay: Below, key: Key) -> None:
        if relay.after.pop(key, None) is None:
            return
        _streams_now.dec()
        self._wanted[key].discard(relay)
        if not self._wanted[key]:
            del self._wanted[key]

    def _take_ask(self, relay: Below, subject: str, room: str, number: int, payload: bytes) -> None:
        """Pass a listener's hand on. Where a relay without the key says that it comes from is not believed."""
        try:
            ask = HandAsk.model_validate_json(payload)
        except ValidationError as error:
            raise MediaError("What a relay asks about a hand cannot be read.") from error
        if f"rooms/{room}" not in self._documents or relay.asking >= (_MAX_ASKS if relay.trusted else _MAX_PUBLIC_ASKS):
            relay.send(_say(Kind.ANSWER, payload=pack_numbered(number, b"")))
            return
        relay.asking += 1
        if not relay.trusted:
            ask = ask.model_copy(update={"source": "a public relay"})
        self.spawn(self._ask(relay, subject, number, ask))

    async def _ask(self, relay: Below, subject: str, number: int, ask: HandAsk) -> None:
        try:
            answer = await self._core.request(subject, ask.to_bytes(), timeout_s=_ASK_S)
        except StentorError:
            answer = b""
        relay.asking -= 1
        if relay in self._relays:
            relay.send(_say(Kind.ANSWER, payload=pack_numbered(number, answer)))

    def _take_report(self, room: str, payload: bytes) -> None:
        try:
            report = AudienceReport.model_validate_json(payload)
        except ValidationError as error:
            raise MediaError("An audience report of a relay cannot be read.") from error
        within = 0 <= report.listeners <= _MAX_LISTENERS and len(self._reports) < _MAX_REPORTS_A_TICK
        if within and f"rooms/{room}" in self._documents:
            self._reports.append((room, report))

    def _take_own(self, what: str, payload: bytes) -> None:
        """Pass on what an edge below says of itself: how busy it is, and who arrives."""
        subject = load_subject if what == "load" else meter_subject
        try:
            report = (LoadReport if what == "load" else MeterReport).model_validate_json(payload)
        except ValidationError as error:
            raise MediaError(f"What a relay says of its {what} cannot be read.") from error
        if len(self._own) < _MAX_REPORTS_A_TICK:
            self._own.append((subject(report.edge), report.to_bytes()))


def public_stage(stage: StageDocument) -> StageDocument:
    """Return of a stage what state.json says: who is there, who speaks, who is muted; no levels, no absent people."""
    people = tuple(
        person.model_copy(
            update={"muted_by": person.muted_by and "self", "heard": False, "level_dbfs": -90.0}
            | ({"speaking": False} if person.muted_by else {})
        )
        for person in stage.people
        if person.connected
    )
    return StageDocument(room=stage.room, epoch=stage.epoch, at_ns=stage.at_ns, on_air=stage.on_air, people=people)


def _when(stage: StageDocument) -> dict[str, int]:
    return {"at_ns": stage.at_ns}


def _chunk(chunk: Chunk) -> bytes:
    return _say(Kind.MESSAGE, live_chunk_subject(chunk.room, chunk.rendition), encode_chunk(chunk))


def _say(kind: Kind, name: str = "", payload: bytes = b"") -> bytes:
    return frame(Opcode.BINARY, pack(kind, name, payload))
