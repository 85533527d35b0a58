"""``/status`` and ``/status.json``: how things are, in words, while all else is busy or away.

Made at most once a second, whoever asks, from documents alone: what this edge was told last stays when control or the
bus is away, and the page says so.
"""

import gzip

from stentor.bus.port import Bus
from stentor.clock import Clock, MonotonicNs
from stentor.edge.http import CORS, Request, Response, json_response
from stentor.edge.metrics import DROPPED
from stentor.edge.refusal import html_response, language_of
from stentor.edge.room import FRESH_NS
from stentor.edge.rooms import Rooms
from stentor.plain.known import Known
from stentor.plain.page import Frame
from stentor.plain.status import REFRESH_S, Numbers, StatusView, status_json, status_page
from stentor.plain.words import Words
from stentor.room.states import OPEN_STATES
from stentor.room.status import Happening, StatusEvent

CACHE = "public, max-age=2"
BUCKET = "installation"
_PACKED = {"Content-Encoding": "gzip"}


class Status:
    """The status as this edge knows it."""

    def __init__(self, bus: Bus, clock: Clock, rooms: Rooms) -> None:
        self._bus = bus
        self._clock = clock
        self._rooms = rooms
        self._known = Known()
        self._made: dict[tuple[str, ...], tuple[MonotonicNs, Response]] = {}

    async def watch(self) -> None:
        """Follow the documents for ever."""
        async for document in self._bus.watch(BUCKET):
            if document is not None:
                try:
                    self._known.take(BUCKET, document.key, document.value)
                except ValueError:
                    DROPPED.labels("garbled").inc()

    def page(self, request: Request) -> Response:
        """Return the page; ``?still=1``: it does not renew itself, ``?lang=``: in this language."""
        asked, language = language_of(request)
        still = bool(request.query.get("still"))
        key = (language, asked or "", "still" if still else "", _encoding(request))
        kept = self._fresh(key)
        if kept is not None:
            return kept
        refresh_s = None if still else REFRESH_S
        frame = Frame("/status", {"still": "1"} if still else {}, refresh_s, asked)
        body = status_page(self.view(), Words(language), frame)
        if _encoding(request):
            return self._keep(key, html_response(200, _packed(body), cache=CACHE, extra=_PACKED))
        return self._keep(key, html_response(200, body, cache=CACHE))

    def json(self, request: Request) -> Response:
        """Return the same for programs."""
        key = ("json", _encoding(request))
        kept = self._fresh(key)
        if kept is not None:
            return kept
        response = json_response(status_json(self.view()), cache=CACHE)
        if _encoding(request):
            headers = {"Content-Type": "application/json", "Cache-Control": CACHE, "Vary": "Accept-Encoding"}
            response = Response(200, headers | _PACKED | CORS, _packed(response.body))
        return self._keep(key, response)

    def happened(self, room: str) -> tuple[StatusEvent, ...]:
        """Return what happened in a room, and what operators said to everybody, the newest first."""
        events = self._known.said.events if self._known.said is not None else ()
        return tuple(event for event in events if event.room == room or event.kind is Happening.SAID)

    def view(self) -> StatusView:
        """Return what this edge knows."""
        now_ns = self._clock.wall_ns()
        rooms = [room for room in self._rooms.all() if room.document.state in OPEN_STATES]
        numbers = {}
        for room in rooms:
            word = room.door.rules.word if room.door is not None else None
            numbers[room.document.room] = Numbers(
                room.listeners(),
                room.audience.by_beacon(),
                word.waiting if word else 0,
                word.admitted_per_s if word else 0.0,
            )
        documents = tuple(room.document for room in self._rooms.all())
        return self._known.view(now_ns, connected=self._bus.connected, rooms=documents, numbers=numbers)

    def _fresh(self, key: tuple[str, ...]) -> Response | None:
        at, response = self._made.get(key, (None, None))
        return response if at is not None and self._clock.monotonic_ns() - at < 2 * FRESH_NS else None

    def _keep(self, key: tuple[str, ...], response: Response) -> Response:
        self._made[key] = (self._clock.monotonic_ns(), response)
        return response


def _encoding(request: Request) -> str:
    return "gzip" if "gzip" in request.headers.get("accept-encoding", "") else ""


def _packed(body: bytes) -> bytes:
    """Return a fifth of the bytes: once a second, for a crowd whose line is what is short."""
    return gzip.compress(body, 6, mtime=0)
