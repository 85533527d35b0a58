"""Replays from the edge above: how long they are kept, how much, and what is said while it is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stentor.bus.upstream_http import UpstreamAddress
from stentor.clock import SystemClock
from stentor.errors import NotFound, Unavailable
from stentor.replay import upstream
from stentor.replay.upstream import UpstreamReplay
from tests.fakes.clock import VirtualClock

SEGMENT = "replay/aac/1/{}.m4s"
YEAR = "public, max-age=31536000, immutable"


class Above:
    """An edge above that answers what it is told to, raw, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = b""
        self.release: asyncio.Event | None = None
        self.port = 0

    def say(self, status: int, cache: str, body: bytes, *more: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", f"Cache-Control: {cache}", *more]
        self.answer = "\r\n".join([*lines, "", ""]).encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split("\r\n")[0])
        if self.release is not None:
            await self.release.wait()
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def above() -> AsyncIterator[tuple[Above, UpstreamReplay, VirtualClock]]:
    made, clock = Above(), VirtualClock()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made, UpstreamReplay(UpstreamAddress.parse(f"http://127.0.0.1:{made.port}"), clock), clock


async def test_many_who_ask_at_once_are_one_request() -> None:
    async with above() as (edge, replay, _):
        edge.say(200, YEAR, b"segment")
        edge.release = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(replay.reply("r", SEGMENT.format(7), "GET", None)) for _ in range(50)]
            while not edge.asked:  # noqa: ASYNC110 - the first connection rings no bell
                await asyncio.sleep(0.01)
            edge.release.set()
        assert {(task.result().status, task.result().body) for task in asked} == {(200, b"segment")}
        assert ("Cache-Control", YEAR) in asked[0].result().headers
        assert "Age" not in dict(asked[0].result().headers)
        assert edge.asked == ["GET /r/r/replay/aac/1/7.m4s HTTP/1.1"]


async def test_a_playlist_is_asked_for_again_when_it_is_old_counting_from_where_it_was_made() -> None:
    async with above() as (edge, replay, clock):
        edge.say(200, "public, max-age=10", b"one", "Age: 4")
        reply = await replay.reply("r", "replay.m3u8", "GET", None)
        assert dict(reply.headers)["Age"] == "4"
        await clock.advance(5)
        edge.say(200, "public, max-age=10", b"two")
        reply = await replay.reply("r", "replay.m3u8", "GET", None)
        assert (reply.body, dict(reply.headers)["Age"]) == (b"one", "9")
        await clock.advance(1)
        assert (await replay.reply("r", "replay.m3u8", "GET", None)).body == b"two"
        assert len(edge.asked) == 2


async def test_what_is_not_there_is_asked_for_once_a_second_and_a_fault_each_time() -> None:
    async with above() as (edge, replay, clock):
        edge.say(404, "no-store", b"{}")
        for _ in range(3):
            assert (await replay.reply("r", "replay.m3u8", "GET", None)).status == 404
        assert len(edge.asked) == 1
        await clock.advance(1)
        edge.say(503, "no-store", b"{}")
        for _ in range(2):
            with pytest.raises(Unavailable):
                await replay.reply("r", "replay.m3u8", "GET", None)
        assert len(edge.asked) == 3


async def test_rather_old_than_nothing_while_the_edge_above_is_away() -> None:
    async with above() as (edge, replay, clock):
        edge.say(200, "public, max-age=1", b"one")
        assert (await replay.reply("r", "replay/aac.m3u8", "GET", None)).body == b"one"
    await clock.advance(60)
    assert (await replay.reply("r", "replay/aac.m3u8", "GET", None)).body == b"one"
    for path in ("replay/opus.m3u8", "recording.mp3"):
        with pytest.raises(Unavailable, match="The edge above does not answer"):
            await replay.reply("r", path, "GET", None)


async def test_what_is_kept_is_bounded_and_the_longest_unasked_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "KEPT_BYTES", 2_500)
    async with above() as (edge, replay, _):
        edge.say(200, YEAR, bytes(1_000))
        for number in (1, 2, 1, 3, 1):
            await replay.reply("r", SEGMENT.format(number), "GET", None)
        assert len(edge.asked) == 3
        assert replay._size_bytes == sum(len(kept.body) for kept in replay._kept.values()) == 2_000
        await replay.reply("r", SEGMENT.format(2), "GET", None)
        assert len(edge.asked) == 4


@pytest.mark.parametrize("path", ["replay/x.m3u8", "replay/../state.json", "replay/aac/1/7.m4s?x", "recording.wav"])
async def test_nothing_else_is_asked_for(path: str) -> None:
    replay = UpstreamReplay(UpstreamAddress.parse("http://127.0.0.1:9"), SystemClock())
    with pytest.raises(NotFound):
        await replay.reply("r", path, "GET", None)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + bytes(200_000)])
async def test_what_is_no_answer_is_unavailable(answer: bytes) -> None:
    async with above() as (edge, replay, _):
        edge.answer = answer
        with pytest.raises(Unavailable):
            await replay.reply("r", "replay.m3u8", "GET", None)


async def test_an_answer_that_breaks_off_is_not_kept() -> None:
    async with above() as (edge, replay, _):
        edge.say(200, YEAR, b"whole")
        edge.answer = edge.answer[:-2]
        with pytest.raises(Unavailable, match="broke off"):
            await replay.reply("r", SEGMENT.format(1), "GET", None)
        edge.say(200, YEAR, b"whole")
        assert (await replay.reply("r", SEGMENT.format(1), "GET", None)).body == b"whole"


async def test_a_download_that_nobody_reads_lets_go() -> None:
    async with above() as (edge, replay, _):
        edge.say(200, "public", bytes(100_000))
        reply = await replay.reply("r", "recording.mp3", "GET", None)
        assert ("Content-Length", "100000") in reply.headers
        assert replay._streams == 1
        del reply
        async with asyncio.timeout(5):
            while replay._streams:  # noqa: ASYNC110 - what the collector ends rings no bell
                await asyncio.sleep(0.01)
