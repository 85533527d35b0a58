"""The private endpoint over its two kinds of address."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from stentor.errors import ConfigError
from stentor.supervisor.private import Health, Page, ask, ask_ready, private_endpoint


async def get(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply


def on_socket(health: Health, path: Path):
    return private_endpoint(health.answer, path=path, host="", port=0)


async def test_readiness_follows_what_was_added(tmp_path):
    health, reasons = Health(), ["the bus does not answer"]

    async def ready() -> list[str]:
        return reasons

    path = tmp_path / "edge-1.sock"
    async with on_socket(health, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await ask_ready(path) == ["it is starting"]
        health.waits_for = lambda: "the edge above is away"
        assert await ask_ready(path) == ["it is starting: the edge above is away"]
        health.add(ready)
        health.starting = False
        assert await ask_ready(path) == ["the bus does not answer"]
        status, body = await ask(path, "/readyz")
        assert (status, json.loads(body)["ready"]) == (503, False)
        reasons.clear()
        assert await ask_ready(path) == []
        status, body = await ask(path, "/readyz")
        assert (status, json.loads(body)["ready"]) == (200, True)
        assert await ask(path, "/healthz") == (200, b"ok\n")
        status, body = await ask(path, "/metrics")
        assert status == 200
        assert b"python_info" in body
        assert (await ask(path, "/else"))[0] == 404


async def test_nobody_there_is_starting_and_a_dead_socket_is_replaced(tmp_path):
    path = tmp_path / "edge-1.sock"
    assert await ask_ready(path) == ["it is starting"]
    async with on_socket(Health(), path):
        pass
    async with on_socket(Health(), path):
        assert await ask(path, "/healthz") == (200, b"ok\n")
    assert await ask_ready(path) == ["it is starting"]


async def test_a_process_that_hangs_or_talks_nonsense(tmp_path):
    async def never(_path: str) -> Page:
        await asyncio.Event().wait()
        raise AssertionError

    async def nonsense(_path: str) -> Page:
        return Page(200, "text/plain", b"[]")

    async with private_endpoint(never, path=tmp_path / "a", host="", port=0):
        assert await ask_ready(tmp_path / "a", timeout_s=0.05) == ["it does not answer"]
    async with private_endpoint(nonsense, path=tmp_path / "b", host="", port=0):
        assert await ask_ready(tmp_path / "b") == ["it answers nonsense"]


async def test_on_tcp_for_operators():
    async with private_endpoint(Health().answer, path=None, host="127.0.0.1", port=0) as port:
        reply = await get(port, b"GET /readyz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reply.startswith(b"HTTP/1.0 503 Service Unavailable\r\n")
        assert (await get(port, b"POST /readyz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.0 405")
        assert await get(port, b"x" * 20_000 + b"\r\n\r\n") == b""
        with pytest.raises(ConfigError, match=rf"cannot be served on 127.0.0.1:{port}.*--private-port"):
            async with private_endpoint(Health().answer, path=None, host="127.0.0.1", port=port):
                pass
