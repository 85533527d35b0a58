"""Edges in this process that guard one room together, over a real bus or one in memory; and people who come to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from stentor.bus.port import Bus, door_word_subject
from stentor.clock import SystemClock
from stentor.edge.server import Edge, EdgeSettings
from stentor.room.documents import Dials, RoomDocument
from stentor.room.door_words import DoorWord
from tests.fakes.buses import until
from tests.fakes.nats_server import NatsServer, running_nats
from tests.fakes.wav_origin import room_document

KEY = b"k" * 32
_connections: list[ClientConnection] = []


@dataclass(eq=False)
class GuardedEdge:
    """One edge; ``kill`` ends it without a word."""

    edge: Edge
    port: int
    serving: asyncio.Task[None]
    stack: AsyncExitStack

    @property
    def url(self) -> str:
        """The room's address."""
        return f"http://127.0.0.1:{self.port}/r/demo"

    @property
    def leads(self) -> bool:
        """Tell whether it leads."""
        return self.edge._doors._leader.term is not None

    async def kill(self) -> None:
        """End it as a power cut would: no close frame, no last report."""
        self.serving.cancel()
        await asyncio.wait([self.serving])
        if self.edge._reactor is not None:
            for line in self.edge._reactor.all():
                line.abort()
            self.edge._reactor.close()
        await self.stack.aclose()


@dataclass
class GuardedRoom:
    """The edges, what the leader said, and the bus on which control would write."""

    bus: Bus
    nats: NatsServer
    document: RoomDocument
    edges: list[GuardedEdge]
    words: list[DoorWord] = field(default_factory=list)

    async def set_door(self, **dials: float | None) -> None:
        """Turn the room's dials, as control does."""
        self.document = self.document.model_copy(update={"door": Dials.model_validate(dials)})
        await self.bus.put("rooms", "demo", self.document.to_bytes())

    @property
    def leader(self) -> GuardedEdge:
        """The edge that leads."""
        return next(edge for edge in self.edges if edge.leads)

    @property
    def most_inside(self) -> int:
        """The most that were ever inside, as the leader says."""
        return max(word.inside for word in self.words)


@dataclass(eq=False)
class Person:
    """One who wants to listen: their ticket, what they were told last, and their connection."""

    url: str
    ticket: str | None = None
    told: dict[str, object] = field(default_factory=dict)
    connection: ClientConnection | None = None

    async def ask(self) -> bool:
        """Ask for a ticket, or again; return whether they are let in. Fails for anything but 200."""
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.post(f"{self.url}/ticket", json={"ticket": self.ticket} if self.ticket else {})
        assert answer.status_code == 200, answer.text
        self.told = answer.json()
        self.ticket = str(self.told["ticket"])
        return self.told["admitted"] is True

    async def is_let_in(self, limit_s: float = 25.0) -> None:
        """Ask again and again, more often than told, until they are let in."""
        async with asyncio.timeout(limit_s):
            while not await self.ask():  # noqa: ASYNC110 - as people ask
                await asyncio.sleep(0.2)

    async def place(self, limit_s: float = 10.0) -> object:
        """Ask until they are told their place, and return it."""
        async with asyncio.timeout(limit_s):
            while not await self.ask() and self.told["position"] is None:  # noqa: ASYNC110 - as people ask
                await asyncio.sleep(0.2)
        return self.told["position"]

    async def listen(self, query: str = "") -> int:
        """Come in by push; return 0 once the program greets, or the code that the door closes with."""
        url = self.url.replace("http", "ws", 1) + f"/push?ticket={self.ticket}{query}"
        self.connection = await connect(url, compression=None, proxy=None)
        _connections.append(self.connection)
        try:
            async with asyncio.timeout(10):
                await self.connection.recv()
        except ConnectionClosed:
            return self.connection.close_code or 1006
        return 0

    async def come_in(self, limit_s: float = 25.0) -> None:
        """Wait in line, and come in."""
        await self.is_let_in(limit_s)
        assert await self.listen() == 0

    async def closed(self, limit_s: float = 10.0) -> int:
        """Wait until the connection is closed, and return the code."""
        assert self.connection is not None
        async with asyncio.timeout(limit_s):
            await self.connection.wait_closed()
        return self.connection.close_code or 1006

    @property
    def listens(self) -> bool:
        """Tell whether their connection is open."""
        return self.connection is not None and self.connection.close_code is None

    async def leave(self) -> None:
        """Press stop."""
        assert self.connection is not None
        await self.connection.close()

    async def drop(self) -> None:
        """Lose the connection."""
        assert self.connection is not None
        self.connection.transport.abort()
        await self.connection.wait_closed()


@asynccontextmanager
async def guarded_room(folder: Path, edges: int = 2, **dials: float | None) -> AsyncIterator[GuardedRoom]:
    """Serve one open room with a door from so many edges over a real nats-server; nobody speaks in it."""
    clock = SystemClock()
    with running_nats(folder) as nats:
        async with nats.bus(role="control") as bus, asyncio.TaskGroup() as tasks:
            document = room_document("demo", clock, door=Dials.model_validate(dials))
            await bus.put("rooms", "demo", document.to_bytes())
            running = [await _edge(nats, tasks, f"edge-{number + 1}") for number in range(edges)]
            room = GuardedRoom(bus, nats, document, running)

            def hear(_subject: str, payload: bytes) -> None:
                room.words.append(DoorWord.model_validate_json(payload))

            async with bus.subscribe(door_word_subject("demo"), hear):
                heard = {edge.edge._settings.name for edge in running}
                await until(lambda: bool(room.words) and heard <= room.words[-1].edges.keys(), "no leader hears all")
                await until(lambda: room.words[-1].direct, "nobody is let in")
                try:
                    yield room
                finally:
                    for edge in room.edges:
                        if not edge.serving.done():
                            edge.edge.stop()
                            await edge.serving
                            await edge.stack.aclose()


async def _edge(nats: NatsServer, tasks: asyncio.TaskGroup, name: str) -> GuardedEdge:
    clock = SystemClock()
    stack = AsyncExitStack()
    bus = await stack.enter_async_context(nats.bus(role=name))
    edge = Edge(bus=bus, clock=clock, settings=EdgeSettings(name=name, ticket_key=KEY, drain_s=0.1))
    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    serving = tasks.create_task(edge.run(listening))
    await edge.started.wait()
    return GuardedEdge(edge, listening.getsockname()[1], serving, stack)


async def all_leave() -> None:
    """Close what people left open."""
    for connection in _connections:
        await connection.close()
    _connections.clear()
