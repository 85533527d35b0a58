"""Who leads the doors of an installation: one of its edges, by a lease in the bus (rules: room/door_share).

The lease is a document that the leader writes anew each half second over the revision it knows. Whoever has seen it
unchanged for 2 s takes it with the next term. A leader that cannot write it says nothing more from that moment; one
that was stopped finds the revision moved on when it wakes. Words are stored the same way: a word that gives away more
than any stored one is stored before anybody hears it, so the next leader knows of it, and a leader of an earlier term
cannot store any.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pydantic import ValidationError

from stentor.bus.port import Bus, Document, door_word_subject
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.metrics import DOOR_LEADS, DOOR_TAKEOVERS
from stentor.errors import BusUnavailable
from stentor.room.documents import Dials
from stentor.room.door_share import Leaders
from stentor.room.door_words import REPORT_NS, DoorReport, DoorWord
from stentor.room.installation import InstallationDocument
from stentor.room.ladder import RATE, ladder_dials
from stentor.telemetry import RateLimitedLog, logger

BUCKET = "doors"
LEASE_KEY = "_leader"
"""No room can be called so."""
SILENT_NS = 2 * NS_PER_S
_STORE_EVERY_NS = NS_PER_S
_LATELY_S = 60
_HAND_OVER_S = 0.3

log = logger("edge")


class Led(NamedTuple):
    """A room that has a door: its own dials, and the newest word heard here."""

    room: str
    dials: Dials
    is_open: bool
    word: DoorWord | None


class Desk(Protocol):
    """What the leader asks of the edge that it runs in."""

    @property
    def document(self) -> InstallationDocument:
        """Return what holds for the installation."""
        ...

    def now(self) -> int:
        """Return the door's time."""
        ...

    def led(self) -> Iterable[Led]:
        """Return the rooms that have a door."""
        ...

    def joins(self) -> int:
        """Return how many have begun to listen to any room, at all edges, since they began."""
        ...

    def hear_word(self, word: DoorWord, payload: bytes) -> None:
        """Follow a word, also as it is on the bus."""
        ...


@dataclass(slots=True)
class _Seen:
    """A document as this edge knows it, and since when."""

    value: bytes | None
    revision: int
    at: MonotonicNs


@dataclass(slots=True)
class _Tenure:
    """One term of this edge: what it leads, and what it wrote."""

    term: int
    leaders: Leaders
    followed: dict[str, tuple[Dials, bool]] = field(default_factory=dict)
    stored_at: dict[str, int] = field(default_factory=dict)
    installation: Dials | None = None


