"""What a bench of the edge runs on: a real bus, an origin that only sends, and real ``stentor edge`` processes.

    async with site(cores=[0], block_steps=4) as place:
        ...                                             # listeners come to place.port, path place.push
        await place.set_block_steps(1)

Each edge is pinned to a core of its own; bus, origin and the bench itself run where ``rest`` says. The edges share one
listening socket, as under ``stentor serve``.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.account import cpu_ns, raise_descriptors, rss_bytes
from bench.program import LoopedOrigin
from bench.stand import pin
from stentor.bus.nats import NatsBus
from stentor.clock import SystemClock
from stentor.media.rendition import RenditionName
from stentor.room.documents import RoomDocument
from stentor.supervisor.spawn import spawn, stentor_command
from tests.fakes.certificates import write_certificate
from tests.fakes.installation import free_ports
from tests.fakes.nats_server import running_nats
from tests.fakes.wav_origin import room_document

ROOM = "bench"
PUSH = f"/r/{ROOM}/push?rendition=opus"
LISTEN = f"/r/{ROOM}/listen.opus"


@dataclass
class Site:
    """The running edges and the room on air."""

    port: int
    document: RoomDocument
    origin: LoopedOrigin
    bus: NatsBus
    edges: list[asyncio.subprocess.Process]
    private: list[int]
    log: Path
    tls: ssl.SSLContext | None = None

    @property
    def pids(self) -> list[int]:
        """Return the edges' process ids."""
        return [edge.pid for edge in self.edges]

    @property
    def zero_ms(self) -> int:
        """Return the room's zero."""
        return (self.document.zero_ns or 0) // 1_000_000

    def cpu_ns(self) -> int:
        """Return the CPU time that all edges have used."""
        return cpu_ns(self.pids)

    def rss_bytes(self) -> int:
        """Return the memory that is resident for all edges."""
        return rss_bytes(self.pids)

    async def listeners(self) -> list[int]:
        """Return how many listeners of the push each edge has."""
        pages = [(await _get(port, "/metrics")).decode() for port in self.private]
        found = [
            re.search(r'^stentor_edge_listeners_count\{transport="push"\} (\S+)$', page, re.MULTILINE) for page in pages
        ]
        return [int(float(each[1])) if each else 0 for each in found]

    async def set_block_steps(self, block_steps: int) -> None:
        """Say, as an operator does, how many steps a block has at least; edges follow by doubling."""
        self.document = self.document.model_copy(update={"block_steps": block_steps})
        await self.bus.put("rooms", ROOM, self.document.to_bytes())

    async def until_block_steps(self, block_steps: int, limit_s: float = 30.0) -> None:
        """Wait until the edge delivers blocks of so many steps; players are told seconds ahead."""
        said: object = None
        async with asyncio.timeout(limit_s):
            while said != block_steps:
                body = (await _get(self.port, f"/r/{ROOM}/state.json", self.tls)).partition(b"\r\n\r\n")[2]
                said = json.loads(body)["delivery"]["block_steps"]
                await asyncio.sleep(0.25)


@asynccontextmanager
async def site(
    *,
    cores: Sequence[int | None],
    rest: int | None = None,
    block_steps: int = 1,
    renditions: Sequence[RenditionName] = (RenditionName.OPUS,),
    settings: dict[str, object] | None = None,
    tls: bool = False,
) -> AsyncIterator[Site]:
    """Put a room on air until the context ends; yields once every edge serves it.

    Args:
        cores: one edge for each, pinned there (None: wherever it likes).
        rest: the core of bus, origin and this process.
        block_steps: how many steps a block has at least.
        renditions: what the origin sends.
        settings: more settings of the edges, named as in config.
        tls: let the edges speak TLS themselves.
    """
    raise_descriptors()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-bench-")))
        server = stack.enter_context(running_nats(folder))
        assert server.process is not None
        if rest is not None:
            pin(server.process.pid, rest)
        bus = await stack.enter_async_context(server.bus(role="origin"))
        document = room_document(ROOM, clock, block_steps=block_steps)
        await bus.put("rooms", ROOM, document.to_bytes())
        origin = LoopedOrigin(bus, clock, document, renditions)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        sending = tasks.create_task(origin.run())
        stack.callback(sending.cancel)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4_096))
        port = int(listening.getsockname()[1])
        values = {
            "nats_url": server.url,
            "nats_password": server.token,
            "data_dir": folder,
            "edges": len(cores),
            "log_format": "json",
            "allow": "127.0.0.0/8",  # a crowd of one address is what the shield is for, and bench.flood measures that
            "max_block_steps": 1,  # an edge that sheds latency by itself would be measured for cheap
            **(settings or {}),
        }
        context = _tls(folder, values) if tls else None
        log = folder / "edges.log"
        edges: list[asyncio.subprocess.Process] = []
        private = free_ports(len(cores))
        (folder / "run").mkdir()
        for core, private_port in zip(cores, private, strict=True):
            own = {"private_port": private_port, "process": f"edge-{len(edges) + 1}", "listen_fd": listening.fileno()}
            edges.append(await stack.enter_async_context(_edge(core, values | own, log, listening.fileno())))
            await _until_ready(private_port, edges[-1], log)
        await _first_listener(port, context)
        if rest is not None:
            pin(os.getpid(), rest)
        yield Site(port, document, origin, bus, edges, private, log, context)


@asynccontextmanager
async def _edge(
    core: int | None, values: dict[str, object], log: Path, listening: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {f"STENTOR_{key.upper()}": str(value) for key, value in values.items()}
    taskset = [] if core is None else ["taskset", "-c", str(core)]
    with log.open("ab") as sink:
        edge = await spawn(
            [*taskset, *stentor_command("edge")],
            environment,
            stdout=sink.fileno(),
            stderr=sink.fileno(),
            keep=[listening],
        )
    try:
        yield edge
    finally:
        if edge.returncode is None:
            edge.kill()  # thousands would have to be told to go elsewhere
        await edge.wait()


async def _until_ready(private_port: int, edge: asyncio.subprocess.Process, log: Path, limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end and edge.returncode is None:
        with contextlib.suppress(OSError):
            if b" 200 " in (await _get(private_port, "/readyz")).split(b"\r\n", 1)[0]:
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the edge is not ready:\n{_end_of(log)}")


def _tls(folder: Path, values: dict[str, object]) -> ssl.SSLContext:
    write_certificate(folder)
    values |= {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"}
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


async def _get(port: int, path: str, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: b\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()


async def _first_listener(port: int, tls: ssl.SSLContext | None) -> None:
    """Have an edge subscribe to the room, which it does for its first listener, and wait until that one hears."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(f"GET {LISTEN} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2_000)
    writer.close()


def _end_of(log: Path) -> str:
    return log.read_text()[-4_000:]
