"""A room with a WAV for a program, served by a real edge on a port of the loopback, in this process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from stentor.bus.memory import MemoryBus
from stentor.clock import Clock, SystemClock
from stentor.edge.downstream import RelaySettings
from stentor.edge.http import Limits
from stentor.edge.replay_port import ReplayDesk
from stentor.edge.server import Edge, EdgeSettings
from stentor.room.documents import RoomDocument
from stentor.room.states import RoomState
from tests.fakes.wav_origin import Mono, WavOrigin, beeps, room_document


@dataclass
class WavRoom:
    """What a test holds: the bus, the edge, the origin of the moment and where listeners go."""

    bus: MemoryBus
    clock: Clock
    edge: Edge
    document: RoomDocument
    port: int
    tasks: asyncio.TaskGroup
    pcm: Mono
    origins: list[tuple[WavOrigin, asyncio.Task[None]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The room's address."""
        return f"http://127.0.0.1:{self.port}/r/{self.document.room}"

    @property
    def origin(self) -> WavOrigin:
        """The newest origin."""
        return self.origins[-1][0]

    def start_origin(self) -> WavOrigin:
        """Let a (new) origin claim the room."""
        origin = WavOrigin(self.bus, self.clock, self.document, self.pcm)
        self.origins.append((origin, self.tasks.create_task(origin.run())))
        return origin

    async def kill_origin(self) -> None:
        """Let the newest origin be gone, without a word."""
        task = self.origins[-1][1]
        task.cancel()
        await asyncio.wait([task])

    async def put(self, state: RoomState) -> None:
        """Say, as control does, that the room is in another state."""
        self.document = self.document.model_copy(update={"state": state})
        await self.bus.put("rooms", self.document.room, self.document.to_bytes())

    async def until(self, what: Callable[[], bool], why: str, seconds: float = 20.0) -> None:
        """Wait for something to become true; fails with what was waited for."""
        try:
            async with asyncio.timeout(seconds):
                while not what():  # noqa: ASYNC110 - what is waited for rings no bell
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {why}") from None


@asynccontextmanager
async def wav_room(
    *,
    state: RoomState = RoomState.LIVE,
    pcm: Mono | None = None,
    pages: Path | None = None,
    replay: ReplayDesk | None = None,
    origin: bool = True,
    limits: Limits | None = None,
    drain_s: float = 0.5,
    relays: RelaySettings | None = None,
    media_url: str = "",
    clock: Clock | None = None,
) -> AsyncIterator[WavRoom]:
    """Serve one room until the context ends; everything that was started is ended."""
    clock = clock or SystemClock()
    bus = MemoryBus(clock)
    document = room_document("demo", clock, state)
    await bus.put("rooms", "demo", document.to_bytes())
    settings = EdgeSettings(
        name="edge-1", staff_url="http://127.0.0.1:1", pages=pages, drain_s=drain_s, media_url=media_url
    )
    settings = replace(settings, limits=limits or Limits(), relays=relays or RelaySettings())
    edge = Edge(bus=bus, clock=clock, settings=settings, replay=replay)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(edge.run(listening))
            await edge.started.wait()
            room = WavRoom(
                bus, clock, edge, document, listening.getsockname()[1], tasks, beeps() if pcm is None else pcm
            )
            if origin:
                room.start_origin()
            await room.until(lambda: edge.rooms.synced, "the edge knows its rooms")
            try:
                yield room
            finally:
                for _, task in room.origins:
                    task.cancel()
                edge.stop()
                await serving
