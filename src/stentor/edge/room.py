"""One room at an edge: what is said about it, and its programs for those who listen."""

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from stentor.bus.port import Bus
from stentor.clock import NS_PER_S, Clock, MonotonicNs, iso_utc
from stentor.edge.audience import Audience
from stentor.edge.cadence import Cadence
from stentor.edge.door import NO_DOOR, RoomDoor
from stentor.edge.downstream import Downstream
from stentor.edge.fanout import Fanout
from stentor.edge.http import Limits
from stentor.edge.metrics import Leave
from stentor.edge.playback import Playback
from stentor.edge.progressive import Progressive
from stentor.edge.push import Push
from stentor.edge.relay import Output, Relay
from stentor.edge.state_json import Places, ladder_json, state_json, streams_json
from stentor.edge.websocket import CloseCode
from stentor.errors import Conflict
from stentor.media.grid import STEP_NS, Step
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.documents import RoomDocument, StageDocument
from stentor.room.installation import LadderWord
from stentor.room.ladder import SLOW_S, is_slower
from stentor.room.states import OPEN_STATES, RoomState

_QUIET_NS = NS_PER_S
_ENDING_NS = 5 * NS_PER_S
_KEEP_ENDED_NS = 600 * NS_PER_S
_STAGE_NS = 5 * NS_PER_S
"""An origin says at least once a second who is heard; after this silence nobody is."""
FRESH_NS = NS_PER_S // 2

Spawn = Callable[[Coroutine[object, object, None]], None]


