"""From the bus to the staff's pages: what origins and edges say, and what control itself changes, as events.

Each open page has one bounded backlog. A page that does not read is cut, comes back and is told everything again.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from stentor.backlog import Backlog, WhenFull
from stentor.bus.port import Core, live_audience_subject, live_stage_subject
from stentor.clock import NS_PER_S, Clock
from stentor.control.crowd import Crowd
from stentor.room.documents import AudienceReport, Role, StageDocument
from stentor.room.stage import Action, allowed
from stentor.store.catalogue import Link
from stentor.telemetry import logger

_BACKLOG_EVENTS = 128
_BACKLOG_BYTES = 512 * 1024
_COMMENT_S = 10
_FORGET_STAGE_NS = 30 * NS_PER_S
_PRESENT_NS = 3 * NS_PER_S

STREAMS = Gauge("stentor_control_event_streams_count", "Pages of the staff that follow a room's events")
CUT = Counter("stentor_control_event_streams_cut_total", "Event streams ended because the page did not read")

log = logger("control")


@dataclass(eq=False, slots=True)
class Follower:
    """One page that follows a room."""

    room: str
    role: Role
    person: str
    session: str
    backlog: Backlog[bytes] = field(
        default_factory=lambda: Backlog(max_items=_BACKLOG_EVENTS, max_bytes=_BACKLOG_BYTES, when_full=WhenFull.REFUSE)
    )

    def tell(self, frame: bytes) -> None:
        """Queue a frame, or end the stream if its page does not read."""
        if not self.backlog.put(frame, len(frame)) and self.backlog.dropped:
            CUT.inc()
            self.backlog.close()

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield what this page is told until the stream ends."""
        async for frame in self.backlog:
            yield frame


def event(name: str, data: str) -> bytes:
    """Return a server-sent event (HTML Standard, 9.2); ``data`` is JSON on one line."""
    return f"event: {name}\ndata: {data}\n\n".encode()


