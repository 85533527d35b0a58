"""The copy of the status: when it is written, and what becomes of a store that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from obstore.store import MemoryStore

from stentor.archive.status import StatusCopy
from stentor.bus.memory import MemoryBus
from stentor.clock import NS_PER_S
from stentor.errors import StoreUnavailable
from stentor.room.status import COPY_SUBJECT, CopyReport, Happening, StatusDocument, StatusEvent
from stentor.store.objects import ObstoreObjects
from tests.fakes.clock import START_NS, VirtualClock


class Failing(ObstoreObjects):
    """Objects in a dictionary, since threads know no virtual time; counts pages written, refuses while ``fails``."""

    fails = False
    pages = 0

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.held: dict[str, bytes] = {}

    async def put(self, path: str, data: bytes, *, kind: str | None = None) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12
        assert kind is not None
        if self.fails:
            raise StoreUnavailable("The object store does not answer: no.")
        self.pages += path == "status/index.html"
        self.held[path] = data


@asynccontextmanager
async def copying() -> AsyncIterator[tuple[VirtualClock, MemoryBus, Failing, list[CopyReport]]]:
    clock = VirtualClock()
    bus, objects, heard = MemoryBus(clock), Failing(), list[CopyReport]()

    def hear(_subject: str, payload: bytes) -> None:
        heard.append(CopyReport.model_validate_json(payload))

    async with bus.subscribe(COPY_SUBJECT, hear), asyncio.TaskGroup() as group:
        task = group.create_task(StatusCopy(bus, objects, clock, "https://radio.example.org").run())
        await clock.advance(2)
        yield clock, bus, objects, heard
        task.cancel()


async def say(clock: VirtualClock, bus: MemoryBus, text: str | None) -> None:
    event = StatusEvent(id="1", at_ns=START_NS, kind=Happening.SAID, text=text)
    document = StatusDocument(at_ns=clock.wall_ns(), events=(event,) if text else ())
    await bus.put("installation", "status", document.to_bytes())


async def passed(clock: VirtualClock, bus: MemoryBus, objects: Failing, seconds: int, text: str | None = None) -> int:
    """Return how many copies were written in so many seconds, with control there."""
    before = objects.pages
    for _ in range(seconds):
        await say(clock, bus, text)
        await clock.advance(1)
    return objects.pages - before


async def test_it_is_written_each_half_minute_and_soon_when_something_happens() -> None:
    async with copying() as (clock, bus, objects, _):
        await passed(clock, bus, objects, 10)
        assert 1 <= await passed(clock, bus, objects, 60) <= 3
        assert await passed(clock, bus, objects, 6, "We look into it.") == 1
        assert b"We look into it." in objects.held["status/index.html"]


async def test_a_store_that_fails_is_told_of_and_tried_again() -> None:
    async with copying() as (clock, bus, objects, heard):
        await passed(clock, bus, objects, 10)
        assert heard[-1].problem is None
        written_ns = heard[-1].written_ns
        objects.fails = True
        await passed(clock, bus, objects, 40)
        assert heard[-1] == CopyReport(written_ns=written_ns, problem="The object store does not answer: no.")
        objects.fails = False
        await passed(clock, bus, objects, 40)
        assert heard[-1].problem is None
        assert (heard[-1].written_ns or 0) > (written_ns or 0) + 30 * NS_PER_S
