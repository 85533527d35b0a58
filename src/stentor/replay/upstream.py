"""The replay of an edge behind an edge: fetched from the edge above, once, however many ask.

What is whole and small (playlists, segments, state) is kept as long as its Cache-Control says, up to 64 MB, and one
request serves everybody who asks meanwhile. Recordings and proofs are passed on piece by piece, ranges too.
"""

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from stentor.bus.upstream_http import Answer, UpstreamAddress, ask
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.errors import NotFound, StentorError, Unavailable
from stentor.replay.replay import Headers, Reply

KEPT_BYTES = 67_108_864
_MAX_OBJECT_BYTES = 8_388_608
_AT_A_TIME = 32
_MAX_STREAMS = 256
_NOT_THERE_S = 1
_KNOWN = re.compile(
    r"replay\.m3u8|replay/(?:aac|opus)(?:\.m3u8|/[0-9]{1,10}/(?:init\.mp4|[0-9]{1,12}\.m4s))"
    r"|(?P<stream>recording\.(?:m4a|opus|mp3)|proof\.json)"
)
_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "date", "age"})

_asked = Counter("stentor_replay_upstream_requests", "Requests to the edge above for replays")
_shared = Counter("stentor_replay_upstream_shared", "Requests answered with what was kept or on its way")
_kept_bytes = Gauge("stentor_replay_upstream_kept_bytes", "Bytes of replays kept from the edge above")


@dataclass(frozen=True, slots=True)
class _Kept:
    """One whole answer of the edge above, how old it was then, and until when it may be given out unasked."""

    status: int
    headers: Headers
    body: bytes
    age_s: int
    came: MonotonicNs
    until: MonotonicNs


class UpstreamReplay:
    """Answers for replays with what the edge above answers; an ``edge.replay_port.ReplayDesk``."""

    def __init__(self, address: UpstreamAddress, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size_bytes = 0
        self._flights: dict[str, asyncio.Future[_Kept]] = {}
        self._slots = asyncio.Semaphore(_AT_A_TIME)
        self._streams = 0

    async def reply(self, room: str, path: str, method: str, range_header: str | None) -> Reply:
        """Answer a request for what follows ``/r/{room}/``. Raises NotFound, and Unavailable while nobody answers."""
        match = _KNOWN.fullmatch(path)
        if match is None:
            raise NotFound("The recording has no such part.", slug="no-recording")
        target = f"/r/{room}/{path}"
        if match["stream"]:
            return await self._stream(target, method, range_header)
        kept = await self._whole(target)
        headers = list(kept.headers)
        if kept.until - kept.came < 3_600 * NS_PER_S:  # RFC 9111, 5.1: caches behind us count on from here
            age_s = kept.age_s + (self._clock.monotonic_ns() - kept.came) // NS_PER_S
            headers.append(("Age", str(age_s)))
        return Reply(kept.status, headers, kept.body)

    async def summary(self, room: str) -> dict[str, object] | None:
        """Return the field ``replay`` of the edge above's state.json."""
        kept = await self._whole(f"/r/{room}/state.json")
        try:
            state = json.loads(kept.body) if kept.status == 200 else {}
        except ValueError as error:
            raise Unavailable("The edge above says of a room what nobody can read.") from error
        replay = state.get("replay") if isinstance(state, dict) else None
        return replay if isinstance(replay, dict) else None

    # What is whole.

    async def _whole(self, target: str) -> _Kept:
        kept = self._kept.get(target)
        if kept is not None and self._clock.monotonic_ns() < kept.until:
            self._kept.move_to_end(target)
            _shared.inc()
            return kept
        try:
            return await self._fly(target)
        except Unavailable:
            if kept is None or kept.status != 200:
                raise
            return kept  # RFC 5861, 4: rather old than nothing while the edge above is away

    async def _fly(self, target: str) -> _Kept:
        """Fetch, or wait for whoever fetches the same."""
        flight = self._flights.get(target)
        if flight is not None:
            _shared.inc()
            return await asyncio.shield(flight)
        flight = self._flights[target] = asyncio.get_running_loop().create_future()
        try:
            flight.set_result(await self._fetch(target))
        except StentorError as error:
            flight.set_exception(error)
        finally:
            del self._flights[target]
            if not flight.done():
                flight.cancel()
        return await flight

    async def _fetch(self, target: str) -> _Kept:
        async with self._slots:
            _asked.inc()
            answer = await ask(self._address, "GET", target, {})
            body = await answer.read(_MAX_OBJECT_BYTES)
        if answer.status >= 500:
            raise Unavailable("The edge above cannot answer at the moment.")
        now = self._clock.monotonic_ns()
        age = answer.header("age")
        age_s = int(age) if age.isdigit() and len(age) < 9 else 0
        fresh_s = max(0, _fresh_s(answer) - age_s)
        kept = _Kept(answer.status, _headers(answer), body, age_s, now, MonotonicNs(now + fresh_s * NS_PER_S))
        if fresh_s:
            self._keep(target, kept)
        return kept

    def _keep(self, target: str, kept: _Kept) -> None:
        old = self._kept.pop(target, None)
        self._size_bytes += len(kept.body) - (len(old.body) if old else 0)
        self._kept[target] = kept
        while self._size_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._size_bytes -= len(oldest.body)
        _kept_bytes.set(self._size_bytes)

    # What is too large to be held.

    async def _stream(self, target: str, method: str, range_header: str | None) -> Reply:
        if self._streams >= _MAX_STREAMS:
            raise Unavailable("Too many recordings are being downloaded here; try again soon.")
        _asked.inc()
        answer = await ask(self._address, method, target, {"Range": range_header} if range_header else {})
        if answer.status not in (200, 206):
            return Reply(answer.status, _headers(answer), await answer.read(_MAX_OBJECT_BYTES))
        body = self._counted(answer)
        await anext(body)  # begun, it lets go of its connection also when nobody reads it
        length = answer.header("content-length")
        return Reply(answer.status, [*_headers(answer), *([("Content-Length", length)] if length else [])], body)

    async def _counted(self, answer: Answer) -> AsyncGenerator[bytes, None]:
        self._streams += 1
        try:
            async with aclosing(answer.body) as body:
                yield b""
                async for piece in body:
                    yield piece
        finally:
            self._streams -= 1


def _headers(answer: Answer) -> Headers:
    """Return the headers that go on: none that speak of one connection, nor the length, which is counted again."""
    gone = _HOP_BY_HOP | {"content-length"}
    return [(name, value) for name, value in answer.headers if name.lower() not in gone]


def _fresh_s(answer: Answer) -> int:
    """Return for how many seconds an answer may be given out again; what is not there is asked for once a second."""
    if answer.status == 404:
        return _NOT_THERE_S
    match = _MAX_AGE.search(answer.header("cache-control"))
    return int(match[1]) if match and answer.status == 200 else 0
