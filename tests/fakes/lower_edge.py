"""An edge without NATS, in this process: it feeds itself from another edge on the loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stentor.bus.upstream import UpstreamBus
from stentor.bus.upstream_http import UpstreamAddress
from stentor.clock import SystemClock
from stentor.edge.downstream import RelaySettings
from stentor.edge.server import Edge, EdgeSettings
from stentor.replay.upstream import UpstreamReplay

KEY = "a relay key for tests"


@dataclass
class LowerEdge:
    """A running edge, its bus, and where its listeners go."""

    edge: Edge
    bus: UpstreamBus
    replay: UpstreamReplay
    port: int

    @property
    def url(self) -> str:
        """The room's address."""
        return f"http://127.0.0.1:{self.port}/r/demo"


@asynccontextmanager
async def lower_edge(
    upper_port: int, name: str = "lower", *, key: str = KEY, ready: bool = True, ticket_key: bytes = b"t" * 32
) -> AsyncIterator[LowerEdge]:
    """Serve what the edge on ``upper_port`` serves until the context ends; without ``ready`` that is not waited for."""
    clock = SystemClock()
    url = f"http://127.0.0.1:{upper_port}"
    settings = EdgeSettings(
        name=name,
        staff_url="http://127.0.0.1:1",
        drain_s=0.5,
        relays=RelaySettings(KEY),
        ticket_key=ticket_key,
        leads=False,
        reports=bool(key),
    )
    async with UpstreamBus.connect(url, clock, edge=name, key=key) as bus:
        replay = UpstreamReplay(UpstreamAddress.parse(url), clock)
        edge = Edge(bus=bus, clock=clock, settings=settings, replay=replay)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(edge.run(listening))
                try:
                    async with asyncio.timeout(10 if ready else None):
                        while ready and not edge.ready:  # noqa: ASYNC110 - two things that ring no common bell
                            await asyncio.sleep(0.01)
                    yield LowerEdge(edge, bus, replay, listening.getsockname()[1])
                finally:
                    edge.stop()
                    await serving
