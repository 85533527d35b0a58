"""The two ways to workers: processes of this machine, spoken to by JSON lines, and others over the bus."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pydantic import ValidationError

from stentor.bus.port import Core, rehearsal_order_subject, rehearsal_report_subject
from stentor.clock import Clock
from stentor.rehearsal.orders import Order, Report
from stentor.rehearsal.worker import Worker
from stentor.telemetry import logger

Spawn = Callable[[str], Awaitable[asyncio.subprocess.Process]]
"""Starts a worker of this name as a process whose stdin and stdout are pipes."""

_LINE_BYTES = 1 << 22
_PATIENCE_S = 5.0

log = logger("rehearsal")


class Processes:
    """Workers on this machine. ``take`` is given their reports."""

    def __init__(self, take: Callable[[Report], None]) -> None:
        self._take = take
        self._running: list[asyncio.subprocess.Process] = []

    @asynccontextmanager
    async def running(self, names: list[str], spawn: Spawn) -> AsyncIterator[None]:
        """Keep so many workers inside the context; afterwards none is left."""
        async with asyncio.TaskGroup() as group:
            try:
                for name in names:
                    process = await spawn(name)
                    self._running.append(process)
                    group.create_task(self._read(process))
                yield
            finally:
                for process in self._running:
                    await _end(process)

    async def tell(self, order: Order) -> None:
        """Write an order to all; who has ended is passed over."""
        line = order.model_dump_json().encode() + b"\n"
        for process in self._running:
            if process.returncode is None and process.stdin is not None and not process.stdin.is_closing():
                process.stdin.write(line)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        while line := await process.stdout.readline():
            try:
                self._take(Report.model_validate_json(line))
            except ValidationError:
                log.warning("report_garbled", size=len(line))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class OverBus:
    """Workers anywhere that have joined by the bus."""

    def __init__(self, bus: Core, rehearsal: str, take: Callable[[Report], None]) -> None:
        self._bus = bus
        self._rehearsal = rehearsal
        self._take = take

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear the workers inside the context."""
        async with self._bus.subscribe(rehearsal_report_subject(self._rehearsal), self._deliver):
            yield

    async def tell(self, order: Order) -> None:
        """Publish an order."""
        await self._bus.publish(rehearsal_order_subject(self._rehearsal), order.model_dump_json().encode())

    def _deliver(self, _subject: str, payload: bytes) -> None:
        try:
            self._take(Report.model_validate_json(payload))
        except ValidationError:
            log.warning("report_garbled", size=len(payload))


async def work_on_pipes(name: str, clock: Clock) -> None:
    """Be a worker that its coordinator started: orders on stdin, reports on stdout; ends when stdin does."""

    async def tell(report: Report) -> None:
        sys.stdout.write(report.model_dump_json() + "\n")
        sys.stdout.flush()

    worker = Worker(name, clock, tell)
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def read() -> None:
        while line := await reader.readline():
            worker.order(Order.model_validate_json(line))
        worker.end()

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await worker.run()
        reading.cancel()


async def work_on_bus(name: str, clock: Clock, bus: Core, stop: asyncio.Event) -> None:
    """Be a worker for whichever rehearsal calls first on this bus; ends with it, or when ``stop`` is set."""
    rehearsal = ""

    async def tell(report: Report) -> None:
        await bus.publish(rehearsal_report_subject(rehearsal), report.model_dump_json().encode())

    worker = Worker(name, clock, tell)

    def deliver(subject: str, payload: bytes) -> None:
        nonlocal rehearsal
        called = subject.split(".")[1]
        try:
            order = Order.model_validate_json(payload)
        except ValidationError:
            log.warning("order_garbled", size=len(payload))
            return
        rehearsal = rehearsal or called
        if called == rehearsal:
            worker.order(order)

    async def until_stopped() -> None:
        await stop.wait()
        worker.end()

    async with bus.subscribe(rehearsal_order_subject("*"), deliver), asyncio.TaskGroup() as group:
        stopping = group.create_task(until_stopped())
        await worker.run()
        stopping.cancel()
