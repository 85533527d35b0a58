"""The private endpoint: how a process says that it lives, whether it is ready and what it has counted.

``GET /healthz`` 200 while the event loop turns · ``GET /readyz`` 200 or 503 with the reasons as JSON ·
``GET /metrics`` Prometheus' text format. HTTP/1.0, one request a connection, on a Unix socket for the supervisor or
on a TCP port for operators; never on a public address.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stentor.errors import ConfigError
from stentor.telemetry import METRICS_CONTENT_TYPE, render_metrics

SOCKET_VARIABLE = "STENTOR_PRIVATE_SOCKET"
_DEADLINE_S = 5.0
_MAX_HEAD_BYTES = 8_192
_MAX_REPLY_BYTES = 32 << 20
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the private endpoint."""

    status: int
    content_type: str
    body: bytes


Answer = Callable[[str], Awaitable[Page]]
"""Called with the path of a GET; returns the page."""


class Health:
    """What a process says about itself: ready when nothing that was added gives a reason why not.

    ``waits_for`` says what a start waits for, if it does.
    """

    def __init__(self) -> None:
        self._checks: list[Callable[[], Awaitable[Sequence[str]]]] = []
        self.starting = True
        self.waits_for: Callable[[], str] = str

    def add(self, ready: Callable[[], Awaitable[Sequence[str]]]) -> None:
        """Ask ``ready`` too; it returns sentences that say why not, or nothing."""
        self._checks.append(ready)

    async def reasons(self) -> list[str]:
        """Return why this process is not ready."""
        if self.starting:
            waits_for = self.waits_for()
            return [f"it is starting: {waits_for}" if waits_for else "it is starting"]
        return [reason for check in self._checks for reason in await check()]

    async def answer(self, path: str) -> Page:
        """Answer for a process without children."""
        if path == "/healthz":
            return Page(200, "text/plain", b"ok\n")
        if path == "/readyz":
            return readiness(await self.reasons())
        if path == "/metrics":
            return Page(200, METRICS_CONTENT_TYPE, render_metrics())
        return NOT_FOUND


NO_ANSWER = ["it does not answer"]

NOT_FOUND = Page(404, "text/plain", b"There is /healthz, /readyz and /metrics.\n")


def readiness(reasons: Sequence[str]) -> Page:
    """Return the page of /readyz."""
    body = json.dumps({"ready": not reasons, "reasons": list(reasons)}).encode() + b"\n"
    return Page(503 if reasons else 200, "application/json", body)


@asynccontextmanager
async def private_endpoint(answer: Answer, *, path: Path | None, host: str, port: int) -> AsyncIterator[int]:
    """Serve inside the context, on the Unix socket ``path`` or else on TCP; yields the TCP port (0 for a socket).

    Raises ConfigError when the address is taken.
    """
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the server runs each connection in a task
        serving.add(task)
        try:
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_DEADLINE_S):
                    await _serve_one(reader, writer, answer)
        finally:
            writer.transport.abort()
            serving.discard(task)

    try:
        if path is not None:
            server = await asyncio.start_unix_server(serve, sock=_unix_listener(path), limit=_MAX_HEAD_BYTES)
        else:
            server = await asyncio.start_server(serve, host, port, limit=_MAX_HEAD_BYTES)
    except OSError as error:
        where = path or f"{host}:{port}"
        raise ConfigError(
            f"Health and metrics cannot be served on {where}: {os.strerror(error.errno or 0)}. "
            "Choose another --private-port."
        ) from error
    async with server:
        try:
            yield 0 if path is not None else int(server.sockets[0].getsockname()[1])
        finally:
            for task in serving:
                task.cancel()
            if serving:
                await asyncio.wait(serving)


def _unix_listener(path: Path) -> socket.socket:
    """Return a socket bound to ``path`` for its owner alone, in place of what a killed process left there."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, _, rest = head.decode("latin-1").partition(" ")
    target = rest.partition(" ")[0].partition("?")[0]
    page = Page(405, "text/plain", b"Only GET.\n") if method != "GET" else await answer(target)
    writer.write(
        f"HTTP/1.0 {page.status} {_REASONS[page.status]}\r\nContent-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n".encode()
        + page.body
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(socket_path: Path, target: str, *, timeout_s: float = 1.0) -> tuple[int, bytes]:
    """GET ``target`` from a process's Unix socket; return status and body.

    Raises OSError when nobody listens, TimeoutError when nobody answers, ValueError when the answer is no HTTP.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(socket_path)
        try:
            writer.write(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            await writer.drain()
            reply = bytearray()
            while block := await reader.read(1 << 16):
                reply += block
                if len(reply) > _MAX_REPLY_BYTES:
                    raise ValueError("the answer is too long")
        finally:
            writer.close()
    head, separator, body = bytes(reply).partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not separator or len(words) < 2 or not words[1].isdigit():
        raise ValueError("the answer is no HTTP")
    return int(words[1]), body


async def ask_ready(socket_path: Path, *, timeout_s: float = 1.0) -> list[str]:
    """Return why the process behind a Unix socket is not ready; empty when it is."""
    try:
        _, body = await ask(socket_path, "/readyz", timeout_s=timeout_s)
        return [str(reason) for reason in json.loads(body)["reasons"]]
    except TimeoutError:
        return NO_ANSWER
    except OSError:
        return ["it is starting"]
    except (ValueError, KeyError, TypeError):
        return ["it answers nonsense"]
