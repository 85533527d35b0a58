import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from stentor.bus.memory import MemoryBus
from stentor.errors import Fenced
from stentor.origin.log_writer import LogWriter
from stentor.origin.spool import Spool, leftovers
from tests.fakes.buses import until
from tests.fakes.clock import VirtualClock, settle

SUBJECT = "room.demo.chunk.opus"


class Setup:
    def __init__(self, tmp_path) -> None:
        self.clock = VirtualClock()
        self.bus = MemoryBus(self.clock)
        self.directory = tmp_path

    async def begin(self, **limits) -> None:
        self.fence = await self.bus.claim("demo", b"{}")
        self.spool = Spool(self.directory, "demo", self.fence.epoch, self.fence.sequence, self.clock)
        self.writer = LogWriter(self.bus, self.clock, self.fence, self.spool, **limits)

    def write(self, first: int, end: int, size: int = 100) -> None:
        for number in range(first, end):
            assert self.writer.write(SUBJECT, f"demo.1.opus.{number}", number.to_bytes(4, "big") * (size // 4))

    async def numbers(self) -> list[int]:
        return [int.from_bytes(r.payload[:4], "big") for r in await self.bus.read(SUBJECT, after=0, limit=10_000)]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.writer.run())
            yield
            task.cancel()


@pytest.fixture
async def setup(tmp_path) -> Setup:
    made = Setup(tmp_path)
    await made.begin()
    return made


async def test_records_are_stored_in_order_and_a_clean_end_leaves_no_spool(setup: Setup) -> None:
    async with setup.running():
        setup.write(0, 50)
        assert setup.writer.pending == 50
        assert await setup.writer.drain(1)
        assert not setup.writer.write(SUBJECT, "late", b"x")
    assert await setup.numbers() == list(range(50))
    assert list(setup.directory.iterdir()) == []


async def test_an_outage_longer_than_the_dedup_window_loses_and_repeats_nothing(setup: Setup) -> None:
    async with setup.running():
        setup.write(0, 5)
        await settle()
        setup.bus.lose_next_ack()
        setup.write(5, 6)
        await settle()
        setup.bus.away()
        setup.write(6, 20)
        await setup.clock.advance(300)
        assert setup.writer.pending == 15
        setup.bus.back()
        await setup.clock.advance(2)
        assert setup.writer.pending == 0
    assert await setup.numbers() == list(range(20))


async def test_what_memory_cannot_hold_comes_back_from_the_spool(tmp_path) -> None:
    setup = Setup(tmp_path)
    await setup.begin(max_memory_bytes=1000)
    setup.bus.away()
    async with setup.running():
        setup.write(0, 100)
        setup.bus.back()
        await setup.clock.advance(1)
        # Reading back happens in a thread.
        await until(lambda: setup.writer.pending == 0, "the line is not empty")
    assert await setup.numbers() == list(range(100))


async def test_a_deadline_leaves_the_spool_for_a_successor(setup: Setup) -> None:
    async with setup.running():
        setup.bus.away()
        setup.write(0, 3)
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(setup.writer.drain(1))
            await setup.clock.advance(1.1)
        assert not drained.result()
    (found,) = leftovers(setup.directory, "demo", below_epoch=2)
    assert len(found.entries) == 3


async def test_fenced_by_the_log_stops_for_good(setup: Setup) -> None:
    await setup.bus.claim("demo", b"{}")
    setup.write(0, 2)
    with pytest.raises(Fenced):
        await setup.writer.run()
    assert setup.writer.fenced
    assert not setup.writer.write(SUBJECT, "demo.1.opus.2", b"x")
    assert not await setup.writer.drain(1)
    assert await setup.numbers() == []
    assert len(leftovers(setup.directory, "demo", below_epoch=2)) == 1


async def test_fenced_by_the_seal_stops_before_anything_goes_out(setup: Setup) -> None:
    async def write_after_the_seal() -> None:
        async with setup.running():
            await settle()
            leftovers(setup.directory, "demo", below_epoch=2)
            assert not setup.writer.write(SUBJECT, "demo.1.opus.0", b"x")
            await settle()

    with pytest.raises(ExceptionGroup) as caught:
        await write_after_the_seal()
    assert caught.group_contains(Fenced)
    assert await setup.numbers() == []
