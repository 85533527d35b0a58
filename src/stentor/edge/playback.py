"""Playback: LL-HLS (RFC 8216bis) from the live window of one rendition.

Playlists, parts and segments are rendered once and kept as ready answers. A request that must wait (a blocking
reload, the part of a preload hint, anything while the relay is still catching up) leaves a question behind that is
asked again, in one pass over all of them, whenever the window has grown.
"""

from collections.abc import Callable
from urllib.parse import quote

from stentor.edge.connection import Connection
from stentor.edge.http import CORS, IMMUTABLE, ONE_SECOND, Limits, Request, Response, problem
from stentor.edge.metrics import HELD
from stentor.errors import BadRequest, NotFound, StentorError, Unavailable
from stentor.media.chunk import Chunk
from stentor.media.fmp4 import fragment, init_segment
from stentor.media.playlist import CONTENT_TYPE, TARGET_DURATION_S, media_playlist, multivariant_playlist
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName
from stentor.media.window import Part, Window

WINDOW_SEGMENTS = 16
_BLOCKED = f"public, max-age={6 * TARGET_DURATION_S}"
"""An answer to a blocking reload never changes; RFC 8216bis, B.1 has it kept for six target durations."""

Question = Callable[[], Response | None]
"""Returns the answer once there is one; raises StentorError when there will never be."""


class Playback:
    """The players of one rendition of a room."""

    def __init__(self, rendition: Rendition, zero_ns: int, limits: Limits) -> None:
        self._rendition = rendition
        self._zero_ns = zero_ns
        self._limits = limits
        # The relay has put the chunks in order and looked everywhere: what is missing now stays missing.
        self._window = Window(rendition, WINDOW_SEGMENTS, patience_steps=0)
        self._caught_up = False
        self._held: dict[Connection, Question] = {}
        self._playlists: dict[tuple[bool, bool], Response] = {}
        self._media: dict[tuple[int, int, int], Response] = {}
        self._init = Response(200, _headers("audio/mp4", IMMUTABLE), init_segment(rendition))

    # Requests.

    def playlist(self, connection: Connection, request: Request) -> Response | None:
        """Answer for the media playlist, with blocking reload (6.2.5.2) and delta updates (6.2.5.1)."""
        msn, part = _directive(request, "_HLS_msn"), _directive(request, "_HLS_part")
        skip = request.query.get("_HLS_skip") in ("YES", "v2")
        if part is not None and msn is None:
            raise BadRequest("_HLS_part needs _HLS_msn.", slug="bad-directive")

        def answer() -> Response | None:
            window = self._window
            if window.ended:
                return self._render(skip=skip, blocking=False)
            if msn is None:
                # Players that know no parts fail on a playlist without a segment: at the very start they wait for one.
                has_segment = any(segment.complete and not segment.gap for segment in window.segments())
                return self._render(skip=skip, blocking=False) if has_segment else None
            if window.frontier and window.far_ahead(msn):
                raise BadRequest("_HLS_msn is more than two segments ahead.", slug="bad-directive")
            return self._render(skip=skip, blocking=True) if window.holds(msn, part) else None

        return self._ask(connection, answer)

    def init(self) -> Response:
        """Answer for the initialisation segment, which is the same in every epoch."""
        return self._init

    def segment(self, connection: Connection, epoch: int, number: int) -> Response | None:
        """Answer for a whole segment."""

        def answer() -> Response:
            segment = self._window.segment(number)
            if segment is None or segment.epoch != epoch:
                raise _gone("segment")
            return self._kept((number, -1, epoch), segment.parts)

        return self._ask(connection, answer)

    def part(self, connection: Connection, epoch: int, number: int, index: int) -> Response | None:
        """Answer for a part; the one that the preload hint names is waited for (4.4.5.3)."""

        def answer() -> Response | None:
            part = self._window.part(number, index)
            if part is not None and part.epoch == epoch:
                return self._kept((number, index, epoch), (part,))
            if self._window.next_part() == (number, index, epoch):
                return None
            raise _gone("part")

        return self._ask(connection, answer)

    def _ask(self, connection: Connection, question: Question) -> Response | None:
        answer = question() if self._caught_up or self._window.ended else None
        if answer is None:
            self._held[connection] = question
            HELD.inc()
            connection.on_lost = lambda: self._release(connection)
            connection.set_deadline(self._limits.hold_s, lambda: self._expire(connection))
        return answer

    def _release(self, connection: Connection) -> None:
        if self._held.pop(connection, None) is not None:
            HELD.dec()
        connection.on_lost = None

    def _expire(self, connection: Connection) -> None:
        """Give up waiting after three target durations (6.2.5.2)."""
        self._release(connection)
        connection.respond(problem(Unavailable("Nothing new has come yet; ask again.")))

    def _answer_held(self) -> None:
        for connection, question in tuple(self._held.items()):
            try:
                answer = question()
            except StentorError as error:
                answer = problem(error)
            if answer is not None:
                self._release(connection)
                connection.no_deadline()
                connection.respond(answer)

    # What is kept ready.

    def _render(self, *, skip: bool, blocking: bool) -> Response:
        response = self._playlists.get((skip, blocking))
        if response is None:
            text = media_playlist(self._window, zero_ns=self._zero_ns, skip=skip)
            headers = _headers(CONTENT_TYPE, _BLOCKED if blocking else ONE_SECOND)
            response = self._playlists[skip, blocking] = Response(200, headers, text.encode())
        return response

    def _kept(self, key: tuple[int, int, int], parts: tuple[Part, ...]) -> Response:
        response = self._media.get(key)
        if response is None:
            body = b"".join(
                fragment(self._rendition, part.sequence, part.decode_time, part.units) for part in parts if not part.gap
            )
            response = self._media[key] = Response(200, _headers("audio/mp4", IMMUTABLE), body)
        return response

    # The relay's side.

    def take(self, chunk: Chunk) -> None:
        """Add a chunk; answer whoever waited for it."""
        frontier = self._window.frontier
        if not self._window.add(chunk) or not self._caught_up or self._window.frontier == frontier:
            return
        self._playlists.clear()
        self._answer_held()
        oldest = chunk.segment - 2 * WINDOW_SEGMENTS
        for key in [key for key in self._media if key[0] < oldest]:
            del self._media[key]

    def ready(self) -> None:
        """Answer from now on."""
        self._caught_up = True
        self._answer_held()

    def drain(self) -> None:
        """Send whoever waits to another edge."""
        for connection in tuple(self._held):
            self._expire(connection)

    def finish(self) -> None:
        """Close the playlist; whoever waits is told so."""
        self._window.end()
        self._playlists.clear()
        self._answer_held()


def multivariant_response(name: RenditionName, request: Request) -> Response:
    """Return the multivariant playlist with one rendition; a ticket goes on to the media playlist."""
    ticket = request.query.get("ticket", "")
    uri = f"{name}.m3u8" + (f"?ticket={quote(ticket[:64], safe='')}" if ticket else "")
    text = multivariant_playlist(RENDITIONS[name], uri)
    return Response(200, _headers(CONTENT_TYPE, "public, max-age=60"), text.encode())


def _headers(kind: str, cache: str) -> dict[str, str]:
    return {"Content-Type": kind, "Cache-Control": cache, "X-Content-Type-Options": "nosniff", **CORS}


def _directive(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadRequest(f"{name} must be a number of 12 digits at most.", slug="bad-directive")
    return int(text)


def _gone(what: str) -> NotFound:
    return NotFound(f"This {what} is not held here, or not any more.", slug="no-such-media")
