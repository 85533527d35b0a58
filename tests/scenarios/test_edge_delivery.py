"""The dial of block sizes, from the API to a listener of a real edge."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from stentor.clock import SystemClock
from stentor.edge.server import Edge, EdgeSettings
from stentor.room.documents import RoomDocument
from stentor.store.sql_migrate import migrate
from tests.fakes.listener import Block, PushListener, push_listener
from tests.fakes.staff import Desk, staff_desk
from tests.fakes.wav_origin import WavOrigin, beeps
from tests.fakes.wav_room import wav_room

UNIT_SAMPLES = 960
STEP_UNITS = 12


@dataclass
class Site:
    """Control and an edge on one bus, a room on air, its host's session and the edge's address."""

    desk: Desk
    host: str
    audience_url: str

    async def set_blocks(self, block_steps: int | None) -> None:
        """Turn the dial."""
        body = {"block_steps": block_steps}
        await self.desk.ok("PUT", "/api/v1/rooms/demo/delivery", self.host, json=body)

    async def delivery(self) -> object:
        """Return what state.json says of the edge's blocks."""
        async with httpx.AsyncClient(base_url=self.audience_url) as client:
            return (await client.get("/r/demo/state.json")).json()["delivery"]


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    database = f"sqlite+aiosqlite:///{folder}/catalogue.db"
    await migrate(database)
    clock = SystemClock()
    async with staff_desk(clock, database, folder) as desk:
        links = await desk.room("demo", "open", "start")
        document = RoomDocument.model_validate(await desk.document())
        edge = Edge(bus=desk.bus, clock=clock, settings=EdgeSettings(name="edge-1", drain_s=0.5))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(edge.run(listening))
                origin = tasks.create_task(WavOrigin(desk.bus, clock, document, beeps()).run())
                await edge.started.wait()
                try:
                    yield Site(desk, await desk.session(links["host"]), url)
                finally:
                    origin.cancel()
                    edge.stop()
                    await serving


def steps_of(block: Block) -> int:
    """Return how many steps a block of Opus carries, all of them whole."""
    assert len(block.units) % STEP_UNITS == 0
    return len(block.units) // STEP_UNITS


async def test_the_dial_is_announced_and_then_merges_blocks_without_a_hole(tmp_path: Path) -> None:
    async with site(tmp_path) as at, push_listener(at.audience_url, "demo") as listener:
        await listener.until(lambda heard: len(heard.blocks) >= 3, "blocks of one step come")
        assert await at.delivery() == {"block_steps": 1, "block_s": 0.24}
        await at.set_blocks(2)
        await listener.until(lambda heard: cadences(heard) != [], "larger blocks are announced")
        announced = cadences(listener)[0]
        assert (announced["block_steps"], announced["emergency"]) == (2, False)
        from_step = announced["from_step"]
        assert isinstance(from_step, int)
        assert from_step - listener.blocks[-1].step > 0.24 / 0.06  # far enough ahead for players to slow down
        await listener.until(lambda heard: heard.blocks[-1].step >= from_step + 6, "larger blocks come")
        assert await at.delivery() == {"block_steps": 2, "block_s": 0.48}
        await at.set_blocks(None)
        await listener.until(lambda heard: len(cadences(heard)) == 2, "smaller blocks are announced")
        back = cadences(listener)[1]
        assert (back["block_steps"], back["emergency"]) == (1, False)
        reached = len(listener.blocks)
        await listener.until(lambda heard: len(heard.blocks) >= reached + 4, "smaller blocks come")
        sizes = [steps_of(block) for block in listener.blocks[1:]]  # the first is the start
        assert set(sizes[:2]) == {1}
        assert sizes[-3:] == [1, 1, 1]
        larger = [steps_of(block) for block in listener.blocks if from_step + 2 <= block.step <= from_step + 6]
        assert larger
        assert set(larger) == {2}
        assert_whole(listener)


def cadences(heard: PushListener) -> list[dict[str, object]]:
    return [said for said in heard.said if said["type"] == "cadence"]


async def test_a_word_given_before_anybody_listens_holds_for_who_comes(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.set_blocks(4)
        async with asyncio.timeout(10):
            while await at.delivery() != {"block_steps": 4, "block_s": 0.96}:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.1)
        async with push_listener(at.audience_url, "demo") as listener:
            await listener.until(lambda heard: len(heard.blocks) >= 3, "blocks come")
            assert listener.said[0].items() >= {"type": "hello", "block_steps": 4}.items()
            # After the start comes what is left until this listener's turn, and then whole blocks.
            assert [steps_of(block) for block in listener.blocks[2:]] == [4] * (len(listener.blocks) - 2)
            assert_whole(listener)


async def test_an_edge_that_cannot_keep_up_says_so_and_merges_blocks_at_once() -> None:
    async with wav_room() as room, push_listener(f"http://127.0.0.1:{room.port}", "demo") as listener:
        await listener.until(lambda heard: len(heard.blocks) >= 2, "blocks come")

        async def overload() -> None:
            while True:
                room.edge._delivery.load.note_pass("a crowd", 400_000_000)
                await room.clock.sleep(0.1)

        overloading = room.tasks.create_task(overload())
        await listener.until(lambda heard: cadences(heard) != [], "larger blocks are announced")
        overloading.cancel()
        announced = cadences(listener)[0]
        assert (announced["block_steps"], announced["emergency"]) == (2, True)
        reached = len(listener.blocks)
        await listener.until(lambda heard: len(heard.blocks) >= reached + 3, "larger blocks come")
        assert {steps_of(block) for block in listener.blocks[-2:]} <= {2, 4}
        assert_whole(listener)


def assert_whole(listener: PushListener) -> None:
    """Fail if a step was lost or came twice."""
    for before, after in zip(listener.blocks, listener.blocks[1:], strict=False):
        assert after.first_sample == before.first_sample + len(before.units) * UNIT_SAMPLES
