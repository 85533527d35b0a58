"""Which address is answered by whom (docs/design.md, "Addresses on the audience port")."""

import re
from collections.abc import AsyncIterator, Callable
from hmac import compare_digest

from stentor.bus.upstream_wire import PATH
from stentor.clock import Clock, MonotonicNs, iso_utc
from stentor.edge.beacons import BeaconRate, read_beacon
from stentor.edge.connection import Connection
from stentor.edge.door_answer import DoorError, challenged, meanwhile, read_ask
from stentor.edge.hands import Hands, no_preflight
from stentor.edge.http import (
    CORS,
    NO_STORE,
    ONE_SECOND,
    NotAllowed,
    Request,
    Response,
    json_response,
    preflight,
)
from stentor.edge.permits import Permits
from stentor.edge.plain import Plain, to_plain
from stentor.edge.playback import Playback, multivariant_response, ticket_query
from stentor.edge.push import turn_away
from stentor.edge.refusal import refusal
from stentor.edge.replay_port import ReplayDesk
from stentor.edge.room import FRESH_NS, Room, Spawn
from stentor.edge.rooms import Rooms
from stentor.edge.shield import Shield
from stentor.edge.state_json import summary_json
from stentor.edge.static import StaticFiles
from stentor.edge.status import Status
from stentor.edge.tickets import Tickets
from stentor.edge.websocket import CloseCode
from stentor.errors import BadRequest, Conflict, NotFound, StentorError
from stentor.media.grid import Step
from stentor.media.rendition import RenditionName
from stentor.room.door import Ticket
from stentor.room.states import RoomState

_BOXED = {"opus": RenditionName.OPUS, "aac": RenditionName.AAC}
_LISTEN = {"listen.aac": RenditionName.AAC, "listen.mp3": RenditionName.MP3, "listen.opus": RenditionName.OPUS}
_MULTIVARIANT = {"live.m3u8": RenditionName.AAC, "live-opus.m3u8": RenditionName.OPUS}
_REPLAY = re.compile(r"replay\.m3u8|replay/.+|recording\.(?:m4a|opus|mp3)|proof\.json")
_MEDIA = re.compile(r"(opus|aac)/(\d{1,9})/(?:(init)\.mp4|(\d{1,12})(?:\.(\d{1,2}))?\.m4s)")
_READ = ("GET", "HEAD")
_NOTED = Response(204, {"Cache-Control": NO_STORE, **CORS})
_CACHE_HEADER = "stentor-cache"
_MUST_SOLVE = "Newcomers need a ticket at the moment: open the room's page, or POST to its address /ticket."
_DIGITS = re.compile(r"\d{1,12}")


