"""The audience port as HTTP clients see it: pages, errors, the replay behind it, TLS, stopping."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from stentor.bus.memory import MemoryBus
from stentor.bus.port import live_audience_subject, live_stage_subject
from stentor.clock import SystemClock
from stentor.edge.server import Edge, EdgeSettings
from stentor.errors import NotFound
from stentor.room.documents import AudienceReport, StageDocument
from stentor.room.states import RoomState
from tests.fakes.wav_origin import room_document
from tests.fakes.wav_room import WavRoom, wav_room


@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes | AsyncIterator[bytes]


class Recordings:
    """A replay desk with one large recording."""

    size = 3_000_000

    async def reply(self, room: str, path: str, method: str, range_header: str | None) -> Reply:
        if path == "proof.json":
            raise NotFound("There is no proof yet.")
        if path == "replay.m3u8":
            return Reply(200, [("Content-Type", "application/vnd.apple.mpegurl")], f"{room} {method}".encode())
        if range_header:
            return Reply(206, [("Content-Range", "bytes 0-2/9")], range_header.encode())
        return Reply(200, [("Content-Type", "audio/mp4"), ("Content-Length", str(self.size))], self._pieces())

    async def _pieces(self) -> AsyncIterator[bytes]:
        for _ in range(30):
            yield bytes(self.size // 30)

    async def summary(self, room: str) -> dict[str, object] | None:
        return {"hls": f"/r/{room}/replay.m3u8"}


@pytest.fixture
async def room() -> AsyncIterator[WavRoom]:
    async with wav_room(origin=False, replay=Recordings()) as running:
        yield running


@pytest.fixture
async def client(room: WavRoom) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", timeout=15) as opened:
        yield opened


async def test_unknown_rooms_get_the_page_and_everything_else_a_problem(client: httpx.AsyncClient) -> None:
    for path in ("/r/nobody", "/r/BAD%20ID"):
        page = await client.get(path)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path in ("/r/nobody/state.json", "/r/nobody/live.m3u8", "/nothing", "/r/demo/nothing", "/assets/x.js"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert answer.json()["detail"]
    assert (await client.get("/r/nobody/state.json")).json()["type"] == "urn:stentor:problem:no-such-room"


async def test_methods_and_other_origins(client: httpx.AsyncClient) -> None:
    refused = await client.delete("/r/demo/state.json")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert (await client.get("/r/demo/ticket")).headers["allow"] == "POST"
    asked = await client.options(
        "/r/demo/ticket", headers={"Origin": "https://x", "Access-Control-Request-Method": "POST"}
    )
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert (await client.post("/r/demo/ticket", content=bytes(70_000))).status_code == 413
    assert (await client.head("/r/demo/state.json")).headers["content-length"] != "0"
    assert (await client.get("/r/demo/push")).status_code == 426
    assert (await client.get("/r/demo/push?rendition=mp3")).status_code == 400
    assert (await client.get("/r/demo/push?after=x")).status_code == 400


async def test_state_follows_origin_and_other_edges(room: WavRoom, client: httpx.AsyncClient) -> None:
    async def state() -> dict[str, object]:
        await asyncio.sleep(0.55)  # what the edge may keep
        return dict((await client.get("/r/demo/state.json")).json())

    assert (await state())["on_air"] is False
    stage = StageDocument(room="demo", epoch=2, at_ns=0, on_air=True)
    await room.bus.publish(live_stage_subject("demo"), stage.to_bytes())
    await room.bus.publish(
        live_stage_subject("demo"), stage.model_copy(update={"epoch": 1, "on_air": False}).to_bytes()
    )
    await room.bus.publish(live_stage_subject("demo"), b"rubbish")
    await room.bus.publish(live_audience_subject("demo"), AudienceReport(edge="edge-2", listeners=40).to_bytes())
    await room.bus.publish(live_audience_subject("demo"), AudienceReport(edge="edge-1", listeners=9).to_bytes())
    said = await state()
    assert (said["on_air"], said["epoch"], said["audience"]) == (True, 2, {"listeners": 40, "by_beacon": 0})


async def test_says_how_many_listen_here(room: WavRoom, client: httpx.AsyncClient) -> None:
    reports: list[AudienceReport] = []
    subject = live_audience_subject("demo")
    async with room.bus.subscribe(subject, lambda _, body: reports.append(AudienceReport.model_validate_json(body))):
        async with connect(f"ws://127.0.0.1:{room.port}/r/demo/push", proxy=None):
            await room.until(lambda: any(report.listeners == 1 for report in reports), "a report with one listener")
        await room.until(lambda: reports[-1].listeners == 0, "a report that it has gone")
    assert reports[0].by_transport == {"push": 1, "progressive": 0, "hls": 0}


async def test_the_replay_is_passed_through(room: WavRoom, client: httpx.AsyncClient) -> None:
    assert (await client.get("/r/demo/replay.m3u8")).text == "demo GET"
    large = await client.get("/r/demo/recording.m4a")
    assert (len(large.content), large.headers["content-length"]) == (Recordings.size, str(Recordings.size))
    assert large.headers["access-control-allow-origin"] == "*"
    ranged = await client.get("/r/demo/recording.mp3", headers={"Range": "bytes=0-2"})
    assert (ranged.status_code, ranged.text) == (206, "bytes=0-2")
    assert (await client.get("/r/demo/proof.json")).status_code == 404
    await room.put(RoomState.PUBLISHED)
    said: list[object] = []

    async def ask() -> None:
        while not said:
            replay = (await client.get("/r/demo/state.json")).json()["replay"]
            said.extend([replay] if replay else [])
            await asyncio.sleep(0.2)

    async with asyncio.timeout(10):
        await ask()
    assert said == [{"hls": "/r/demo/replay.m3u8"}]


async def test_whoever_comes_after_the_end_is_sent_to_the_replay(room: WavRoom, client: httpx.AsyncClient) -> None:
    for state in (RoomState.ENDED, RoomState.PUBLISHED):
        await room.put(state)
        async with asyncio.timeout(10):
            while (await client.get("/r/demo/state.json")).json()["state"] != state:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.05)
        for live in ("live.m3u8", "live-opus.m3u8"):
            answer = await client.get(f"/r/demo/{live}")
            assert (answer.status_code, answer.headers["location"]) == (302, "replay.m3u8")
            assert (await client.get(f"/r/demo/{live}", follow_redirects=True)).text == "demo GET"
        assert "where its replay is" in (await client.get("/r/demo/aac.m3u8")).json()["detail"]


async def test_a_deleted_room_lets_everybody_go(room: WavRoom, client: httpx.AsyncClient) -> None:
    async with connect(f"ws://127.0.0.1:{room.port}/r/demo/push", proxy=None) as listener:
        await listener.recv()
        await room.bus.delete("rooms", "demo")
        await listener.wait_closed()
        assert listener.close_code == 4404
    assert (await client.get("/r/demo/state.json")).status_code == 404


async def test_a_stop_answers_what_waits_and_ends(client: httpx.AsyncClient, room: WavRoom) -> None:
    async with asyncio.TaskGroup() as tasks:
        held = tasks.create_task(client.get("/r/demo/aac.m3u8"))
        await room.until(lambda: room.edge.connections == 1 and room.edge.waiting == 1, "the playlist is waited for")
        room.edge.stop()
    assert (held.result().status_code, held.result().headers["retry-after"]) == (503, "1")
    assert held.result().headers["connection"] == "close"
    assert not room.edge.ready
    with pytest.raises(httpx.ConnectError):
        await client.get("/rooms.json")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    import subprocess

    path = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


async def test_the_same_over_tls(certificate: Path) -> None:
    clock = SystemClock()
    bus = MemoryBus(clock)
    await bus.put("rooms", "demo", room_document("demo", clock).to_bytes())
    edge = Edge(bus=bus, clock=clock, settings=EdgeSettings(name="e", drain_s=0.2))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with asyncio.TaskGroup() as tasks:
        listening = socket.create_server(("127.0.0.1", 0))
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        tasks.create_task(edge.run(listening, server_side))
        await edge.started.wait()
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"https://{host}/r/demo/state.json")).json()["room"] == "demo"
        async with connect(f"wss://{host}/r/demo/push", ssl=trust, proxy=None) as listener:
            assert json.loads(await listener.recv())["type"] == "hello"
            await (await listener.ping())
        edge.stop()
