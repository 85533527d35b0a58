"""Edges of different ages on one bus: the same address is the same bytes, across an origin's takeover, too."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from stentor.edge.server import Edge, EdgeSettings
from tests.fakes.wav_room import WavRoom, wav_room

HINT = re.compile(r'PRELOAD-HINT:TYPE=PART,URI="opus/(\d+)/(\d+)\.(\d)\.m4s"')


@asynccontextmanager
async def one_more_edge(room: WavRoom, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the room at one more edge, which begins now."""
    edge = Edge(bus=room.bus, clock=room.clock, settings=EdgeSettings(name=name, drain_s=0.1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = room.tasks.create_task(edge.run(listening))
        await edge.started.wait()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}") as client:
                yield client
        finally:
            edge.stop()
            await serving


async def answers(client: httpx.AsyncClient, newest: int) -> dict[str, tuple[int, str, bytes]]:
    """Return what an edge says to every reload of the last 20 parts and of the next two, and the media they list."""
    playlist = (await client.get("/r/demo/opus.m3u8")).text
    begins = int(playlist.split("#EXT-X-MEDIA-SEQUENCE:")[1].split()[0]) * 4
    said = {}
    for part in range(max(begins, newest - 20), newest + 2):
        for skip in ("", "&_HLS_skip=YES"):
            address = f"/r/demo/opus.m3u8?_HLS_msn={part // 4}&_HLS_part={part % 4}{skip}"
            said[address] = await client.get(address, timeout=15)
    listed = {uri for reply in said.values() for uri in re.findall(r'PART:.*URI="(\S+)"', reply.text)}
    listed |= {uri for reply in said.values() for uri in re.findall(r"^opus.*m4s$", reply.text, re.MULTILINE)}
    said |= {uri: await client.get(f"/r/demo/{uri}") for uri in sorted(listed)}
    return {
        address: (reply.status_code, reply.headers["cache-control"], reply.content) for address, reply in said.items()
    }


async def newest_part(client: httpx.AsyncClient, *, epoch: int) -> int:
    """Return the number of the newest part once an epoch has some, counted through all segments."""
    playlist = (await client.get("/r/demo/opus.m3u8", timeout=15)).text
    hint = HINT.search(playlist)
    while hint and not re.search(rf"EXT-X-PART:.*opus/{epoch}/", playlist):
        ahead = f"_HLS_msn={hint[2]}&_HLS_part={hint[3]}"
        playlist = (await client.get(f"/r/demo/opus.m3u8?{ahead}", timeout=15)).text
        hint = HINT.search(playlist)
    assert hint, playlist
    return int(hint[2]) * 4 + int(hint[3]) - 1


@pytest.mark.timeout(60)
async def test_edges_of_every_age_write_the_same_bytes() -> None:
    async with wav_room() as room, AsyncExitStack() as stack:
        early = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}"))
        newest = await newest_part(early, epoch=1)
        expected = await answers(early, newest)
        late = await stack.enter_async_context(one_more_edge(room, "edge-2"))
        found = await answers(late, newest)
        assert found.keys() == expected.keys()
        assert [address for address in found if found[address] != expected[address]] == []
        assert any("max-age=12" in cache for _, cache, _ in found.values())

        await room.kill_origin()
        room.start_origin()
        newest = await newest_part(early, epoch=2)
        expected = await answers(early, newest)
        assert any(b"#EXT-X-DISCONTINUITY\n" in body for _, _, body in expected.values())
        latest = await stack.enter_async_context(one_more_edge(room, "edge-3"))
        for client in (late, latest):
            found = await answers(client, newest)
            different = [address for address in found if found[address][2] != expected.get(address, (0, "", b""))[2]]
            assert different == []