@dataclass(slots=True)
class Program:
    """One rendition of a room and its ways out. MP3 has no fMP4, so neither playback nor push."""

    relay: Relay
    progressive: Progressive
    playback: Playback | None
    push: Push | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every room of an edge shares."""

    bus: Bus
    clock: Clock
    limits: Limits
    places: Places
    spawn: Spawn
    timed: Callable[[Output], Output]
    retry_spread_s: Callable[[], float] = lambda: 3.0
    ladder: Callable[[], LadderWord] = LadderWord
    downstream: Downstream = field(kw_only=True)


class Room:
    """A room that the public may know of. Made when control's document appears, gone when it is deleted."""

    def __init__(self, document: RoomDocument, around: Surroundings, audience: Audience) -> None:
        self.document = document
        self.stage: StageDocument | None = None
        self.replay: dict[str, object] | None = None
        self.replay_wanted = False
        self.audience = audience
        self.tally = audience.tally
        self.cadence = Cadence()
        self.reported = False
        self.door: RoomDoor | None = None
        self._around = around
        self._programs: dict[RenditionName, Program] = {}
        self._ending_since: MonotonicNs | None = None
        self._finished_at: MonotonicNs | None = None
        self._stage_at = MonotonicNs(0)
        self._told = ""
        self._told_at = MonotonicNs(0)
        self._told_urgent: object = None
        self._rendered = b""
        self._rendered_at = MonotonicNs(0)

    @property
    def is_open(self) -> bool:
        """Tell whether an origin runs the room and listeners are let in."""
        return self.document.state in OPEN_STATES and self.document.zero_ns is not None

    @property
    def is_over(self) -> bool:
        """Tell whether the room has ended and nothing of its program is left here."""
        return self.document.state in (RoomState.ENDED, RoomState.PUBLISHED) and not self._programs

    def program(self, name: RenditionName) -> Program:
        """Return a rendition's program; begin to relay it if nobody has asked before.

        Raises Conflict when the room is not open and nothing is left of its program.
        """
        program = self._programs.get(name)
        if program is not None:
            return program
        zero_ns = self.document.zero_ns
        if not self.is_open or zero_ns is None:
            raise Conflict(
                f"This room is {self.document.state}; state.json says when it opens, or where its replay is.",
                slug="room-not-open",
                state=str(self.document.state),
            )
        program = self._begin(name, zero_ns)
        self._programs[name] = program
        return program

    def _begin(self, name: RenditionName, zero_ns: int) -> Program:
        around, rendition = self._around, RENDITIONS[name]
        progressive = Progressive(rendition, self.cadence, self.tally)
        boxed = name is not RenditionName.MP3
        playback = Playback(rendition, zero_ns, around.limits) if boxed else None
        push = Push(rendition, zero_ns, self.cadence, self.tally) if boxed else None
        below = around.downstream.feed(self.document.room, name)
        outputs = [around.timed(output) for output in (playback, push, progressive, below) if output is not None]
        relay = Relay(self.document.room, rendition, zero_ns, around.bus, around.clock, outputs=outputs)
        if push is not None:
            push.set_state(b'{"type":"state",' + self._with_time(self._render_fields())[1:])
            push.set_retry_spread(around.retry_spread_s())
        around.spawn(relay.run())
        return Program(relay, progressive, playback, push)

    def streams(self) -> dict[str, object]:
        """Return the addresses of the room's streams."""
        return streams_json(self.document.room, self._around.places)

    # What its door asks (door.Guarded).

    def overflow(self) -> str | None:
        """Return where one may listen without a place, if there is a cache for that."""
        return str(self.streams()["hls"]) if self._around.places.media_url else None

    def fanouts(self) -> list[Fanout]:
        """Return those who are sent blocks."""
        programs = self._programs.values()
        pushes = [program.push.listeners for program in programs if program.push is not None]
        return [*pushes, *(program.progressive.listeners for program in programs)]

    def asking(self) -> list[bytes]:
        """Return the keys of the players of LL-HLS who ask here."""
        return self.audience.asking()

    # What is said about the room.

    def set_document(self, document: RoomDocument) -> None:
        """Take control's newest word."""
        was_open, zero_ns = self.is_open, self.document.zero_ns
        self.document = document
        if zero_ns is not None and document.zero_ns != zero_ns:
            self._finish()
            self._programs.clear()
        if was_open and not self.is_open:
            self._ending_since = self._around.clock.monotonic_ns()
        elif self.is_open:
            self._ending_since = None
        self._changed()

    def set_stage(self, stage: StageDocument) -> None:
        """Take the origin's newest word, unless it is an older origin's."""
        if self.stage is not None and stage.epoch < self.stage.epoch:
            return
        self.stage = stage
        self._stage_at = self._around.clock.monotonic_ns()
        self._changed()

    def set_replay(self, replay: dict[str, object] | None) -> None:
        """Take what the replay says of the room's recording."""
        self.replay = replay
        self._changed()

    def _replay_is_whole(self) -> bool:
        """Tell whether every recording is there: those of a long room come one after the other."""
        recordings = self.replay.get("recordings") if self.replay else None
        return isinstance(recordings, dict) and len(recordings) == len(RENDITIONS)

    def state_bytes(self) -> bytes:
        """Return state.json, at most half a second old."""
        now = self._around.clock.monotonic_ns()
        if not self._rendered or now - self._rendered_at > FRESH_NS:
            over = self.document.state in (RoomState.ENDED, RoomState.PUBLISHED)
            self.replay_wanted = over and not self._replay_is_whole()
            self._rendered = self._with_time(self._render_fields())
            self._rendered_at = now
        return self._rendered

    def _render_fields(self) -> str:
        stage = self.stage
        if stage is not None and self._around.clock.monotonic_ns() - self._stage_at > _STAGE_NS:
            people = tuple(person.model_copy(update={"speaking": False}) for person in stage.people)
            stage = stage.model_copy(update={"on_air": False, "people": people})
        audience = {"listeners": self.listeners(), "by_beacon": self.audience.by_beacon()}
        if rehearsal := self.rehearsal() + self.audience.rehearsal_elsewhere():
            audience["rehearsal"] = rehearsal
        fields = state_json(self.document, stage, audience, self.block_steps, self._around.places, self.replay)
        fields |= ladder_json(self._around.ladder())
        fields["door"] = self.door.state(self.document.door) if self.door is not None else NO_DOOR
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))

    def _with_time(self, fields: str) -> bytes:
        return f'{fields[:-1]},"server_time":"{iso_utc(self._around.clock.wall_ns())}"}}'.encode()

    def _changed(self) -> None:
        """Tell the listeners of push if what they know is no longer true.

        Where the ladder says so, who speaks and how many listen is told each 5 s alone; all else at once.
        """
        self._rendered = b""
        pushes = [program.push for program in self._programs.values() if program.push is not None]
        on_air = self.stage is not None and self.stage.on_air
        urgent, now = (self.document, self.replay, on_air), self._around.clock.monotonic_ns()
        waits = is_slower(self._around.ladder()) and now - self._told_at < SLOW_S * NS_PER_S
        if not pushes or (waits and urgent == self._told_urgent) or self._told == (fields := self._render_fields()):
            return
        self._told, self._told_at, self._told_urgent = fields, now, urgent
        frame = b'{"type":"state",' + self._with_time(fields)[1:]
        for push in pushes:
            push.set_state(frame)

    # Who listens.

    def by_transport(self) -> dict[str, int]:
        """Return how many listen at this edge, by transport."""
        programs = self._programs.values()
        return {
            "push": sum(_audience_of(program.push) for program in programs if program.push is not None),
            "progressive": sum(len(program.progressive.listeners) for program in programs),
            "hls": self.audience.players(),
        }

    def sent_to(self) -> int:
        """Return how many listen at this edge whom blocks are sent to, unasked."""
        here = self.by_transport()
        return here["push"] + here["progressive"] + self._rehearsal_push()

    def rehearsal(self) -> int:
        """Return how many listen at this edge as part of a rehearsal (room/permits); they are in no other count."""
        return self._rehearsal_push() + self.audience.rehearsing()

    def _rehearsal_push(self) -> int:
        pushes = [program.push for program in self._programs.values() if program.push is not None]
        return sum(push.listeners.rehearsal for push in pushes)

    def listeners(self) -> int:
        """Return how many listen at all edges."""
        return sum(self.by_transport().values()) + self.audience.elsewhere()

    # Time and the end.

    def tick(self) -> None:
        """Do what is due once a second."""
        now = self._around.clock.monotonic_ns()
        self.audience.forget(now)
        self._changed()
        for program in self._programs.values():
            if program.push is not None:
                program.push.set_retry_spread(self._around.retry_spread_s())
            self._flush_if_quiet(program)
            if program.playback is not None:
                program.playback.tick()
        if self._ending_since is not None and self._finished_at is None:
            for program in self._programs.values():
                program.relay.look_behind()
            quiet = all(program.relay.quiet_ns > _QUIET_NS for program in self._programs.values())
            if (quiet and now - self._ending_since > _QUIET_NS) or now - self._ending_since > _ENDING_NS:
                self._finish()
        if self._finished_at is not None and now - self._finished_at > _KEEP_ENDED_NS:
            self._programs.clear()

    def _flush_if_quiet(self, program: Program) -> None:
        """Say what waits for a block while none come, so that pages stay true and nobody takes us for dead."""
        if program.relay.quiet_ns > _QUIET_NS + self.block_steps * STEP_NS:
            program.progressive.listeners.flush()
            if program.push is not None:
                program.push.listeners.flush()

    def _finish(self) -> None:
        self._finished_at = self._around.clock.monotonic_ns()
        for program in self._programs.values():
            program.relay.finish()

    def remove(self) -> None:
        """Let everybody go: the room has been deleted or is a draft again."""
        for program in self._programs.values():
            if program.push is not None:
                program.push.close_all(CloseCode.NO_SUCH_ROOM, "no such room", Leave.ROOM_GONE)
        self._finish()
        self._programs.clear()

    # Blocks.

    @property
    def step(self) -> Step:
        """Return the newest step that went out to listeners here, 0 before the first."""
        steps = [program.progressive.listeners.step for program in self._programs.values()]
        return Step(max(steps, default=0))

    @property
    def block_steps(self) -> int:
        """Return how many steps a block has now."""
        return self.cadence.at(self.step)

    def want_blocks(self, block_steps: int, *, emergency: bool = False) -> None:
        """Move towards blocks of so many steps, and tell the listeners of push what is coming."""
        if not self._programs:  # Nobody has been told anything.
            self.cadence = Cadence(block_steps)
            return
        change = self.cadence.want(block_steps, self.step, emergency=emergency)
        if change is not None:
            for program in self._programs.values():
                if program.push is not None:
                    program.push.announce(change)

    def ping(self) -> None:
        """Ask the listeners of push whether they are there."""
        for program in self._programs.values():
            if program.push is not None:
                program.push.ping()

    def cut_silent(self) -> None:
        """Cut the listeners of push who have not answered."""
        for program in self._programs.values():
            if program.push is not None:
                program.push.cut_silent()

    def drain(self) -> None:
        """Send the listeners to another edge."""
        for program in self._programs.values():
            program.relay.stop()
            if program.push is not None:
                program.push.drain()
            if program.playback is not None:
                program.playback.drain()
            program.progressive.let_go(Leave.SERVER_STOPS)


def _audience_of(push: Push) -> int:
    return len(push.listeners) - push.listeners.rehearsal