class Hub:
    """Knows each room's stage and audience as last said, and tells the pages that follow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stages: dict[str, tuple[int, StageDocument]] = {}
        self.crowd = Crowd(clock)
        self._told: dict[str, str] = {}
        self._followers: dict[str, set[Follower]] = {}
        self._closed = False

    def stage(self, room: str) -> StageDocument | None:
        """Return what a room's origin said last, if it was in the last 30 s."""
        held = self._stages.get(room)
        return held[1] if held else None

    def present_stage(self, room: str) -> StageDocument | None:
        """Return what a room's origin said last, if it was in the last 3 s: origins speak at least once a second."""
        at_ns, stage = self._stages.get(room, (0, None))
        return stage if at_ns > self._clock.monotonic_ns() - _PRESENT_NS else None

    def rooms(self) -> set[str]:
        """Return the rooms in which somebody may be."""
        return set(self._stages) | set(self._followers)

    def following(self, room: str) -> set[str]:
        """Return whose pages follow a room."""
        return {follower.person for follower in self._followers.get(room, ())}

    def is_followed_by(self, room: str, role: Role) -> bool:
        """Tell whether somebody with a role has the room's page open."""
        return any(follower.role is role for follower in self._followers.get(room, ()))

    def change_role(self, link: Link) -> None:
        """Let a person's pages see what their new role may see."""
        for follower in self._followers.get(link.room or "", ()):
            if follower.person == link.link:
                follower.role = link.role

    def follow(self, follower: Follower) -> None:
        """Begin to tell a page, with the stage and the audience as they are."""
        self._followers.setdefault(follower.room, set()).add(follower)
        STREAMS.inc()
        stage = self.stage(follower.room)
        if stage is not None:
            follower.tell(event("stage", stage.model_dump_json()))
        audience = self.crowd.shown(follower.room).model_dump_json()
        self._told.setdefault(follower.room, audience)
        follower.tell(event("audience", audience))
        if self._closed:
            follower.backlog.close()

    def leave(self, follower: Follower) -> None:
        """Tell a page no more."""
        followers = self._followers.get(follower.room, set())
        if follower in followers:
            followers.remove(follower)
            STREAMS.dec()
        if not followers:
            self._followers.pop(follower.room, None)

    def tell_room(self, room: str, name: str, data: str) -> None:
        """Tell everybody who follows a room."""
        frame = event(name, data)
        for follower in self._followers.get(room, ()):
            follower.tell(frame)

    def tell_each(self, room: str, name: str, shown: Callable[[Follower], str]) -> None:
        """Tell everybody who follows a room what each may see (JSON)."""
        for follower in self._followers.get(room, ()):
            follower.tell(event(name, shown(follower)))

    def tell_link(self, link: Link, shown: dict[Role, str]) -> None:
        """Tell those who may see links, and the person; ``shown`` is the link's JSON as each role may see it."""
        for follower in self._followers.get(link.room or "", ()):
            may_see = allowed(follower.role, Action.READ_LINKS) or follower.person == link.link
            if may_see and follower.role in shown:
                follower.tell(event("link", shown[follower.role]))

    def end_sessions(self, link: Link, *, but: str | None, replaced: bool) -> None:
        """Tell a person's pages, except those of session ``but``, that they no longer count, and end them."""
        for follower in self._followers.get(link.room or "", ()):
            if follower.person == link.link and follower.session != but:
                follower.tell(event("session", json.dumps({"replaced": replaced})))
                follower.backlog.close()

    def forget_room(self, room: str) -> None:
        """End the streams of a room that is deleted."""
        for follower in self._followers.get(room, ()):
            follower.backlog.close()

    def close(self) -> None:
        """End every stream, now and from now on."""
        self._closed = True
        for followers in self._followers.values():
            for follower in followers:
                follower.backlog.close()

    async def run(self, bus: Core) -> None:
        """Listen to origins and edges, and keep streams alive, for ever."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(bus.subscribe(live_stage_subject("*"), self._hear_stage))
            await stack.enter_async_context(bus.subscribe(live_audience_subject("*"), self._hear_audience))
            seconds = 0
            while True:
                await self._clock.sleep(1)
                seconds += 1
                self._forget()
                self._tell_audiences()
                if seconds % _COMMENT_S == 0:
                    for followers in self._followers.values():
                        for follower in followers:
                            follower.tell(b": here\n\n")

    def _hear_stage(self, subject: str, payload: bytes) -> None:
        room = subject.split(".")[1]
        try:
            stage = StageDocument.model_validate_json(payload)
        except ValidationError as error:
            log.warning("stage_garbled", room=room, errors=error.error_count())
            return
        held = self.stage(room)
        if held is not None and stage.epoch < held.epoch:
            return
        self._stages[room] = (self._clock.monotonic_ns(), stage)
        self.tell_room(room, "stage", stage.model_dump_json())

    def _hear_audience(self, subject: str, payload: bytes) -> None:
        room = subject.split(".")[1]
        try:
            report = AudienceReport.model_validate_json(payload)
        except ValidationError as error:
            log.warning("audience_garbled", room=room, errors=error.error_count())
            return
        self.crowd.take(room, report)

    def _tell_audiences(self) -> None:
        """Tell each room's pages who listens, if that has changed, at most once a second."""
        self.crowd.tick()
        self._told = {room: told for room, told in self._told.items() if room in self._followers}
        for room in self._followers:
            said = self.crowd.shown(room).model_dump_json()
            if self._told.get(room) != said:
                self._told[room] = said
                self.tell_room(room, "audience", said)

    def _forget(self) -> None:
        """Forget stages that are too old to be true."""
        now = self._clock.monotonic_ns()
        for room in [room for room, (at, _) in self._stages.items() if at < now - _FORGET_STAGE_NS]:
            del self._stages[room]
