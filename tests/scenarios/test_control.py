"""Control as a real server on a real port: events as they happen, a clean stop, certificates renewed, a port taken."""

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stentor.bus.memory import MemoryBus
from stentor.bus.port import live_audience_subject
from stentor.clock import SystemClock
from stentor.control.connection import StaffConnection
from stentor.control.server import Control, Tls
from stentor.control.settings import ControlKeys, ControlSettings
from stentor.errors import ConfigError
from stentor.room.documents import AudienceReport
from stentor.store.sql import SqlCatalogue
from stentor.store.sql_migrate import migrate
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import OTHER_DEVICE, Desk

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def served(folder: Path, stop: asyncio.Event, *, tls: Tls | None = None) -> AsyncIterator[Desk]:
    """Serve on a free port and yield a desk that talks to it; ``stop`` stops the server."""
    database = f"sqlite+aiosqlite:///{folder}/catalogue.db"
    await migrate(database)
    catalogue = SqlCatalogue(database)
    clock = SystemClock()
    bus = MemoryBus(clock)
    keys = ControlKeys(Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())
    control = Control(
        bus=bus,
        catalogue=catalogue,
        clock=clock,
        keys=keys,
        settings=ControlSettings("http://127.0.0.1:1", "http://127.0.0.1:2", web_dist=folder),
    )
    ports: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(catalogue.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(control.run("127.0.0.1", 0, stop=stop, tls=tls, started=ports.set_result))
        scheme = "https" if tls else "http"
        base = f"{scheme}://127.0.0.1:{await ports}"
        verify = ssl.create_default_context(cafile=str(tls.certificate)) if tls else False
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=base, verify=verify, timeout=10))
        desk = Desk(control, bus, catalogue, http)
        link = await control.first_operator_link()
        assert link is not None
        desk.operator = await desk.session(link)
        yield desk
        stop.set()


async def next_event(lines: AsyncIterator[str], name: str) -> dict[str, object]:
    """Return the next event of a name."""
    async with asyncio.timeout(10):
        async for line in lines:
            if line == f"event: {name}":
                return dict(json.loads((await anext(lines)).removeprefix("data: ")))
    raise AssertionError(f"the stream ended before any {name}")


@asynccontextmanager
async def following(desk: Desk, session: str) -> AsyncIterator[AsyncIterator[str]]:
    headers = {"Authorization": f"Bearer {session}"}
    async with desk.http.stream("GET", "/api/v1/rooms/demo/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.aiter_lines()


async def test_events_as_they_happen(tmp_path: Path) -> None:
    async with served(tmp_path, asyncio.Event()) as desk:
        links = await desk.room()
        host = await desk.session(links["host"])
        async with following(desk, host) as events:
            assert (await next_event(events, "room"))["state"] == "draft"
            assert (await next_event(events, "audience"))["listeners"] == 0
            await desk.ok("POST", "/api/v1/rooms/demo/open", host)
            assert (await next_event(events, "room"))["state"] == "lobby"
            await desk.stage(on_air=True)
            assert (await next_event(events, "stage"))["on_air"] is True
            report = AudienceReport(edge="e", listeners=12)
            await desk.bus.publish(live_audience_subject("demo"), report.to_bytes())
            assert (await next_event(events, "audience"))["listeners"] == 12
            await desk.session(links["speaker"])
            await desk.open(links["speaker"], OTHER_DEVICE)
            assert (await next_event(events, "link"))["state"] == "in-use"
            asked = await next_event(events, "link")
            assert (asked["state"], asked["url"]) == ("asked", links["speaker"])
            await desk.session(links["host"])
            assert await next_event(events, "session") == {"replaced": True}
            assert [line async for line in events if line.startswith("event")] == []
        gone = await desk.call("GET", "/api/v1/rooms/demo/events", host)
        assert gone.status_code == 401


async def test_page_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with served(tmp_path, asyncio.Event()) as desk:
        await desk.room()
        hub = desk.control.rules.parts.hub
        async with following(desk, desk.operator) as events:
            await next_event(events, "room")
            assert len(hub._followers["demo"]) == 1
        async with asyncio.timeout(10):
            while hub._followers:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.01)


async def test_stop_is_not_held_by_open_streams(tmp_path: Path) -> None:
    stop = asyncio.Event()
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        desk = await stack.enter_async_context(served(tmp_path, stop))
        await desk.room()
        async with following(desk, desk.operator) as events:
            await next_event(events, "audience")
            loop = asyncio.get_running_loop()
            begun = loop.time()
            stop.set()
            assert [line async for line in events if line.startswith("event")] == []
        await stack.aclose()
        assert loop.time() - begun < 3.0


async def test_stop_is_not_held_by_a_request_under_way(tmp_path: Path) -> None:
    stop = asyncio.Event()
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        desk = await stack.enter_async_context(served(tmp_path, stop))
        _, writer = await asyncio.open_connection("127.0.0.1", desk.http.base_url.port)
        writer.write(b"POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await stack.aclose()
        assert loop.time() - begun < 1.8, "the supervisor would have killed it"
        writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_who_sends_no_request_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(StaffConnection, "head_s", 0.3)
    async with served(tmp_path, asyncio.Event()) as desk:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.http.base_url.port)
        writer.write(said)
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(10):
                assert await reader.read() == b""
        writer.close()
        # Those who do ask keep their connection, streams included, for longer.
        await desk.room()
        async with following(desk, desk.operator) as events:
            await next_event(events, "room")
            await asyncio.sleep(0.5)
            await desk.ok("POST", "/api/v1/rooms/demo/open", desk.operator)
            assert (await next_event(events, "room"))["state"] == "lobby"


async def test_port_that_is_taken_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        keys = ControlKeys(Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())
        catalogue = SqlCatalogue(f"sqlite+aiosqlite:///{tmp_path}/catalogue.db")
        clock = VirtualClock()
        settings = ControlSettings("http://a", "http://b")
        control = Control(bus=MemoryBus(clock), catalogue=catalogue, clock=clock, keys=keys, settings=settings)
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be opened .*Stop what uses it, or choose"):
            await control.run("127.0.0.1", port, stop=asyncio.Event())
        with pytest.raises(ConfigError, match="give a PEM chain and its private key with --tls-cert and --tls-key"):
            await control.run("127.0.0.1", 0, stop=asyncio.Event(), tls=Tls(tmp_path / "no", tmp_path / "no"))
        await catalogue.close()


def make_certificate(folder: Path, name: str) -> None:
    """Write a self-signed certificate for 127.0.0.1 over whatever is there."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    about = ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *files, *about], check=True, capture_output=True)


async def served_certificate(port: int) -> bytes | None:
    """Return the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return certificate


async def test_certificate_is_renewed_when_its_files_change(tmp_path: Path) -> None:
    make_certificate(tmp_path, "first")
    tls = Tls(tmp_path / "tls.crt", tmp_path / "tls.key")
    async with served(tmp_path, asyncio.Event(), tls=tls) as desk:
        port = desk.http.base_url.port
        assert port is not None
        first = await served_certificate(port)
        tls.key.write_text("broken")  # a few bytes in a test
        make_certificate(tmp_path, "second")
        async with asyncio.timeout(15):
            while (shown := await served_certificate(port)) == first:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.1)
        assert shown == ssl.PEM_cert_to_DER_cert(tls.certificate.read_text())  # a few bytes
        assert (await desk.call("GET", "/api/v1/me", desk.operator)).status_code == 200
