"""Playback: LL-HLS (RFC 8216bis) from the live window of one rendition.

Playlists, parts and segments are rendered once and kept as ready answers. A blocking reload gets the playlist as it
stood when the part it asks for came, whoever asks, when and at which edge: a cache may keep it. Requests that must
wait (for a part, or while the relay is still catching up) are grouped by what they ask; when the window grows each
group is answered in one pass with the same bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from stentor.edge.connection import Connection
from stentor.edge.http import CORS, IMMUTABLE, ONE_SECOND, Limits, Request, Response, problem
from stentor.edge.metrics import HELD
from stentor.errors import BadRequest, NotFound, StentorError, Unavailable
from stentor.media.chunk import Chunk
from stentor.media.fmp4 import fragment, init_segment
from stentor.media.grid import (
    PARTS_PER_SEGMENT,
    STEPS_PER_PART,
    STEPS_PER_SEGMENT,
    Segment,
    Step,
    first_step,
    segment_of,
)
from stentor.media.playlist import CONTENT_TYPE, TARGET_DURATION_S, media_playlist, multivariant_playlist
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName
from stentor.media.window import Listing, Part, Window

WINDOW_SEGMENTS = 16
_KEPT_STEPS = 6 * STEPS_PER_SEGMENT
"""How far back a blocking reload gets the playlist of its own part: 11.5 s. Who asks for less gets the present one."""
_BLOCKED = f"public, max-age={6 * TARGET_DURATION_S}"
"""An answer to a blocking reload never changes; RFC 8216bis, B.1 has it kept for six target durations."""


@dataclass(frozen=True, slots=True)
class _PlaylistAsk:
    """A playlist that lists everything before step ``wanted``; None: the present one."""

    wanted: Step | None
    skip: bool


@dataclass(frozen=True, slots=True)
class _MediaAsk:
    """Part ``index`` of a segment; None: the whole segment."""

    epoch: int
    number: int
    index: int | None


_Ask = _PlaylistAsk | _MediaAsk


class Playback:
    """The players of one rendition of a room."""

    def __init__(self, rendition: Rendition, zero_ns: int, limits: Limits) -> None:
        self._rendition = rendition
        self._zero_ns = zero_ns
        self._limits = limits
        self._window = Window(rendition, WINDOW_SEGMENTS)
        self._caught_up = False
        self._ticks = 0
        self._held: dict[_Ask, dict[Connection, int]] = {}  # what is asked -> by whom, since which tick
        self._present: Listing | None = None
        self._playlists: dict[tuple[Step | None, bool], Response] = {}
        self._media: dict[_MediaAsk, Response] = {}
        self._init = Response(200, _headers("audio/mp4", IMMUTABLE), init_segment(rendition))

    # Requests.

    def playlist(self, connection: Connection, request: Request) -> Response | None:
        """Answer for the media playlist, with blocking reload (6.2.5.2) and delta updates (6.2.5.1)."""
        msn, part = _directive(request, "_HLS_msn"), _directive(request, "_HLS_part")
        skip = request.query.get("_HLS_skip") in ("YES", "v2")
        if msn is None:
            if part is not None:
                raise BadRequest("_HLS_part needs _HLS_msn.", slug="bad-directive")
            return self._ask(connection, _PlaylistAsk(None, skip))
        return self._ask(connection, _PlaylistAsk(_wanted(msn, part), skip))

    def init(self) -> Response:
        """Answer for the initialisation segment, which is the same in every epoch."""
        return self._init

    def segment(self, connection: Connection, epoch: int, number: int) -> Response | None:
        """Answer for a whole segment."""
        return self._ask(connection, _MediaAsk(epoch, number, None))

    def part(self, connection: Connection, epoch: int, number: int, index: int) -> Response | None:
        """Answer for a part; the one that the preload hint names is waited for (4.4.5.3)."""
        return self._ask(connection, _MediaAsk(epoch, number, index))

    def _ask(self, connection: Connection, ask: _Ask) -> Response | None:
        answer = self._answer(ask) if self._caught_up or self._window.ended else None
        if answer is None:
            self._held.setdefault(ask, {})[connection] = self._ticks
            HELD.inc()
            connection.on_lost = partial(self._lost, ask, connection)
        return answer

    def _lost(self, ask: _Ask, connection: Connection) -> None:
        group = self._held.get(ask, {})
        if group.pop(connection, None) is not None:
            HELD.dec()
            if not group:
                del self._held[ask]

    # Answers: a response, None where it is not known yet, or StentorError where there will never be one.

    def _answer(self, ask: _Ask) -> Response | None:
        return self._playlist(ask) if isinstance(ask, _PlaylistAsk) else self._medium(ask)

    def _playlist(self, ask: _PlaylistAsk) -> Response | None:
        window, wanted = self._window, ask.wanted
        if wanted is None:
            # Players that know no parts fail on a playlist without a segment: at the very start they wait for one.
            known = any(segment.complete and not segment.gap for segment in self._listing().segments)
            return self._render(None, skip=ask.skip) if known or window.ended else None
        if not window.ended and window.frontier and window.far_ahead(segment_of(Step(wanted - 1))):
            raise BadRequest("_HLS_msn is more than two segments ahead.", slug="bad-directive")
        stop = window.stop(wanted)
        if stop is None and not window.ended:
            return None
        if stop is not None and stop < window.newest_stop() - _KEPT_STEPS:
            stop = None
        return self._render(stop, skip=ask.skip)

    def _medium(self, ask: _MediaAsk) -> Response | None:
        window = self._window
        if ask in self._media:
            return self._media[ask]
        if ask.index is None:
            segment = window.segment(ask.number)
            if segment is not None and segment.epoch == ask.epoch:
                return self._wrap(ask, segment.parts)
            raise NotFound("This segment is not held here, or not any more.", slug="no-such-media")
        part = window.part(ask.number, ask.index)
        if part is not None and part.epoch == ask.epoch:
            return self._wrap(ask, (part,))
        if window.next_part() == (ask.number, ask.index, ask.epoch):
            return None
        raise NotFound("This part is not held here, or not any more.", slug="no-such-media")

    def _listing(self) -> Listing:
        if self._present is None:
            self._present = self._window.listing()
        return self._present

    def _render(self, stop: Step | None, *, skip: bool) -> Response | None:
        """Return the playlist of a stop (None: the present one) unless it has nothing to list yet."""
        response = self._playlists.get((stop, skip))
        if response is not None:
            return response
        listing = self._listing() if stop is None else self._window.listing(stop)
        if not listing.segments and not listing.ended:
            return self._render(None, skip=skip) if self._listing().segments or self._window.ended else None
        text = media_playlist(listing, self._rendition, zero_ns=self._zero_ns, skip=skip)
        cache = _BLOCKED if stop is not None and listing.proven else ONE_SECOND
        response = self._playlists[stop, skip] = Response(200, _headers(CONTENT_TYPE, cache), text.encode())
        return response

    def _wrap(self, ask: _MediaAsk, parts: tuple[Part, ...]) -> Response:
        body = b"".join(
            fragment(self._rendition, part.sequence, part.decode_time, part.units) for part in parts if not part.gap
        )
        cache = IMMUTABLE if all(part.proven for part in parts) else ONE_SECOND
        response = self._media[ask] = Response(200, _headers("audio/mp4", cache), body)
        return response

    # The relay's side.

    def take(self, chunk: Chunk) -> None:
        """Add a chunk; answer whoever waited for it."""
        before = self._window.newest_stop()
        if self._window.add(chunk) and self._window.newest_stop() != before:
            self._grown()

    def _grown(self) -> None:
        self._present = None
        stop = self._window.newest_stop()
        kept = {key: response for key, response in self._playlists.items() if key[0] and key[0] >= stop - _KEPT_STEPS}
        self._playlists = kept
        oldest = segment_of(stop) - 2 * WINDOW_SEGMENTS
        for ask in [ask for ask in self._media if ask.number < oldest]:
            del self._media[ask]
        if self._caught_up or self._window.ended:
            self._answer_held()

    def _answer_held(self) -> None:
        for ask in tuple(self._held):
            try:
                answer = self._answer(ask)
            except StentorError as error:
                answer = problem(error)
            if answer is not None:
                self._release(self._held.pop(ask), answer)

    @staticmethod
    def _release(connections: Iterable[Connection], response: Response) -> None:
        """Give the same answer to everybody who asked the same."""
        count = 0
        for connection in connections:
            count += 1
            connection.on_lost = None
            connection.respond(response)
        HELD.dec(count)

    def ready(self) -> None:
        """Answer from now on."""
        self._caught_up = True
        self._grown()

    def tick(self) -> None:
        """Once a second: give up on what has been waited for through three target durations (6.2.5.2)."""
        self._ticks += 1
        for ask, group in tuple(self._held.items()):
            late = [connection for connection, since in group.items() if self._ticks - since > self._limits.hold_s]
            for connection in late:
                del group[connection]
            if not group:
                del self._held[ask]
            if late:
                self._release(late, problem(Unavailable("Nothing new has come yet; ask again.", slug="nothing-new")))

    def drain(self) -> None:
        """Send whoever waits to another edge."""
        held, self._held = self._held, {}
        for group in held.values():
            self._release(group, problem(Unavailable("This edge stops; ask again.")))

    def finish(self) -> None:
        """Close the playlist; whoever waits is told so."""
        self._window.end()
        self._grown()


def ticket_query(request: Request) -> str:
    """Return the query that takes a request's ticket on to the media playlist."""
    ticket = request.query.get("ticket", "")
    return f"ticket={quote(ticket[:64], safe='')}" if ticket else ""


def multivariant_response(name: RenditionName, query: str) -> Response:
    """Return the multivariant playlist with one rendition; ``query`` goes on to its media playlist, past caches."""
    uri = f"{name}.m3u8?{query}" if query else f"{name}.m3u8"
    text = multivariant_playlist(RENDITIONS[name], uri)
    cache = "private, max-age=60" if query else "public, max-age=60"
    return Response(200, _headers(CONTENT_TYPE, cache), text.encode())


def _headers(kind: str, cache: str) -> dict[str, str]:
    return {"Content-Type": kind, "Cache-Control": cache, "X-Content-Type-Options": "nosniff", **CORS}


def _directive(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadRequest(f"{name} must be a number of 12 digits at most.", slug="bad-directive")
    return int(text)


def _wanted(msn: int, part: int | None) -> Step:
    """Return the step up to which a blocking reload wants everything (6.2.5.2).

    Without ``_HLS_part`` that is the whole segment; a part beyond the last one stands for part 0 of the next segment.
    """
    if part is None:
        return first_step(Segment(msn + 1))
    if part >= PARTS_PER_SEGMENT:
        msn, part = msn + 1, 0
    return Step(first_step(Segment(msn)) + (part + 1) * STEPS_PER_PART)
