"""The relay against a memory bus: catching up, gaps, stale origins, rubbish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stentor.bus.memory import MemoryBus
from stentor.bus.port import Fence, chunk_subject, live_chunk_subject, origin_subject
from stentor.bus.ring import pack_messages
from stentor.bus.wire import encode_chunk
from stentor.clock import SystemClock
from stentor.edge.relay import Relay
from stentor.media.chunk import Chunk
from stentor.media.grid import STEP_NS, STEP_SAMPLES, Samples, Step
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.requests import RingRead

OPUS = RENDITIONS[RenditionName.OPUS]
LIVE = live_chunk_subject("r", "opus")


def chunk(step: int, epoch: int = 1) -> Chunk:
    return Chunk(
        "r", RenditionName.OPUS, epoch, epoch - 1, Step(step), Samples(step * STEP_SAMPLES), (b"u",), bytes(32)
    )


class Heard:
    """An output that remembers."""

    def __init__(self) -> None:
        self.positions: list[tuple[int, int]] = []
        self.is_ready = asyncio.Event()
        self.grew = asyncio.Event()
        self.finished = False

    def take(self, chunk: Chunk) -> None:
        self.positions.append(chunk.position)
        self.grew.set()

    def ready(self) -> None:
        self.is_ready.set()

    def finish(self) -> None:
        self.finished = True

    async def until(self, position: tuple[int, int]) -> None:
        async with asyncio.timeout(8):
            while position not in self.positions:
                self.grew.clear()
                await self.grew.wait()


class Scene:
    """A room at step 50, with a ring, a log and a relay."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.bus = MemoryBus(clock)
        self.ring: dict[int, Chunk] = {}
        self.heard = Heard()
        self.asked: list[int] = []
        zero_ns = clock.wall_ns() - 50 * STEP_NS
        self.relay = Relay("r", OPUS, zero_ns, self.bus, clock, outputs=[self.heard])

    async def answer(self, _subject: str, payload: bytes) -> bytes:
        ask = RingRead.model_validate_json(payload)
        self.asked.append(ask.after_step)
        return pack_messages([encode_chunk(self.ring[step]) for step in sorted(self.ring) if step > ask.after_step])

    async def live(self, *chunks: Chunk) -> None:
        for each in chunks:
            await self.bus.publish(LIVE, encode_chunk(each))

    async def log(self, fence: Fence, *chunks: Chunk) -> None:
        for each in chunks:
            subject = chunk_subject("r", "opus")
            await self.bus.append(fence, subject, f"{each.position}", encode_chunk(each))

    @asynccontextmanager
    async def running(self, *, ring: bool = True) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(15):
            if ring:
                async with self.bus.serve(origin_subject("r", "ring"), self.answer):
                    tasks.create_task(self.relay.run())
                    yield
                    self.relay.finish()
            else:
                tasks.create_task(self.relay.run())
                yield
                self.relay.finish()


async def test_begins_with_the_ring_and_goes_on_live() -> None:
    scene = Scene()
    scene.ring = {step: chunk(step) for step in range(20, 50)}
    async with scene.running():
        await scene.heard.is_ready.wait()
        await scene.live(chunk(49), chunk(50), chunk(51))
    assert scene.heard.positions == [(1, step) for step in range(20, 52)]
    assert scene.heard.finished


async def test_begins_with_the_log_when_no_origin_answers() -> None:
    scene = Scene()
    fence = await scene.bus.claim("r", b"{}")
    await scene.log(fence, *(chunk(step) for step in range(30, 40)))
    async with scene.running(ring=False):
        await scene.heard.is_ready.wait()
    assert scene.heard.positions == [(1, step) for step in range(30, 40)]


async def test_begins_with_ring_and_log_where_the_ring_is_young() -> None:
    scene = Scene()
    fence = await scene.bus.claim("r", b"{}")
    await scene.log(fence, *(chunk(step) for step in range(10, 45)))
    scene.ring = {step: chunk(step, epoch=2) for step in range(48, 50)}
    async with scene.running():
        await scene.heard.is_ready.wait()
    assert scene.heard.positions == [*((1, step) for step in range(10, 45)), (2, 48), (2, 49)]


async def test_the_last_chunk_of_a_room_is_looked_for_when_it_ends() -> None:
    scene = Scene()
    scene.ring = {49: chunk(49)}
    fence = await scene.bus.claim("r", b"{}")
    async with scene.running():
        await scene.heard.is_ready.wait()
        await scene.live(chunk(50))
        await scene.log(fence, chunk(50), chunk(51))
        scene.relay.look_behind()
        await scene.heard.until((1, 51))
    assert scene.heard.positions == [(1, 49), (1, 50), (1, 51)]


async def test_a_gap_is_filled_from_the_ring() -> None:
    scene = Scene()
    scene.ring = {49: chunk(49)}
    async with scene.running():
        await scene.heard.is_ready.wait()
        scene.ring |= {step: chunk(step) for step in (50, 51, 52)}
        await scene.live(chunk(52))
        await scene.heard.until((1, 52))
    assert scene.heard.positions == [(1, step) for step in (49, 50, 51, 52)]
    assert scene.asked[-1] == 49


async def test_a_gap_that_the_ring_has_lost_is_filled_from_the_log() -> None:
    scene = Scene()
    scene.ring = {49: chunk(49)}
    fence = await scene.bus.claim("r", b"{}")
    await scene.log(fence, *(chunk(step) for step in range(40, 53)))
    async with scene.running():
        await scene.heard.is_ready.wait()
        scene.ring = {}
        await scene.live(chunk(53))
        await scene.heard.until((1, 53))
    assert scene.heard.positions == [(1, step) for step in range(40, 54)]


async def test_a_hole_that_nobody_can_fill_is_skipped() -> None:
    scene = Scene()
    scene.ring = {49: chunk(49)}
    async with scene.running():
        await scene.heard.is_ready.wait()
        await scene.live(chunk(56, 2), chunk(50, 1))
        await scene.heard.until((2, 56))
        await scene.live(chunk(57, 1), chunk(57, 2))
        await scene.heard.until((2, 57))
    assert scene.heard.positions == [(1, 49), (1, 50), (2, 56), (2, 57)]


async def test_rubbish_and_other_rooms_chunks_change_nothing() -> None:
    scene = Scene()
    other = Chunk("s", RenditionName.OPUS, 9, 0, Step(60), Samples(0), (b"u",), bytes(32))
    async with scene.running():
        await scene.heard.is_ready.wait()
        await scene.bus.publish(LIVE, b"rubbish")
        await scene.bus.publish(LIVE, encode_chunk(other))
        await scene.live(chunk(2**50))
        await scene.live(chunk(50))
    assert scene.heard.positions == [(1, 50)]


async def test_what_comes_while_the_bus_returns_is_filled() -> None:
    scene = Scene()
    scene.ring = {49: chunk(49)}
    async with scene.running():
        await scene.heard.is_ready.wait()
        scene.bus.away()
        await scene.live(chunk(50))
        scene.ring |= {50: chunk(50), 51: chunk(51)}
        scene.bus.back()
        await scene.live(chunk(51))
        await scene.heard.until((1, 51))
    assert scene.heard.positions == [(1, 49), (1, 50), (1, 51)]