class DoorLeader:
    """Takes the lease when it is free, and leads while it holds it."""

    def __init__(self, edge: str, bus: Bus, clock: Clock, desk: Desk) -> None:
        self._edge = edge
        self._run = secrets.token_hex(8)
        self._bus = bus
        self._clock = clock
        self._desk = desk
        self._seen: dict[str, _Seen] = {}
        self._tenure: _Tenure | None = None
        self._joins: deque[tuple[MonotonicNs, int]] = deque()
        self._lately: float | None = None
        self._stops = False
        self._away = RateLimitedLog(log, "door_leader_cannot_write", clock, period_s=10.0)

    @property
    def term(self) -> int | None:
        """Return the term in which this edge leads, None while it does not."""
        return self._tenure.term if self._tenure is not None else None

    def see(self, document: Document) -> None:
        """Take a document of the bucket from the watch."""
        self._note(document.key, document.value, document.revision)

    def _note(self, key: str, value: bytes | None, revision: int) -> None:
        known = self._seen.get(key)
        if known is None or revision > known.revision:
            self._seen[key] = _Seen(value, revision, self._clock.monotonic_ns())

    def take_report(self, report: DoorReport) -> None:
        """Hear an edge, this one as well."""
        if self._tenure is not None:
            self._tenure.leaders.take_report(report, self._desk.now())

    def sample(self) -> None:
        """Note how many have come so far; call it each few seconds."""
        now = self._clock.monotonic_ns()
        self._joins.append((now, self._desk.joins()))
        while now - self._joins[0][0] > _LATELY_S * NS_PER_S:
            self._joins.popleft()

    async def run(self, some: asyncio.Event) -> None:
        """Lead for ever, whenever ``some`` room has a door and nobody else leads."""
        while True:
            if self._tenure is None:
                await some.wait()
            try:
                await self._turn()
            except BusUnavailable as error:
                self._away.note(error.detail)
            DOOR_LEADS.set(self._tenure is not None)
            await self._clock.sleep(REPORT_NS / NS_PER_S)

    async def hand_over(self) -> None:
        """Let go of the lease and lead no more: this edge stops, and another one need not wait for 2 s."""
        self._stops = True
        tenure, self._tenure = self._tenure, None
        if tenure is not None:
            try:
                async with asyncio.timeout(_HAND_OVER_S):
                    await self._write(LEASE_KEY, _Lease(self._edge, self._run, tenure.term, 0).to_bytes())
            except (BusUnavailable, TimeoutError):
                return

    async def _turn(self) -> None:
        if self._stops:
            return
        rooms = list(self._desk.led())
        if not rooms:
            await self._resign()
        elif await self._holds_lease() and self._tenure is not None:
            await self._lead(self._tenure, rooms)

    # The lease.

    async def _holds_lease(self) -> bool:
        """Write the lease anew, or take it where it is free; return whether it is ours."""
        lease = self._seen.get(LEASE_KEY)
        said = _lease(lease)
        if self._tenure is not None and (said.run, said.term) != (self._run, self._tenure.term):
            self._lose(said)
        silent = lease is None or self._clock.monotonic_ns() - lease.at >= SILENT_NS or not said.at_ns
        if self._tenure is None and not silent:
            return False
        term = self._tenure.term if self._tenure is not None else said.term + 1
        if not await self._write(LEASE_KEY, _Lease(self._edge, self._run, term, self._desk.now()).to_bytes()):
            return False
        if self._tenure is None:
            self._tenure = _Tenure(term, Leaders(self._edge, term, draw_salt=_draw_salt))
            DOOR_TAKEOVERS.inc()
            log.info("door_leader_here", term=term, before=said.edge)
        return True

    async def _write(self, key: str, value: bytes) -> bool:
        """Store a document over what is known of it; False when it has moved on, and what it is now is known then."""
        seen = self._seen.get(key)
        if seen is None or seen.value is None:
            revision = await self._bus.create(BUCKET, key, value)
        else:
            revision = await self._bus.update(BUCKET, key, value, revision=seen.revision)
        if revision is not None:
            self._note(key, value, revision)
            return True
        await self._look(key)
        return False

    async def _look(self, key: str) -> bytes | None:
        document = await self._bus.get(BUCKET, key)
        if document is not None:
            self._note(key, document.value, document.revision)
        return document.value if document is not None else None

    def _lose(self, to: "_Lease") -> None:
        self._tenure = None
        log.info("door_leader_elsewhere", term=to.term, edge=to.edge)

    async def _resign(self) -> None:
        """Let go of a lease that nobody needs: no room has a door."""
        tenure, self._tenure = self._tenure, None
        if tenure is None:
            return
        for room in tenure.followed:
            await self._bus.delete(BUCKET, room)
        await self._write(LEASE_KEY, _Lease(self._edge, self._run, tenure.term, 0).to_bytes())

    # Leading.

    async def _lead(self, tenure: _Tenure, rooms: list[Led]) -> None:
        now = self._desk.now()
        dials = self._in_force(rooms)
        if dials != tenure.installation:
            tenure.leaders.installation(dials)
            tenure.installation = dials
        for led in rooms:
            await self._follow(tenure, led)
        for room in tenure.followed.keys() - {led.room for led in rooms}:
            tenure.leaders.forget(room)
            del tenure.followed[room]
            await self._bus.delete(BUCKET, room)
        async with asyncio.TaskGroup() as saying:
            for word, must_store in tenure.leaders.tick(now):
                saying.create_task(self._say(tenure, word, must_store=must_store))

    async def _follow(self, tenure: _Tenure, led: Led) -> None:
        """Lead a room by its present dials, the first time from the last word that was stored."""
        wanted = (led.dials, led.is_open)
        if tenure.followed.get(led.room) == wanted:
            return
        stored = _word(await self._look(led.room)) if led.room not in tenure.followed else None
        tenure.leaders.follow(led.room, led.dials, is_open=led.is_open, now_ns=self._desk.now(), stored=stored)
        tenure.followed[led.room] = wanted

    async def _say(self, tenure: _Tenure, word: DoorWord, *, must_store: bool) -> None:
        """Store a word if that is due, and tell everybody."""
        payload = word.to_bytes()
        must_store = must_store or word.room not in tenure.stored_at
        if must_store or word.at_ns - tenure.stored_at[word.room] >= _STORE_EVERY_NS:
            try:
                if await self._write(word.room, payload):
                    tenure.stored_at[word.room] = word.at_ns
                    tenure.leaders.stored(word)
                elif must_store:
                    self._not_stored(tenure, word)
                    return
            except BusUnavailable as error:
                self._away.note(error.detail, room=word.room)
                return
        await self._bus.publish(door_word_subject(word.room), payload)
        self._desk.hear_word(word, payload)

    def _not_stored(self, tenure: _Tenure, word: DoorWord) -> None:
        """Begin a room anew from what somebody else has stored, perhaps a leader of an earlier term at its last."""
        if word.room not in tenure.stored_at and tenure.followed.pop(word.room, None) is not None:
            tenure.leaders.forget(word.room)

    def _in_force(self, rooms: list[Led]) -> Dials:
        """Return the installation's dials as the ladder leaves them."""
        document = self._desk.document
        step = document.ladder.step
        if step < RATE:
            self._lately = None
            return document.door
        if self._lately is None:
            self._lately = self._joins_per_s()
        inside = sum(led.word.inside for led in rooms if led.word is not None)
        return ladder_dials(step, document.door, self._lately, inside)

    def _joins_per_s(self) -> float:
        if len(self._joins) < 2:
            return 0.0
        (since, before), (until, after) = self._joins[0], self._joins[-1]
        return max(0, after - before) / max(1.0, (until - since) / NS_PER_S)


class _Lease(NamedTuple):
    """What the lease says. ``run`` tells this run of an edge from all others; ``at_ns`` 0: it has been let go."""

    edge: str = ""
    run: str = ""
    term: int = 0
    at_ns: int = 0

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(self._asdict()).encode()


def _lease(seen: _Seen | None) -> _Lease:
    if seen is None or seen.value is None:
        return _Lease()
    try:
        said = json.loads(seen.value)
        return _Lease(str(said["edge"]), str(said["run"]), int(said["term"]), int(said["at_ns"]))
    except (ValueError, KeyError, TypeError):
        return _Lease()


def _word(value: bytes | None) -> DoorWord | None:
    try:
        return DoorWord.model_validate_json(value) if value else None
    except ValidationError:
        return None


def _draw_salt() -> str:
    return secrets.token_hex(16)
