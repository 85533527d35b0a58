"""A step of the ladder, from the API over the bus to the sound that a listener of a real edge gets, and back."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stentor.bus.port import origin_subject
from stentor.clock import SystemClock, UnixNs
from stentor.edge.server import Edge, EdgeSettings
from stentor.media.hold import silence_loop
from stentor.media.proof import first_head
from stentor.media.rendition import RENDITIONS
from stentor.origin.live_room import TICK_NS, LiveRoom, RoomParts
from stentor.origin.log_writer import LogWriter
from stentor.origin.program import Program
from stentor.origin.tenure import take_over
from stentor.room.documents import Role, RoomDocument
from stentor.room.ladder import BITRATE
from stentor.room.requests import Offer
from stentor.store.sql_migrate import migrate
from tests.fakes.cast import FakeDoor
from tests.fakes.listener import Block, PushListener, push_listener
from tests.fakes.staff import Desk, staff_desk

LADDER = "/api/v1/installation/ladder"
UNIT_SAMPLES = 960
LOUD_UNIT_BYTES = 60
"""Between 40 (16 kbit/s) and 80 (32 kbit/s)."""


@dataclass
class Site:
    """Control, an edge and a room's origin with a speaker, all on one bus."""

    desk: Desk
    audience_url: str


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    database = f"sqlite+aiosqlite:///{folder}/catalogue.db"
    await migrate(database)
    clock = SystemClock()
    async with staff_desk(clock, database, folder) as desk, asyncio.TaskGroup() as tasks:
        await desk.room("demo", "open", "start")
        document = RoomDocument.model_validate(await desk.document())
        edge = Edge(bus=desk.bus, clock=clock, settings=EdgeSettings(name="edge-1", drain_s=0.5))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = tasks.create_task(edge.run(listening))
            origin = tasks.create_task(run_origin(desk, clock, document, folder))
            await edge.started.wait()
            try:
                yield Site(desk, f"http://127.0.0.1:{listening.getsockname()[1]}")
            finally:
                origin.cancel()
                with suppress(asyncio.CancelledError):
                    await origin
                edge.stop()
                await serving


async def run_origin(desk: Desk, clock: SystemClock, document: RoomDocument, folder: Path) -> None:
    """Run the room's origin with one speaker who does not stop talking."""
    zero_ns = UnixNs(document.zero_ns or 0)
    tenure = await take_over(desk.bus, clock, folder, "demo", b"{}", zero_ns=zero_ns)
    program = Program(
        "demo",
        epoch=tenure.epoch,
        discontinuity=tenure.discontinuity,
        first=tenure.first_step,
        heads={name: first_head("demo", name) for name in RENDITIONS},
        hold=silence_loop(),
    )
    door = FakeDoor()
    writer = LogWriter(desk.bus, clock, tenure.fence, tenure.spool)
    ready = asyncio.Event()
    arrival_ns = 0

    def speak() -> None:
        """Say 20 ms before each tick; on a busy machine ticks are late, and what came for them is not."""
        nonlocal arrival_ns
        arrival_ns = arrival_ns + TICK_NS if arrival_ns else clock.monotonic_ns()
        for session in door.sessions:
            session.say(440.0 + session._spoken % 50 * 20, arrival_ns)

    room = LiveRoom(RoomParts(desk.bus, clock, document, tenure, writer, program, door, receive=speak))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(room.run(ready.set))
        await ready.wait()
        offer = Offer(person="ana", name="Ana", role=Role.SPEAKER, sdp="offer")
        await desk.bus.request(origin_subject("demo", "offer"), offer.to_bytes(), timeout_s=20.0)


def unit_bytes(blocks: list[Block]) -> float:
    """Return the mean size of an access unit of Opus."""
    units = [unit for block in blocks for unit in block.units]
    return sum(map(len, units)) / len(units)


def lately(heard: PushListener) -> float:
    """Return the same of the last second or more."""
    newest = heard.blocks[-1].step
    return unit_bytes([block for block in heard.blocks if block.step > newest - 5])


async def test_a_step_reaches_the_ears_within_seconds_and_is_taken_back(tmp_path: Path) -> None:
    async with site(tmp_path) as at, push_listener(at.audience_url, "demo") as listener:
        await listener.until(lambda heard: len(heard.blocks) > 6 and lately(heard) > LOUD_UNIT_BYTES, "nobody speaks")
        assert listener.states[-1]["ladder"] == {"step": 0, "text": "Nothing is given up."}
        shown = await at.desk.ok("PUT", LADDER, at.desk.operator, json={"step": BITRATE})
        assert [step["in_force"] for step in shown["steps"]] == [True, True, True, False, False]
        await listener.until(lambda heard: lately(heard) < LOUD_UNIT_BYTES, "the bitrate does not fall")
        await listener.until(
            lambda heard: heard.states[-1]["ladder"]["step"] == BITRATE,  # type: ignore[index]  # JSON
            "the page is not told",
        )
        assert listener.states[-1]["poll_s"] == 10.0
        larger = [said for said in listener.said if said["type"] == "cadence"]
        assert larger
        assert larger[0]["block_steps"] == 2  # on their way to 16, as far ahead as players need
        assert larger[0]["emergency"] is False
        await at.desk.ok("PUT", LADDER, at.desk.operator, json={"step": 0})
        await listener.until(lambda heard: lately(heard) > LOUD_UNIT_BYTES, "the bitrate does not rise again")
        for earlier, later in pairwise(listener.blocks):
            assert later.first_sample == earlier.first_sample + UNIT_SAMPLES * len(earlier.units)
        async with asyncio.timeout(10):
            while (await at.desk.ok("GET", LADDER, at.desk.operator))["load"]["edges"] != 1:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.2)
