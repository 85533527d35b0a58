"""The door of one room at this edge: who is let in, and whose connection that is (rules: room/door, docs/door.md).

A place is an *entry*. Push and progressive hold one for as long as their connection lasts; a player of LL-HLS has no
connection of its own and holds it for 6 s after it last asked for a playlist (edge/door_players).
"""

import json
from collections.abc import Callable, Iterable
from math import ceil
from secrets import randbelow
from typing import Protocol

from stentor.clock import NS_PER_S, UnixNs
from stentor.edge.asking import SEEN_NS
from stentor.edge.beacons import origin_key
from stentor.edge.connection import Connection
from stentor.edge.door_alive import acknowledges
from stentor.edge.door_answer import DoorError, ElsewhereError, admitted, meanwhile, waiting
from stentor.edge.door_players import Player, Players
from stentor.edge.fanout import Fanout, Listener
from stentor.edge.http import Request, Response
from stentor.edge.metrics import DOOR_ANSWERS, DOOR_ENTRIES, Leave
from stentor.edge.progressive import Progressive
from stentor.edge.push import Push, hang_up, turn_away
from stentor.edge.tickets import PERIOD_S, Tickets
from stentor.edge.websocket import CloseCode, accept
from stentor.media.grid import Step
from stentor.room.documents import Dials, RoomDocument
from stentor.room.door import DIRECT, Entrance, Place, Ticket, Verdict
from stentor.room.door_edge import EdgeDoor
from stentor.room.door_words import DoorReport, DoorWord

_RENEW_S = PERIOD_S
"""Who has stood in line for so long gets the same place in a new ticket, well before the old one is too old."""
_LEAST_WAIT_S = 3.0
_IN, _WAITS = DOOR_ANSWERS.labels("admitted"), DOOR_ANSWERS.labels("waiting")
_ENTERED = {verdict: DOOR_ENTRIES.labels(verdict.value) for verdict in Verdict}

_SHUT = (
    "There is a line before this room, and this server, which is fed from another one, may let nobody in. "
    "Go where the program comes from."
)
_OVER = frozenset({Leave.ROOM_ENDED, Leave.ROOM_GONE, Leave.PROTOCOL, Leave.OVER_LIMIT})
"""Leaves after which nobody comes back."""


class Guarded(Protocol):
    """A room as its door sees it."""

    document: RoomDocument
    replay: dict[str, object] | None

    def streams(self) -> dict[str, object]:
        """Return the addresses of its streams."""
        ...

    def overflow(self) -> str | None:
        """Return where one may listen without a place, if there is a cache for that."""
        ...

    def fanouts(self) -> Iterable[Fanout]:
        """Return those who are sent blocks."""
        ...

    def asking(self) -> list[bytes]:
        """Return the keys of the players of LL-HLS who ask here."""
        ...


