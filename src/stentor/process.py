"""What every role's process has in common: its name, private endpoint, bus, and how it is asked to stop."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stentor.clock import Clock, SystemClock
from stentor.config import Settings
from stentor.errors import BusUnavailable
from stentor.supervisor.machine import PROCESS_VARIABLE
from stentor.supervisor.private import SOCKET_VARIABLE, Health, private_endpoint
from stentor.telemetry import dump_rate_limited, logger

if TYPE_CHECKING:
    from stentor.bus.nats import NatsBus
    from stentor.bus.port import Bus
    from stentor.bus.upstream import UpstreamBus

_RETRY_S = 1.0

log = logger("app")


@dataclass(frozen=True, slots=True)
class Process:
    """What a role is given: its name, clock, bus, health, and when to stop."""

    name: str
    clock: Clock
    bus: "Bus"
    health: Health
    stop: asyncio.Event

    async def until_stopped(self, work: Awaitable[None]) -> None:
        """Run ``work`` until it ends by itself or the process is asked to stop; then it is cancelled."""

        async def working() -> None:
            await work
            self.stop.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(working())
            self.health.starting = False
            await self.stop.wait()
            task.cancel()


@asynccontextmanager
async def running_process(settings: Settings, role: str) -> AsyncIterator[Process]:
    """Give a role its bus and its private endpoint; SIGTERM and SIGINT set ``stop``.

    While the bus is away at the start the process waits for it, alive and not ready.
    """
    clock = SystemClock()
    name = os.environ.get(PROCESS_VARIABLE, role)
    socket = os.environ.get(SOCKET_VARIABLE)
    health, stop = Health(), asyncio.Event()
    _stop_on_signals(stop, health)
    endpoint = private_endpoint(
        health.answer, path=Path(socket) if socket else None, host=settings.private_host, port=settings.private_port
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(endpoint)
        ticker = await stack.enter_async_context(asyncio.TaskGroup())
        beat = ticker.create_task(_every_second(clock))
        stack.callback(beat.cancel)
        below = role == "edge" and settings.upstream
        opening = (
            _upstream(settings, clock, name, health) if below else connected_bus(settings, clock, role, name, health)
        )
        bus: Bus = await stack.enter_async_context(opening)
        yield Process(name, clock, bus, health, stop)
        health.starting = True


def _stop_on_signals(stop: asyncio.Event, health: Health) -> None:
    """Set ``stop`` at SIGTERM or SIGINT; a process that still starts is cancelled instead."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()

    def asked() -> None:
        if health.starting and not stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)


async def _every_second(clock: Clock) -> None:
    while True:
        await clock.sleep(1.0)
        dump_rate_limited()


@asynccontextmanager
async def connected_bus(
    settings: Settings, clock: Clock, role: str, name: str, health: Health
) -> AsyncIterator["NatsBus"]:
    """Connect to the bus that the settings name; wait for it as long as it is away."""
    from stentor.bus.nats import NatsBus

    servers = settings.nats_url.split(",")
    password = settings.nats_password
    credentials = {"token": password} if password else {}
    if settings.nats_user:
        credentials = {"user": settings.nats_user, "password": password}
    async with AsyncExitStack() as stack:
        bus: NatsBus | None = None
        while bus is None:
            connecting = NatsBus.connect(servers, clock, role=role, name=name, credentials=credentials)
            try:
                bus = await stack.enter_async_context(connecting)
            except BusUnavailable as error:
                log.warning("waiting_for_the_bus", reason=error.detail)
                await clock.sleep(_RETRY_S)
        ready = bus

        async def reasons() -> list[str]:
            return [] if ready.connected else ["the bus does not answer"]

        health.add(reasons)
        yield bus


@asynccontextmanager
async def _upstream(settings: Settings, clock: Clock, name: str, health: Health) -> AsyncIterator["UpstreamBus"]:
    """Feed from another edge; wait at the start until it has said which rooms there are."""
    from stentor.bus.upstream import UpstreamBus

    edge = edge_name(settings, name)
    async with UpstreamBus.connect(settings.upstream, clock, edge=edge, key=settings.relay_key) as bus:

        async def reasons() -> list[str]:
            return [bus.problem] if bus.problem else []

        health.add(reasons)
        health.waits_for = lambda: bus.problem
        await bus.synced.wait()
        yield bus


def edge_name(settings: Settings, process: str) -> str:
    """Return what tells an edge from all others; one that nobody supervises adds its process id."""
    own = "" if PROCESS_VARIABLE in os.environ else f".{os.getpid()}"
    return f"{settings.node}.{process}{own}"
