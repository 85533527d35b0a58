"""Playback and progressive as players see them that nobody here wrote: ffmpeg, ffprobe, mpv."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from stentor.media.rendition import RenditionName
from stentor.room.states import RoomState
from tests.fakes.wav_room import WavRoom, wav_room

RATE_HZ = 48_000


@pytest.fixture
async def room() -> AsyncIterator[WavRoom]:
    async with wav_room() as running:
        yield running


async def run(*command: str, seconds: float = 40.0) -> tuple[bytes, str]:
    """Run a program and return what it wrote; fails when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds):
            out, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, errors.decode()[-2_000:]
    return out, errors.decode()


def beep_starts(pcm: np.ndarray) -> list[float]:
    """Return where beeps begin, in seconds: loudness over 5 ms crosses a threshold after 0.3 s of silence."""
    blocks = pcm[: len(pcm) // 240 * 240].reshape(-1, 240)
    loud = np.sqrt((blocks**2).mean(axis=1)) > 0.1
    starts = [i for i in range(60, len(loud)) if loud[i] and not loud[i - 60 : i].any()]
    return [start * 240 / RATE_HZ for start in starts]


@pytest.mark.parametrize("path", ["live.m3u8", "live-opus.m3u8", "listen.aac", "listen.mp3", "listen.opus"])
async def test_ffmpeg_hears_every_beep_on_time(room: WavRoom, path: str) -> None:
    out, errors = await run(
        "ffmpeg", "-hide_banner", "-loglevel", "warning", "-i", f"{room.url}/{path}",
        "-t", "5", "-f", "f32le", "-ac", "1", "-ar", str(RATE_HZ), "-",
    )  # fmt: skip
    pcm = np.frombuffer(out, "<f4")
    assert len(pcm) == pytest.approx(5 * RATE_HZ, abs=0.1 * RATE_HZ)
    starts = beep_starts(pcm)
    assert len(starts) >= 4
    assert np.diff(starts) == pytest.approx(1.0, abs=0.011)
    assert "rror" not in errors


async def test_ffmpeg_goes_on_through_a_takeover(room: WavRoom) -> None:
    async def take_over() -> None:
        await room.until(lambda: len(room.origin.published) > 50, "the first origin has spoken")
        await room.kill_origin()
        room.start_origin()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(take_over())
        playing = [
            tasks.create_task(
                run(
                    "ffmpeg", "-hide_banner", "-loglevel", "error", "-i", f"{room.url}/{path}",
                    "-t", "10", "-f", "f32le", "-ac", "1", "-ar", str(RATE_HZ), "-",
                )
            )
            for path in ("live.m3u8", "listen.opus", "listen.mp3")
        ]  # fmt: skip
    for each in playing:
        starts = beep_starts(np.frombuffer(each.result()[0], "<f4"))
        assert len(starts) >= 7


@pytest.mark.parametrize(("path", "codec"), [("live.m3u8", "aac"), ("live-opus.m3u8", "opus"), ("listen.mp3", "mp3")])
async def test_ffprobe_names_the_codec(room: WavRoom, path: str, codec: str) -> None:
    out, _ = await run("ffprobe", "-loglevel", "error", "-show_streams", "-of", "json", f"{room.url}/{path}")
    (stream,) = json.loads(out)["streams"]
    assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == (codec, "48000", 1)


@pytest.mark.parametrize("path", ["live.m3u8", "listen.opus"])
async def test_mpv_plays(room: WavRoom, tmp_path: Path, path: str) -> None:
    sound = tmp_path / "heard.wav"
    await run(
        "mpv", "--no-config", "--really-quiet", "--no-video", "--ao=pcm", f"--ao-pcm-file={sound}", "--length=3",
        f"{room.url}/{path}",
    )  # fmt: skip
    pcm = np.frombuffer(sound.read_bytes()[44:], "<i2").astype(np.float32) / 32_768
    assert len(beep_starts(pcm)) >= 1


async def test_blocking_reload_parts_and_errors(room: WavRoom) -> None:
    async with httpx.AsyncClient(base_url=room.url + "/", timeout=15) as client:
        first = await client.get("aac.m3u8")
        assert first.headers["content-type"] == "application/vnd.apple.mpegurl"
        hint = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="aac/1/(\d+)\.(\d)\.m4s"', first.text)[-1]
        msn, part = int(hint[0]), int(hint[1])
        async with asyncio.TaskGroup() as tasks:  # many wait for one part: one rendering, released in one pass
            reloads = [tasks.create_task(client.get(f"aac.m3u8?_HLS_msn={msn}&_HLS_part={part}")) for _ in range(20)]
            hinted = tasks.create_task(client.get(f"aac/1/{msn}.{part}.m4s"))
        texts = {each.result().text for each in reloads}
        assert len(texts) == 1
        assert f"aac/1/{msn}.{part}.m4s" in texts.pop()
        assert hinted.result().status_code == 200
        assert "immutable" in hinted.result().headers["cache-control"]
        for query, status in [
            (f"_HLS_msn={msn + 4}", 400),
            ("_HLS_part=0", 400),
            ("_HLS_msn=" + "9" * 13, 400),
            ("_HLS_msn=-1", 400),
            ("_HLS_msn=0", 200),
        ]:
            answer = await client.get("aac.m3u8?" + query)
            assert answer.status_code == status, query
        for path in [f"aac/1/{msn + 9}.m4s", f"aac/2/{msn - 1}.m4s", f"aac/1/{msn}.9.m4s", "aac/1/x.m4s", "mp3.m3u8"]:
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path


async def test_players_are_counted_by_ticket_and_by_address(room: WavRoom) -> None:
    async with httpx.AsyncClient(base_url=room.url + "/") as client:
        tickets = [(await client.post("ticket")).json()["ticket"] for _ in range(2)]
        for query in ("", "", f"?ticket={tickets[0]}", f"?ticket={tickets[1]}", "?ticket=forged"):
            await client.get("aac.m3u8" + query)
        state = (await client.get("state.json")).json()
        assert state["audience"] == {"listeners": 3, "by_beacon": 0}
        master = (await client.get(f"live.m3u8?ticket={tickets[0]}")).text
        assert f"aac.m3u8?ticket={tickets[0]}" in master


async def test_the_end_closes_playlists_and_streams(room: WavRoom) -> None:
    async with httpx.AsyncClient(base_url=room.url + "/", timeout=20) as client:
        await client.get("aac.m3u8")
        async with client.stream("GET", "listen.mp3") as stream:
            assert stream.headers["icy-name"] == "A demo room"
            await room.until(lambda: room.edge.rooms.get("demo").by_transport()["progressive"] == 1, "one listens")
            await room.put(RoomState.ENDED)
            await room.kill_origin()
            heard = b"".join([piece async for piece in stream.aiter_raw()])
        chunks = [chunk for chunk in room.origin.published if chunk.rendition is RenditionName.MP3]
        assert heard
        assert b"".join(unit for chunk in chunks for unit in chunk.units).endswith(heard)
        assert (await client.get("aac.m3u8")).text.endswith("#EXT-X-ENDLIST\n")
        assert (await client.get("listen.aac")).status_code == 409


@pytest.mark.parametrize(("state", "status"), [(RoomState.SCHEDULED, 409), (RoomState.DRAFT, 404)])
async def test_what_is_not_open_says_so(state: RoomState, status: int) -> None:
    async with wav_room(state=state, origin=False) as room, httpx.AsyncClient(base_url=room.url + "/") as client:
        for path in ("live.m3u8", "aac.m3u8", "listen.mp3", "aac/1/2.m4s"):
            assert (await client.get(path)).status_code == status, path
        rooms = (await client.get(f"http://127.0.0.1:{room.port}/rooms.json")).json()["rooms"]
        assert len(rooms) == (0 if state is RoomState.DRAFT else 1)