class RoomDoor:
    """One room's door. ``now`` returns the door's time (room/door); ``key`` is the secret that edges share.

    ``shut``: this edge is not heard by the others, and lets nobody in.
    """

    def __init__(
        self, room: Guarded, edge: str, started_ns: int, tickets: Tickets, key: bytes, now: Callable[[], int]
    ) -> None:
        self.room = room.document.room
        self.rules = EdgeDoor(self.room, edge, started_ns, draw=randbelow, alive=self._alive)
        self.shut = False
        self._around = room
        self._tickets = tickets
        self._now = now
        self._streams = json.dumps(room.streams(), separators=(",", ":"))
        self._meanwhile = meanwhile(room.overflow(), room.replay)
        self._listeners: dict[Listener, tuple[int, bool]] = {}
        self._players = Players(self.room, key)
        self._entries: dict[int, Listener | Player] = {}

    # Standing in line.

    def ask(self, text: str | None, ticket: Ticket | None, *, rehearsal: bool = False) -> Response:
        """Answer one who asks to come in. ``ticket`` is what their ``text`` says; None: they have none that is good."""
        if self.shut:
            raise DoorError(_SHUT)
        now = self._now()
        answer = self.rules.ask(ticket, now)
        now_s = now // NS_PER_S
        old = ticket is not None and not answer.admitted and ticket.made_s < now_s - _RENEW_S
        if text is None or ticket is None or answer.make or old:
            rehearsal = rehearsal if ticket is None else ticket.rehearsal
            made = Ticket(answer.place, answer.holder, now_s, answer.admitted, rehearsal)
            text = self._tickets.text(self.room, made)
        if answer.admitted:
            _IN.inc()
            return admitted(text, self._streams)
        _WAITS.inc()
        return waiting(text, answer, self._meanwhile)

    def _read(self, text: str | None, now: int) -> Ticket | None:
        return self._tickets.read(self.room, text, UnixNs(now)) if text else None

    # Coming in.

    def push(self, connection: Connection, request: Request, push: Push, after: Step | None) -> None:
        """Take a listener of push on, or turn them away. Raises UpgradeRequired or BadRequest for no handshake."""
        accept(request.headers)
        ticket = self._read(request.query.get("ticket"), self._now())
        entrance = self._enter(ticket, request)
        rehearsal = ticket is not None and ticket.rehearsal
        if entrance.verdict is Verdict.IN:
            self._hold(
                entrance.entry, push.join(connection, request, after, rehearsal=rehearsal), ticketed=ticket is not None
            )
        elif entrance.verdict is Verdict.ELSEWHERE:
            turn_away(connection, request, CloseCode.ELSEWHERE, "elsewhere")
        else:
            turn_away(connection, request, CloseCode.DOOR, f"door retry={_retry_s(entrance)}")

    def listen(
        self, connection: Connection, request: Request, progressive: Progressive, title: str, date_line: bytes
    ) -> None:
        """Take a progressive listener on. Raises DoorError or ElsewhereError."""
        ticket = self._read(request.query.get("ticket"), self._now())
        entrance = self._enter(ticket, request)
        self._check(entrance)
        self._hold(entrance.entry, progressive.join(connection, title, date_line), ticketed=ticket is not None)

    def multivariant(self, request: Request) -> str:
        """Take a place for a player of LL-HLS and return the query of its media playlist.

        A player without a ticket is given one where there is room. Raises DoorError or ElsewhereError.
        """
        now = self._now()
        text = request.query.get("ticket")
        ticket = self._read(text, now)
        if ticket is None or text is None:
            if self.shut or not self.rules.is_straight(now):
                raise self._refusal(0.0)
            answer = self.rules.ask(None, now)
            ticket = Ticket(answer.place, answer.holder, now // NS_PER_S, admitted=True)
            text = self._tickets.text(self.room, ticket)
        origin = origin_key(request.address, request.user_agent)
        self._play(ticket, request, origin)
        return f"ticket={text}&seat={self._players.seal(ticket.holder, origin)}"

    def playlist(self, request: Request) -> None:
        """Let a player of LL-HLS that has a place, or may take it up, have its playlist. Raises as ``multivariant``."""
        origin = origin_key(request.address, request.user_agent)
        ticket = self._read(request.query.get("ticket"), self._now())
        if ticket is not None:
            self._play(ticket, request, origin)
            return
        if not self._players.asks(origin, origin, self._now()):  # else it listened before there was a door
            raise self._refusal(0.0)

    def _play(self, ticket: Ticket, request: Request, origin: bytes) -> None:
        now, here = self._now(), request.query.get("here") == "1"
        if self._players.asks(ticket.holder, origin, now, here=here):
            return
        if not here and self._players.is_elsewhere(ticket.holder, now):
            if self._players.is_sealed(request.query.get("seat"), ticket.holder, origin):
                return
            raise _elsewhere()
        entrance = self._enter(ticket, request)
        self._check(entrance)
        player = Player(ticket.holder, entrance.entry, origin, now)
        self._players.add(player)
        self._entries[entrance.entry] = player

    def _enter(self, ticket: Ticket | None, request: Request) -> Entrance:
        entrance = self.rules.enter(ticket, self._now(), here=request.query.get("here") == "1")
        _ENTERED[entrance.verdict].inc()
        if entrance.cut is not None:
            self._cut(entrance.cut, elsewhere=True)
        return entrance

    def _check(self, entrance: Entrance) -> None:
        if entrance.verdict is Verdict.ELSEWHERE:
            raise _elsewhere()
        if entrance.verdict is Verdict.DOOR:
            raise self._refusal(entrance.retry_after_s)

    def _refusal(self, wait_s: float) -> DoorError:
        return DoorError(
            f"There is a line before this room. Ask for a ticket with POST /r/{self.room}/ticket, "
            f"or open /r/{self.room}/door, which waits for you.",
            retry_after_s=max(_LEAST_WAIT_S, wait_s),
            ticket=f"/r/{self.room}/ticket",
            page=f"/r/{self.room}/door",
        )

    # Who is inside.

    def adopt(self) -> None:
        """Give a place to everybody who listens already: a door that is set up throws nobody out."""
        now = self._now()
        for fanout in self._around.fanouts():
            for listener in fanout:
                if listener not in self._listeners:
                    self._keep(listener, self.rules.adopt(None, now), ticketed=False)
        for key in self._around.asking():
            if key not in self._players:
                player = Player(key, self.rules.adopt(_holding(key, now), now), b"", now)
                self._players.add(player)
                self._entries[player.entry] = player

    def release(self) -> None:
        """Let everybody be: there is no door any more."""
        now = self._now()
        for entry in self._entries:
            self.rules.leave(entry, now, dropped=False)
        for fanout in self._around.fanouts():
            fanout.gone = None
        self._entries.clear()
        self._listeners.clear()
        self._players.clear()

    def _hold(self, entry: int, listener: Listener, *, ticketed: bool) -> None:
        if listener.bucket is None:  # It went while it was greeted.
            self.rules.leave(entry, self._now(), dropped=ticketed)
        else:
            self._keep(listener, entry, ticketed=ticketed)

    def _keep(self, listener: Listener, entry: int, *, ticketed: bool) -> None:
        listener.fanout.gone = self._gone
        self._listeners[listener] = (entry, ticketed)
        self._entries[entry] = listener

    def _gone(self, listener: Listener, reason: Leave, by_will: bool) -> None:  # noqa: FBT001 - the fanout's hook
        held = self._listeners.pop(listener, None)
        if held is not None:
            entry, ticketed = held
            del self._entries[entry]
            dropped = ticketed and not by_will and reason not in _OVER
            self.rules.leave(entry, self._now(), dropped=dropped)

    def _cut(self, entry: int, *, elsewhere: bool) -> None:
        """Close the connection of an entry that has ended."""
        held = self._entries.pop(entry, None)
        if isinstance(held, Player) and elsewhere:
            self._players.held_elsewhere(held, self._now())
        elif isinstance(held, Player):
            self._players.remove(held)
        elif held is not None:
            del self._listeners[held]
            held.fanout.discard(held, Leave.ELSEWHERE if elsewhere else Leave.DOOR)
            if held.fanout.transport == "push":
                code, reason = (CloseCode.ELSEWHERE, "elsewhere") if elsewhere else (CloseCode.DOOR, "door")
                hang_up(held.line, code, reason)
            else:
                held.line.close()

    def _alive(self, entry: int) -> bool:
        held = self._entries.get(entry)
        if isinstance(held, Player):
            return self._now() - held.seen_ns < SEEN_NS
        return held is not None and acknowledges(held)

    @property
    def inside(self) -> int:
        """Return how many hold a place here."""
        return len(self._entries)

    # What edges and the leader say.

    def take_word(self, word: DoorWord) -> bool:
        """Follow a word of the leader's; return False when it is not newer than what is known."""
        newer = self.rules.take_word(word, self._now())
        if newer:
            self._cut_due()
        return newer

    def take_report(self, report: DoorReport) -> None:
        """Hear another edge."""
        self.rules.take_report(report, self._now())
        self._cut_due()

    def tick(self) -> DoorReport | None:
        """Do what is due each half second, and return what to tell the others."""
        now = self._now()
        for player in self._players.silent(now):
            del self._entries[player.entry]
            self.rules.leave(player.entry, now, dropped=True)
        self._meanwhile = meanwhile(self._around.overflow(), self._around.replay)
        self._cut_due()
        return self.rules.report(now)

    def _cut_due(self) -> None:
        for cut in self.rules.cuts(self._now()):
            self._cut(cut.entry, elsewhere=cut.elsewhere)

    def state(self, dials: Dials) -> dict[str, object]:
        """Return what state.json says of the door; ``dials`` is what the room is set to, where nobody leads yet."""
        word = self.rules.word
        said = NO_DOOR | {"guarded": True, "overflow": self._around.overflow()}
        if word is None:
            return said | {"cap": dials.cap, "per_second": dials.per_second}
        because = word.because.value if word.because else None
        in_force = {"cap": word.cap, "per_second": word.per_second, "because": because}
        return said | in_force | {"inside": word.inside, "waiting": word.waiting}


NO_DOOR: dict[str, object] = {
    "guarded": False,
    "cap": None,
    "per_second": None,
    "inside": 0,
    "waiting": 0,
    "because": None,
    "overflow": None,
}
"""``door`` of state.json where everybody is let in."""


def _holding(key: bytes, now: int) -> Ticket:
    """Return what a player is known by that listens already."""
    now_s = now // NS_PER_S
    return Ticket(Place(now_s, DIRECT), key, now_s, admitted=True)


def _elsewhere() -> ElsewhereError:
    return ElsewhereError("This ticket is in use: its holder listens by another connection. Add here=1 to move.")


def _retry_s(entrance: Entrance) -> int:
    return ceil(max(_LEAST_WAIT_S, entrance.retry_after_s))
