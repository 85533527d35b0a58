"""Both implementations of the bus behind one face, for the suite that judges them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stentor.bus.memory import MemoryBus
from stentor.bus.port import Bus
from stentor.clock import SystemClock
from tests.fakes.nats_server import running_nats

LEASE_TTL_S = 2.0


async def until(reached: Callable[[], bool], why_not: str, *, limit_s: float = 20.0) -> None:
    """Wait for something that another task or process does."""
    try:
        async with asyncio.timeout(limit_s):
            while not reached():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {limit_s} s: {why_not}") from None


@dataclass
class Case:
    """Two clients of one bus, and its outages."""

    bus: Bus
    rival: Bus
    away: Callable[[], Awaitable[None]]
    back: Callable[[], Awaitable[None]]


@asynccontextmanager
async def memory_case(_directory: Path) -> AsyncIterator[Case]:
    bus = MemoryBus(SystemClock(), lease_ttl_s=LEASE_TTL_S)

    async def away() -> None:
        bus.away()

    async def back() -> None:
        bus.back()

    yield Case(bus, bus, away, back)


@asynccontextmanager
async def nats_case(directory: Path) -> AsyncIterator[Case]:
    with running_nats(directory) as server:
        async with (
            server.bus(lease_ttl_s=LEASE_TTL_S) as bus,
            server.bus(role="rival", lease_ttl_s=LEASE_TTL_S) as rival,
        ):

            async def away() -> None:
                server.kill()
                await until(lambda: not (bus.connected or rival.connected), "the bus still says it is connected")

            async def back() -> None:
                server.start()
                await until(lambda: bus.connected and rival.connected, "the bus does not come back")

            yield Case(bus, rival, away, back)


CASES = {"memory": memory_case, "nats": nats_case}