class Routes:
    """Answers requests; what must wait or goes on for hours is handed its connection."""

    def __init__(
        self, rooms: Rooms, files: StaticFiles, tickets: Tickets, clock: Clock, replay: ReplayDesk | None, spawn: Spawn
    ) -> None:
        self._rooms = rooms
        self._files = files
        self._tickets = tickets
        self._clock = clock
        self._replay = replay
        self._spawn = spawn
        self._beacon_rate = BeaconRate()
        self._listed: tuple[MonotonicNs, Response] | None = None
        self._plain = Plain(clock, self._ticket, lambda room: self.status.happened(room))
        self.hands: Hands
        self.status: Status
        self.permits: Permits
        self.shield: Shield
        self.date_line: Callable[[], bytes] = bytes
        self.draining = False
        self.cache_key = ""

    def handle(self, connection: Connection, request: Request) -> Response | None:
        """Answer, or return None and keep the connection. Raises StentorError for a problem document."""
        path, method = request.path, request.method
        if method == "OPTIONS":
            return no_preflight() if path.endswith("/hand") else preflight()
        if path.startswith("/r/"):
            return self._in_room(connection, request)
        if path == PATH:
            return self._rooms.downstream.join(connection, request)
        if method not in _READ:
            raise _not_allowed("GET, HEAD")
        if path == "/":
            return to_plain(request, None) if "plain" in request.query else self._files.page(request)
        if path == "/rooms.json":
            return self._room_list()
        if path == "/status":
            return self.status.page(request)
        if path == "/status.json":
            return self.status.json(request)
        found = self._files.file(request)
        if found is None:
            raise NotFound("There is nothing at this address.")
        return found

    def _room_list(self) -> Response:
        """Return the rooms, at most half a second old: a crowd asks, and there may be hundreds."""
        now = self._clock.monotonic_ns()
        if self._listed is None or now - self._listed[0] > FRESH_NS:
            rooms = [summary_json(room.document, room.listeners()) for room in self._rooms.all()]
            said = {"rooms": rooms, "server_time": iso_utc(self._clock.wall_ns())}
            self._listed = (now, json_response(said, cache=ONE_SECOND))
        return self._listed[1]

    def _in_room(self, connection: Connection, request: Request) -> Response | None:
        name, _, rest = request.path.removeprefix("/r/").partition("/")
        if rest == "push":
            self._push(connection, request, name)
            return None
        if not rest:
            return self._page(request, name)
        room = self._rooms.get(name)
        said = {"ticket": self._ticket, "beacon": self._beacon}.get(rest)
        if said is not None:
            return said(request, room)
        if rest == "rehearsal":
            return self.permits.acceptance(request, room)
        if rest == "hand":
            return self.hands.take(connection, request, room)
        return self._read(connection, request, room, rest)

    def _read(self, connection: Connection, request: Request, room: Room, rest: str) -> Response | None:
        if request.method not in _READ:
            raise _not_allowed("GET, HEAD")
        if rest == "state.json":
            headers = {"Content-Type": "application/json", "Cache-Control": ONE_SECOND, **CORS}
            return Response(200, headers, room.state_bytes())
        if rest == "door":
            return self._plain.door(request, room)
        if rest in _LISTEN:
            return self._listen(connection, request, room, _LISTEN[rest])
        if _REPLAY.fullmatch(rest):
            self._from_replay(connection, request, room.document.room, rest)
            return None
        return self._playback(connection, request, room, rest)

    def _page(self, request: Request, name: str) -> Response:
        if request.method not in _READ:
            raise _not_allowed("GET, HEAD")
        if "plain" in request.query:
            return to_plain(request, name)
        try:
            self._rooms.get(name)
        except NotFound:
            return self._files.page(request, 404)
        return self._files.page(request)

    def _ticket(self, request: Request, room: Room) -> Response:
        if request.method != "POST":
            raise _not_allowed("POST")
        asked = read_ask(request.body)
        held = self._read_ticket(room, asked.ticket)
        rehearsal = (held is None or room.door is None) and self.permits.take(request, room)
        if rehearsal:
            self.shield.vouch(request.address)
        elif held is None:
            challenge = self.shield.challenge(request, room.document.room, asked.solution)
            if challenge is not None:
                return challenged(challenge, meanwhile(None, None))
        if room.door is not None:
            return room.door.ask(asked.ticket, held, rehearsal=rehearsal)
        ticket = self._tickets.issue(room.document.room, self._clock.wall_ns(), rehearsal=rehearsal)
        return json_response({"admitted": True, "ticket": ticket, "streams": room.streams()})

    def _beacon(self, request: Request, room: Room) -> Response:
        if request.method != "POST":
            raise _not_allowed("POST")
        if self.permits.rehearses(request, room):
            return _NOTED  # A generator's players are no audience; what they hear, the generator counts itself.
        now = self._clock.monotonic_ns()
        self._beacon_rate.take(request.address, now)
        beacon = read_beacon(request.body)
        holder = self._holder(room, beacon.ticket)
        room.audience.note_beacon(beacon, holder, request.address, request.user_agent, now)
        return _NOTED

    def _push(self, connection: Connection, request: Request, name: str) -> None:
        if request.method != "GET":
            raise _not_allowed("GET")
        rendition = _BOXED.get(request.query.get("rendition", "opus"))
        after = _number(request, "after")
        if rendition is None:
            raise BadRequest("Push carries the renditions opus and aac.", slug="no-such-rendition")
        if self.draining:
            turn_away(connection, request, CloseCode.GOING_AWAY, "retry=1")
            return
        try:
            room = self._rooms.get(name)
        except NotFound:
            turn_away(connection, request, CloseCode.NO_SUCH_ROOM, "no such room")
            return
        if not room.is_open:
            turn_away(connection, request, CloseCode.NOT_OPEN, "look at state.json")
            return
        push = room.program(rendition).push
        rehearsal = self._note_connected(request, room)
        if push is None:
            return
        if room.door is not None and self._must_solve(request):
            turn_away(connection, request, CloseCode.DOOR, "ask for a ticket")
        elif room.door is not None:
            room.door.push(connection, request, push, None if after is None else Step(after))
        else:
            push.join(connection, request, None if after is None else Step(after), rehearsal=rehearsal)

    def _listen(self, connection: Connection, request: Request, room: Room, name: RenditionName) -> Response | None:
        if not room.is_open:
            raise _not_open(room)
        progressive = room.program(name).progressive
        if request.method == "HEAD":
            return progressive.head(room.document.title)
        self._note_connected(request, room)
        if room.door is not None:
            self._not_newly(request)
            room.door.listen(connection, request, progressive, room.document.title, self.date_line())
        else:
            progressive.join(connection, room.document.title, self.date_line())
        return None

    def _playback(self, connection: Connection, request: Request, room: Room, rest: str) -> Response | None:
        if rest in _MULTIVARIANT:
            self._gate(room)
            if room.is_over:
                return _to_replay(room)
            if room.door is not None and not self._is_cache(request):
                self._not_newly(request)
                query = room.door.multivariant(request)
                self._note_player(request, room)
                return multivariant_response(_MULTIVARIANT[rest], query)
            self._note_player(request, room)
            return multivariant_response(_MULTIVARIANT[rest], ticket_query(request))
        rendition = _BOXED.get(rest.removesuffix(".m3u8")) if rest.endswith(".m3u8") else None
        if rendition is not None:
            self._gate(room)
            if room.door is not None and not self._is_cache(request):
                self._not_newly(request)
                room.door.playlist(request)
            self._note_player(request, room)
            return self._boxes(room, rendition).playlist(connection, request)
        match = _MEDIA.fullmatch(rest)
        if match is None:
            raise NotFound("There is nothing at this address.")
        self._gate(room)
        name, epoch, init, number, part = match.groups()
        playback = self._boxes(room, _BOXED[name])
        if init:
            return playback.init()
        if part is None:
            return playback.segment(connection, int(epoch), int(number))
        return playback.part(connection, int(epoch), int(number), int(part))

    def _is_cache(self, request: Request) -> bool:
        """Tell whether a cache of ours asks: whoever listens by it needs no place, and none is counted."""
        said = request.headers.get(_CACHE_HEADER)
        return said is not None and self.cache_key != "" and compare_digest(said.encode(), self.cache_key.encode())

    def _must_solve(self, request: Request) -> bool:
        """Tell whether somebody without a ticket is to get one by a proof of work, instead of being let in directly."""
        return "ticket" not in request.query and self.shield.challenges_all

    def _not_newly(self, request: Request) -> None:
        """Refuse whoever must solve a challenge first; raises DoorError."""
        if self._must_solve(request):
            raise DoorError(_MUST_SOLVE)

    @staticmethod
    def _gate(room: Room) -> None:
        """Refuse live playlists before the doors open; after the end the program says itself what is left."""
        if room.document.state is RoomState.SCHEDULED:
            raise _not_open(room)

    @staticmethod
    def _boxes(room: Room, name: RenditionName) -> Playback:
        playback = room.program(name).playback
        if playback is None:
            raise NotFound("This rendition has no playlist.")
        return playback

    def _note_player(self, request: Request, room: Room) -> None:
        ticket = self._read_ticket(room, request.query.get("ticket"))
        if ticket is not None and ticket.rehearsal:
            room.audience.note_rehearsal(ticket.holder, self._clock.monotonic_ns())
            return
        if ticket is None and "via" in request.headers:
            return  # A cache's own request (RFC 9110, section 7.6.3): its players show by their beacons.
        holder = None if ticket is None else ticket.holder
        room.audience.note_player(holder, request.address, request.user_agent, self._clock.monotonic_ns())

    def _note_connected(self, request: Request, room: Room) -> bool:
        """Note that somebody listens by a connection; tell whether they are part of a rehearsal."""
        ticket = self._read_ticket(room, request.query.get("ticket"))
        if ticket is not None and not ticket.rehearsal:
            room.audience.note_connected(ticket.holder)
        return ticket is not None and ticket.rehearsal

    def _holder(self, room: Room, ticket: str | None) -> bytes | None:
        read = self._read_ticket(room, ticket)
        return None if read is None else read.holder

    def _read_ticket(self, room: Room, ticket: str | None) -> Ticket | None:
        return self._tickets.read(room.document.room, ticket, self._clock.wall_ns()) if ticket else None

    # The recording is another package's; it may wait for the store.

    def _from_replay(self, connection: Connection, request: Request, name: str, rest: str) -> None:
        if self._replay is None:
            raise NotFound("There is no recording here.", slug="no-recording")
        self._spawn(self._ask_replay(self._replay, connection, request, name, rest))

    async def _ask_replay(
        self, replay: ReplayDesk, connection: Connection, request: Request, name: str, rest: str
    ) -> None:
        range_header = request.headers.get("range")
        try:
            reply = await replay.reply(name, rest, request.method, range_header)
            connection.respond(_relayed(reply.status, reply.headers, reply.body))
        except StentorError as error:
            connection.respond(refusal(request, error))
        except BaseException:
            connection.abort()
            raise


