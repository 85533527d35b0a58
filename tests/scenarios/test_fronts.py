"""The fronts of deploy/ before a running Stentor: everything that pages and players use, through one TLS port."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
import pytest_asyncio

from stentor.clock import SystemClock
from stentor.demo.staff_api import StaffApi, token_of
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.media.grid import TICK_SAMPLES
from tests.fakes.certificates import write_certificate
from tests.fakes.fronts import caddy_command, front, haproxy_command, nginx_command
from tests.fakes.installation import Installation, descendants, free_ports, installation
from tests.fakes.listener import push_listener

pytestmark = pytest.mark.timeout(120)

_UNIT_SAMPLES = 960


def tone() -> np.ndarray:
    return np.full((1, TICK_SAMPLES), 0.1, np.float32) * np.sin(np.arange(TICK_SAMPLES) / 10).astype(np.float32)


def read(url: str, size: int, context: ssl.SSLContext, **headers: str) -> tuple[int, bytes]:
    with urlopen(Request(url, headers=headers), context=context, timeout=20) as answer:
        return answer.status, answer.read(size)


async def are_told_apart(state_url: str, context: ssl.SSLContext, port: int) -> None:
    """Play LL-HLS from two addresses with one User-Agent until both are counted: edges see the front alone."""

    def play(source: str) -> None:
        address = ("127.0.0.1", port)
        with (
            socket.create_connection(address, timeout=20, source_address=(source, 0)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            line.sendall(b"GET /r/night/opus.m3u8 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: same\r\n\r\n")
            assert line.recv(12) == b"HTTP/1.1 200"

    async with asyncio.timeout(20):
        while True:
            await asyncio.to_thread(play, "127.0.0.2")
            await asyncio.to_thread(play, "127.0.0.3")
            state = json.loads((await asyncio.to_thread(read, state_url, 1 << 20, context))[1])
            if state["audience"]["listeners"] == 2:
                return
            await asyncio.sleep(0.2)


async def until_there(url: str, context: ssl.SSLContext) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                await asyncio.to_thread(read, url, 1, context)
                return
            await asyncio.sleep(0.05)


async def hears_by_push(audience: str, context: ssl.SSLContext, edges: list[int]) -> None:
    """Listen, be sent elsewhere by edges that stop, come back through the front and miss nothing."""
    async with push_listener(audience, "night", tls=context) as first:
        await first.until(lambda heard: len(heard.blocks) >= 8, "no sound through the front")
        for edge in edges:
            os.kill(edge, signal.SIGTERM)
        await first.until(lambda heard: heard.closed is not None, "the edge says nothing when it stops")
        assert first.closed == 1001
    after = f"&after={first.blocks[-1].step}"
    async with push_listener(audience, "night", tls=context, query=after) as again:
        await again.until(lambda heard: len(heard.blocks) >= 8, "no sound after the edges' restart")
    blocks = first.blocks + again.blocks
    for earlier, later in pairwise(blocks):
        assert later.first_sample == earlier.first_sample + _UNIT_SAMPLES * len(earlier.units)


def over_http_2(url: str, folder: Path) -> str:
    """Return what curl gets by HTTP/2, as browsers do."""
    command = [
        "curl",
        "-sS",
        "--http2",
        "--max-time",
        "20",
        "--cacert",
        str(folder / "cert.pem"),
        "-w",
        "\n%{http_version}",
    ]
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    body, _, version = text.rpartition("\n")
    assert version == "2", f"HTTP/{version}"
    return body


def hears_by_hls(audience: str, context: ssl.SSLContext) -> None:
    base = f"{audience}/r/night/"
    _, playlist = read(f"{base}aac.m3u8", 1 << 20, context)
    lines = playlist.decode().splitlines()
    first = int(next(line for line in lines if line.startswith("#EXT-X-MEDIA-SEQUENCE:")).partition(":")[2])
    newest = first + sum(1 for line in lines if line.startswith("#EXTINF"))
    status, _ = read(f"{base}aac.m3u8?_HLS_msn={newest}&_HLS_part=0", 1 << 20, context)
    assert status == 200
    part = next(line for line in reversed(lines) if line.startswith("#EXT-X-PART:")).split('URI="')[1].split('"')[0]
    assert b"moof" in read(base + part, 1 << 20, context)[1][:64]


@dataclass
class Behind:
    """A running Stentor with a room on air, and the port at which each front stands before it in turn."""

    site: Installation
    folder: Path
    port: int
    context: ssl.SSLContext
    operator: StaffApi


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    folder = tmp_path_factory.mktemp("fronts")
    write_certificate(folder)
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    (port,) = free_ports(1)
    audience, staff = f"https://localhost:{port}", f"https://127.0.0.1:{port}"
    async with installation(folder, public_url=audience, staff_url=staff, trusted_proxies="127.0.0.1") as site:
        directly = StaffApi(f"http://127.0.0.1:{site.environment['STENTOR_STAFF_PORT']}")
        await directly.enter(token_of(await site.operator_link()))
        made: Any = await directly.call("POST", "/rooms", {"room": "night", "title": "A night"})
        assert made["links"]["listener"] == f"{audience}/r/night"
        await directly.call("POST", "/rooms/night/open", {})
        await directly.call("POST", "/rooms/night/start", {"force": True})
        operator = StaffApi(staff, tls=context)
        operator.session = directly.session
        yield Behind(site, folder, port, context, operator)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("command_of", [nginx_command, haproxy_command, caddy_command])
async def test_everything_passes_a_front(
    behind: Behind, command_of: Callable[[Path, int, int, int], list[str]]
) -> None:
    site, folder, port, context, operator = behind.site, behind.folder, behind.port, behind.context, behind.operator
    audience, staff = site.audience_url, site.staff_url
    inner = [int(site.environment[f"STENTOR_{which}_PORT"]) for which in ("AUDIENCE", "STAFF")]
    await site.until_ready()  # The front before this one saw edges stop.
    with front(command_of(folder, port, *inner), folder, port):
        await until_there(f"{audience}/rooms.json", context)
        link = await operator.call("POST", "/rooms/night/links", {"role": "speaker", "name": command_of.__name__})
        signalling = HttpWhip(f"{staff}/r/night/whip", token_of(str(link["url"])), tls=context)
        speaker = WhipSpeaker(signalling, tone, SystemClock())
        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(speaker.run())
            async with asyncio.timeout(20):
                await speaker.connected.wait()
            edges = [pid for pid, command in descendants(site.process.pid) if command.split()[-1] == "edge"]
            await hears_by_push(audience, context, edges)
            await asyncio.to_thread(hears_by_hls, audience, context)
            status, mp3 = await asyncio.to_thread(read, f"{audience}/r/night/listen.mp3", 8_000, context)
            assert (status, len(mp3)) == (200, 8_000)
            bearer = {"Authorization": f"Bearer {operator.session}"}
            _, events = await asyncio.to_thread(read, f"{staff}/api/v1/rooms/night/events", 200, context, **bearer)
            assert events.startswith(b"event: ")
            page = await asyncio.to_thread(over_http_2, f"{audience}/r/night", folder)
            assert "<!doctype html>" in page.lower()
            playlist = await asyncio.to_thread(over_http_2, f"{audience}/r/night/opus.m3u8", folder)
            assert "#EXT-X-PART:" in playlist
            state = json.loads((await asyncio.to_thread(read, f"{audience}/r/night/state.json", 1 << 20, context))[1])
            assert (state["state"], state["staff_url"]) == ("live", staff)
            await are_told_apart(f"{audience}/r/night/state.json", context, port)
            speaking.cancel()
