"""Real caches before a real edge, with the files of deploy/: one request upstream an object, and nothing in the way."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.fakes.caches import cache, nginx_cache
from tests.fakes.crowd import DIRECT, Counted, crowd, delays_ms
from tests.fakes.hls_player import exchange
from tests.fakes.wav_room import WavRoom, wav_room

PLAYERS = 200
SECONDS = 4.0


@pytest.fixture
async def room() -> AsyncIterator[WavRoom]:
    async with wav_room() as running:
        async with exchange(running.url) as http:
            assert (await http.get("/r/demo/aac.m3u8"))[0] == 200  # the first segment is there
        yield running


@pytest.mark.parametrize("which", ["varnish", "nginx"])
async def test_a_cache_asks_once_for_all(
    room: WavRoom, tmp_path: Path, which: str, record_property: Callable[[str, object], None]
) -> None:
    counted = Counted(room.edge)
    with cache(which, tmp_path, room.port) as url:
        players, beside = await crowd(f"{url}/r/demo", room.url, players=PLAYERS, seconds=SECONDS)
    delays = sorted(delays_ms(players, beside))
    record_property("delay_p50_ms", delays[len(delays) // 2])
    assert [player.problems for player in players if player.problems] == []
    assert min(len(player.at_s) for player in players) >= 2
    assert min(player.parts for player in players) >= 2
    for player in players:
        for position in player.playlists.keys() & beside.playlists.keys():
            assert player.playlists[position] == beside.playlists[position]
    assert not any("ticket" in asked for asked in counted.asked)
    assert counted.per_object() <= 1.02


async def test_http2_streams_wait_for_a_part_together(room: WavRoom, tmp_path: Path) -> None:
    counted = Counted(room.edge)
    async with exchange(room.url, DIRECT) as http:
        playlist = (await http.get("/r/demo/aac.m3u8"))[2].decode()
    next_segment = int(re.findall(r'PRELOAD-HINT:TYPE=PART,URI="aac/\d+/(\d+)\.', playlist)[0]) + 1
    with nginx_cache(tmp_path, room.port) as (_, url):
        target = f"{url}/r/demo/aac.m3u8?_HLS_msn={next_segment}&_HLS_part=0"
        command = ["h2load", "-n", str(PLAYERS), "-c", "20", "-m", "10", "-t", "1", target]
        said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert "Application protocol: h2" in said.stdout
    assert f"{PLAYERS} done, {PLAYERS} succeeded, 0 failed" in said.stdout
    assert counted.per_object() == 1


@pytest.mark.parametrize("which", ["varnish", "nginx"])
async def test_what_is_not_there_is_asked_once_a_second(room: WavRoom, tmp_path: Path, which: str) -> None:
    counted = Counted(room.edge)
    missing = ("/r/demo/aac/1/999999999.m4s", "/r/nobody/state.json", "/r/demo/aac.m3u8?_HLS_part=1")
    with cache(which, tmp_path, room.port) as url:
        async with exchange(url) as http:
            said = [[(await http.get(address))[0] for _ in range(5)] for address in missing]
    assert said == [[404] * 5, [404] * 5, [400] * 5]
    assert max(counted.asked.values()) <= 2  # a second may pass between two of them


@pytest.mark.parametrize("which", ["varnish", "nginx"])
async def test_a_stream_without_an_end_passes(room: WavRoom, tmp_path: Path, which: str) -> None:
    with cache(which, tmp_path, room.port) as url:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
            writer.write(b"GET /r/demo/listen.mp3?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await reader.readline()
            await reader.readexactly(4_000)
            writer.close()