def _relayed(status: int, headers: list[tuple[str, str]], body: bytes | AsyncIterator[bytes]) -> Response:
    """Return what the replay says as a response, readable from other origins."""
    names = {name.lower() for name, _ in headers}
    lengths = [int(value) for name, value in headers if name.lower() == "content-length" and value.isdigit()]
    kept = [(name, value) for name, value in headers if name.lower() not in ("content-length", "connection", "date")]
    kept += [(name, value) for name, value in CORS.items() if name.lower() not in names]
    if isinstance(body, bytes):
        return Response(status, kept, body)
    return Response(status, kept, stream=body, length=lengths[0] if lengths else None)


def _number(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        raise BadRequest(f"{name} must be a number of 12 digits at most.")
    return int(text)


def _not_open(room: Room) -> Conflict:
    return Conflict(
        f"This room is {room.document.state}; state.json says when it opens, or where its replay is.",
        slug="room-not-open",
        state=str(room.document.state),
    )


def _to_replay(room: Room) -> Response:
    """Send a player that comes after the end to the replay, under whatever address it found us."""
    if not room.document.recorded:
        raise _not_open(room)
    return Response(302, {"Location": "replay.m3u8", "Cache-Control": ONE_SECOND, **CORS})


def _not_allowed(methods: str) -> NotAllowed:
    return NotAllowed(f"This address knows {methods}.", allow=methods)
