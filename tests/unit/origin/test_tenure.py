import asyncio

import pytest

from stentor.bus.memory import MemoryBus
from stentor.bus.port import chunk_subject
from stentor.bus.wire import encode_chunk
from stentor.clock import UnixNs
from stentor.media.chunk import Chunk
from stentor.media.grid import STEP_NS, STEP_SAMPLES, Samples, Step
from stentor.media.rendition import RenditionName
from stentor.origin.log_writer import LogWriter
from stentor.origin.tenure import Tenure, first_step_of_epoch, present_step, take_over
from tests.fakes.clock import START_NS, VirtualClock


@pytest.mark.parametrize(
    ("last", "spool_found", "present", "begins"),
    [
        (None, False, 0, 8),  # nothing seen: the next segment
        (None, False, 7, 8),
        (None, False, 8, 16),
        (None, True, 3, 8),
        (100, True, 100, 104),  # the spool is at hand: the segment after the last
        (103, True, 110, 104),
        (104, True, 110, 112),
        (100, True, 229, 104),  # a hole of 30 s is filled
        (100, True, 230, 232),  # a longer one is not
        (100, False, 100, 104),  # without the spool: after the present
        (100, False, 110, 112),
        (200, False, 110, 208),  # the clock was set back: never below what was seen
        (200, True, 110, 208),
    ],
)
def test_first_step(last: int | None, spool_found: bool, present: int, begins: int) -> None:
    assert first_step_of_epoch(last, spool_found=spool_found, present=Step(present)) == begins


def test_present_step() -> None:
    zero = UnixNs(10 * STEP_NS)
    assert [present_step(zero, UnixNs(10 * STEP_NS + at)) for at in (-1, 0, STEP_NS - 1, STEP_NS)] == [0, 0, 0, 1]


def message(epoch: int, step: int, *, rendition: RenditionName = RenditionName.OPUS, discontinuity: int = 0) -> bytes:
    head = bytes([epoch, step % 256]) * 16
    return encode_chunk(
        Chunk("demo", rendition, epoch, discontinuity, Step(step), Samples(step * STEP_SAMPLES), (b"unit",), head)
    )


def write(tenure: Tenure, writer: LogWriter, step: int, rendition: RenditionName = RenditionName.OPUS) -> bytes:
    payload = message(tenure.epoch, step, rendition=rendition, discontinuity=tenure.discontinuity)
    assert writer.write(chunk_subject("demo", rendition), f"demo.{tenure.epoch}.{rendition}.{step}", payload)
    return payload


class Origins:
    def __init__(self, tmp_path) -> None:
        self.clock = VirtualClock()
        self.bus = MemoryBus(self.clock)
        self.directory = tmp_path

    async def take(self) -> Tenure:
        return await take_over(self.bus, self.clock, self.directory, "demo", b"{}", zero_ns=START_NS)

    async def payloads(self) -> list[bytes]:
        return [record.payload for record in await self.bus.read("room.demo.chunk.*", after=0, limit=10_000)]


@pytest.fixture
def origins(tmp_path) -> Origins:
    return Origins(tmp_path)


async def test_the_first_epoch(origins: Origins) -> None:
    tenure = await origins.take()
    assert (tenure.epoch, tenure.discontinuity, tenure.last_step, tenure.spool_found) == (1, 0, None, False)
    assert tenure.heads == {}
    assert tenure.first_step == 8
    tenure.spool.close(delete=True)


async def test_a_successor_logs_the_spool_and_goes_on(origins: Origins) -> None:
    first = await origins.take()
    writer = LogWriter(origins.bus, origins.clock, first.fence, first.spool)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(writer.run())
        written = [write(first, writer, step) for step in range(8, 12)]
        await origins.clock.advance(0.1)
        origins.bus.lose_next_ack()
        written.append(write(first, writer, 12))
        await asyncio.sleep(0)
        origins.bus.away()
        written += [write(first, writer, step) for step in range(13, 20)]
        written.append(write(first, writer, 19, RenditionName.AAC))
        # kill -9: nothing more is said or written
        running.cancel()
    origins.bus.back()

    second = await origins.take()
    assert await origins.payloads() == written
    assert (second.epoch, second.discontinuity, second.last_step, second.spool_found) == (2, 1, 19, True)
    assert second.first_step == 24
    assert second.heads == {RenditionName.OPUS: bytes([1, 19]) * 16, RenditionName.AAC: bytes([1, 19]) * 16}
    assert [path.name for path in origins.directory.iterdir()] == ["demo.2.spool"]
    second.spool.close(delete=True)


async def test_rubbish_at_the_end_of_the_log_does_not_keep_a_room_away(origins: Origins) -> None:
    first = await origins.take()
    await origins.bus.append(first.fence, chunk_subject("demo", "opus"), "rubbish", b"rubbish")
    await origins.bus.append(first.fence, chunk_subject("demo", "aac"), "9", message(1, 9, rendition=RenditionName.AAC))
    first.spool.close(delete=True)
    second = await origins.take()
    assert (second.epoch, second.last_step, set(second.heads)) == (2, 9, {RenditionName.AAC})
    second.spool.close(delete=True)


async def test_an_epoch_without_a_chunk_is_no_discontinuity(origins: Origins) -> None:
    for _ in range(3):
        tenure = await origins.take()
        tenure.spool.close(delete=False)
    assert (tenure.epoch, tenure.discontinuity, tenure.spool_found) == (3, 0, True)


async def test_on_another_machine_there_is_no_spool(origins: Origins, tmp_path) -> None:
    first = await origins.take()
    writer = LogWriter(origins.bus, origins.clock, first.fence, first.spool)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(writer.run())
        write(first, writer, 8)
        await origins.clock.advance(12 * 0.24)
        running.cancel()
    origins.directory = tmp_path / "other"
    second = await origins.take()
    assert (second.last_step, second.spool_found, second.first_step, second.discontinuity) == (8, False, 16, 1)
    second.spool.close(delete=True)


async def test_a_take_over_waits_for_the_bus(origins: Origins) -> None:
    origins.bus.away()
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(origins.take())
        await origins.clock.advance(5)
        assert not taking.done()
        origins.bus.back()
        await origins.clock.advance(1)
        async with asyncio.timeout(10):
            tenure = await taking
    assert tenure.epoch == 1
    tenure.spool.close(delete=True)
