"""The people of a live room: who sits on stage, what each says, and the mix each hears.

Sessions run in this module's task group; the live room's tick calls ``tick`` and nothing here waits for anybody.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import numpy as np

from stentor.backlog import Backlog, WhenFull
from stentor.clock import Clock
from stentor.errors import Conflict, NotFound
from stentor.media.mixer import Mixer, ProgramMeter
from stentor.media.playout import Playout
from stentor.origin.minus import MinusEncoders
from stentor.origin.seats import GHOST_MS, Pcm, Seat
from stentor.origin.session import MediaSession, SessionEvents
from stentor.origin.sound import LOOK_TICKS
from stentor.room.documents import RoomDocument, StagePerson
from stentor.room.requests import (
    Answered,
    Candidates,
    GiveRole,
    Leave,
    Mute,
    MuteAll,
    Muted,
    Offer,
    Remove,
    Rename,
    Restart,
    Restarted,
)
from stentor.telemetry import logger

MAX_SEATS = 13
_REAP_S = 1.0

_log = logger("origin")

OpenSession = Callable[[SessionEvents], MediaSession]


class Cast:
    """All seats of a room.

    ``on_change`` is called when somebody comes, leaves, is muted or renamed: what the log keeps as the roster.
    """

    def __init__(
        self, document: RoomDocument, open_session: OpenSession, clock: Clock, on_change: Callable[[], None]
    ) -> None:
        self._room = document.room
        self._open_session = open_session
        self._clock = clock
        self._on_change = on_change
        self._seats: dict[str, Seat] = {}
        self._removals: Counter[str] = Counter()
        self._mixer = Mixer()
        self._minus = MinusEncoders()
        self._to_run: Backlog[MediaSession] = Backlog(max_items=64, when_full=WhenFull.REFUSE)
        self._ticks = 0
        self.follow(document)

    def follow(self, document: RoomDocument) -> None:
        """Take what control says of the stage. Fewer seats than people throw nobody out."""
        self._most_seats = document.seats
        self._mixer.gate = document.noise_gate

    # --- running

    async def run(self) -> None:
        """Run sessions and end ghosts, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reap())
            async for session in self._to_run:
                group.create_task(session.run())

    async def _reap(self) -> None:
        while True:
            await self._clock.sleep(_REAP_S)
            for seat in list(self._seats.values()):
                for ghost in [session for session in seat.sessions if session.silent_ms > GHOST_MS]:
                    await ghost.close("media-silent")
                if seat.forgotten:
                    self._forget(seat.person)

    async def close(self, reason: str) -> None:
        """End every session."""
        for session in [session for seat in self._seats.values() for session in seat.sessions]:
            await session.close(reason)

    # --- the tick

    def tick(self, due_ns: int) -> Pcm:
        """Mix 20 ms, send everybody their mix-minus, and return the program, (1, 960) float32."""
        seats = self._seats.values()
        devices = {seat.person: seat.device for seat in seats if seat.device is not None}
        pulled = {seat.person: seat.pull(due_ns) for seat in seats}
        mix = self._mixer.mix(pulled, devices)
        self._ticks += 1
        for number, seat in enumerate(seats):
            voice = mix.voices[seat.person]
            seat.level_dbfs = voice.level_dbfs
            seat.speaking = voice.speaking
            seat.heard = seat.heard or voice.speaking
            sent, came = _mean_square(mix.heard_by(seat.person)), _mean_square(pulled[seat.person])
            seat.listen_to(sent=sent, came=came, look=(self._ticks + number) % LOOK_TICKS == 0)
        hearing = [(seat.person, session) for seat in seats for session in seat.sessions if session.sends]
        frames = self._minus.encode(mix, list(dict(hearing)))
        for person, session in hearing:
            session.send(frames[person])
        return mix.program

    @property
    def program_meter(self) -> ProgramMeter:
        """Return the program's level and how long it has been silent."""
        return self._mixer.meter

    def shown(self) -> tuple[StagePerson, ...]:
        """Return everybody as the stage document shows them."""
        return tuple(seat.shown() for seat in self._seats.values())

    # --- what control asks

    async def offer(self, asked: Offer) -> Answered:
        """Answer a person's offer; the seat lets it take over from their older session, if they have one."""
        removals = self._removals[asked.person]
        seat = self._seat_for(asked)
        held: list[MediaSession] = []

        def on_packet(sequence: int, timestamp: int, payload: bytes, arrival_ns: int | None) -> None:
            seat.push(held[0], (sequence, timestamp, payload, arrival_ns))

        def on_closed(reason: str) -> None:
            _log.info("session_closed", room=self._room, person=seat.person, reason=reason)
            seat.stand(held[0])
            self._on_change()

        session = self._open_session(SessionEvents(on_packet, lambda: None, on_closed))
        held.append(session)
        answer = await session.accept(asked.sdp)
        try:
            # Meanwhile the person may have been seated by another offer, or removed, or the stage may be full.
            seat = self._seat_for(asked)
            if self._removals[asked.person] != removals:
                raise Conflict("You were removed from this stage, or moved to another device.", slug="removed")
        except Conflict:
            self._to_run.put(session)
            await session.close("refused")
            raise
        for given_up in self._given_up() if asked.person not in self._seats else ():
            if len(self._seats) >= self._most_seats:
                self._forget(given_up.person)
        self._seats[asked.person] = seat
        seat.name, seat.role, seat.device = asked.name, asked.role, asked.device
        again = seat.session is not None
        seat.sit(session)
        self._to_run.put(session)
        self._on_change()
        _log.info("seated", room=self._room, person=seat.person, role=seat.role, again=again)
        return Answered(sdp=answer, session=session.id)

    async def candidates(self, asked: Candidates) -> None:
        """Add trickled candidates to a session."""
        self._session(asked.session).add_candidates(asked.fragment)

    async def restart(self, asked: Restart) -> Restarted:
        """Restart a session's ICE: the same connection over another network."""
        return Restarted(fragment=self._session(asked.session).restart(asked.fragment))

    async def leave(self, asked: Leave) -> None:
        """End a session; the seat stays for a minute in case the person comes back."""
        await self._session(asked.session).close("left")

    async def mute(self, asked: Mute) -> None:
        """Mute or unmute; what a host has muted only a host unmutes."""
        seat = self._seat(asked.person)
        if asked.by == "self" and seat.muted_by == "host":
            raise Conflict("A host has muted you; only a host can unmute you.", slug="muted-by-host")
        seat.muted_by = asked.by if asked.muted else None
        self._on_change()

    async def mute_all(self, asked: MuteAll) -> Muted:
        """Mute everybody by the host, but for some roles; return who is muted so now."""
        muted = [seat for seat in self._seats.values() if seat.role not in asked.spared]
        for seat in muted:
            seat.muted_by = "host"
        self._on_change()
        return Muted(people=tuple(seat.person for seat in muted))

    async def give_role(self, asked: GiveRole) -> None:
        """Show another role."""
        self._seat(asked.person).role = asked.role
        self._on_change()

    async def remove(self, asked: Remove) -> None:
        """End a person's media at once, and give up the seat unless they only move to another device."""
        self._removals[asked.person] += 1
        seat = self._seats.get(asked.person)
        if seat is None:
            return
        if not asked.keep_seat:
            self._forget(asked.person)
        sessions = seat.sessions
        for session in sessions:
            seat.stand(session)  # silent from the next tick on, however long goodbyes take
        for session in sessions:
            await session.close("moved" if asked.keep_seat else "removed")
        self._on_change()

    async def rename(self, asked: Rename) -> None:
        """Show another name."""
        self._seat(asked.person).name = asked.name
        self._on_change()

    def _seat_for(self, asked: Offer) -> Seat:
        """Return the person's seat, or a new one while there is room. Raises Conflict."""
        seat = self._seats.get(asked.person)
        if seat is None and len(self._seats) - len(self._given_up()) >= self._most_seats:
            raise Conflict(
                f"The stage is full: it has {self._most_seats} seats. Whoever runs the room can add some; the seat of "
                "somebody who left is free after some seconds.",
                slug="stage-full",
                seats=self._most_seats,
            )
        return seat or Seat(asked.person, asked.name, asked.role, Playout)

    def _given_up(self) -> list[Seat]:
        """Return the seats that somebody else may have where there is none left, the longest empty first."""
        away = [seat for seat in self._seats.values() if seat.given_up]
        return sorted(away, key=lambda seat: -seat.away_ticks)

    def _forget(self, person: str) -> None:
        del self._seats[person]
        self._mixer.forget(person)
        self._minus.forget(person)

    def _seat(self, person: str) -> Seat:
        try:
            return self._seats[person]
        except KeyError:
            raise NotFound("This person is not on stage.", slug="not-on-stage") from None

    def _session(self, session_id: str) -> MediaSession:
        for seat in self._seats.values():
            for session in seat.sessions:
                if session.id == session_id:
                    return session
        raise NotFound("This session has ended.", slug="no-session")


def _mean_square(pcm: Pcm) -> float:
    return float(np.vdot(pcm, pcm)) / pcm.size
