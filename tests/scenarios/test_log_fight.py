"""Origins that fight over a room, die and lose the bus, as processes against a real nats-server."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stentor.bus.port import Record
from stentor.bus.wire import decode_chunk
from tests.fakes.buses import until
from tests.fakes.nats_server import NatsServer, running_nats

ROOT = Path(__file__).parents[2]


class Origin:
    """A running tests/fakes/log_origin.py and what it has spooled so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.spooled: list[tuple[int, str, int]] = []

    async def listen(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            if line.endswith(b"\n"):
                epoch, rendition, step = line.split()
                self.spooled.append((int(epoch), rendition.decode(), int(step)))

    async def has_written(self, count: int) -> None:
        wanted = len(self.spooled) + count
        await until(lambda: len(self.spooled) >= wanted, f"epoch wrote only {self.spooled[-1:]}")

    async def end(self) -> int:
        assert self.process.stdin
        self.process.stdin.write(b"\n")
        return await self.process.wait()


class Stage:
    """Starts origins and judges the log at the end."""

    def __init__(self, server: NatsServer, group: asyncio.TaskGroup, tmp_path: Path) -> None:
        self.server = server
        self.group = group
        self.directory = tmp_path
        self.zero = str(time.time_ns())
        self.origins: list[Origin] = []

    async def start(self, machine: str = "one") -> Origin:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.fakes.log_origin",
            self.server.url,
            self.server.token,
            str(self.directory / machine),
            self.zero,
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        origin = Origin(process)
        self.origins.append(origin)
        self.group.create_task(origin.listen())
        return origin

    async def log(self) -> list[Record]:
        async with self.server.bus() as bus:
            return await bus.read("room.demo.>", after=0, limit=1_000_000)


@asynccontextmanager
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    with running_nats(tmp_path) as server:
        async with asyncio.TaskGroup() as group:
            made = Stage(server, group, tmp_path)
            try:
                yield made
            finally:
                for origin in made.origins:
                    if origin.process.returncode is None:
                        origin.process.kill()
                        await origin.process.wait()


def positions(log: list[Record]) -> list[tuple[int, str, int]]:
    chunks = [decode_chunk(record.payload) for record in log if ".chunk." in record.subject]
    return [(chunk.epoch, str(chunk.rendition), chunk.step) for chunk in chunks]


def judge(log: list[Record], spooled: list[tuple[int, str, int]]) -> None:
    stored = positions(log)
    assert len(stored) == len(set(stored)), "a chunk is in the log twice"
    assert set(spooled) - set(stored) == set(), "a spooled chunk is missing"
    for rendition in ("opus", "aac", "mp3"):
        mine = [(epoch, step) for epoch, name, step in stored if name == rendition]
        assert mine == sorted(mine), "stale or out of order"
        assert [step for _, step in mine] == sorted({step for _, step in mine}), "a number was given twice"
    heads = {(chunk.epoch, chunk.discontinuity) for chunk in map(decode_chunk, payloads(log))}
    epochs = sorted({epoch for epoch, _ in heads})
    assert heads == {(epoch, at) for at, epoch in enumerate(epochs)}, "discontinuities do not count the epochs"


def payloads(log: list[Record]) -> list[bytes]:
    return [record.payload for record in log if ".chunk." in record.subject]


async def test_killed_origins_lose_nothing_that_was_spooled(tmp_path) -> None:
    async with stage(tmp_path) as made:
        for _ in range(4):
            origin = await made.start()
            await origin.has_written(150)
            origin.process.kill()
            await origin.process.wait()
        last = await made.start()
        await last.has_written(150)
        assert await last.end() == 0
        log = await made.log()
        judge(log, [each for origin in made.origins for each in origin.spooled])
    assert list((tmp_path / "one").iterdir()) == []


async def test_origins_that_fight_leave_one_order(tmp_path) -> None:
    async with stage(tmp_path) as made:
        first = await made.start()
        await first.has_written(150)
        rivals = [await made.start() for _ in range(3)]
        for origin in (first, *rivals):
            await until(
                lambda origin=origin: (
                    origin.process.returncode is not None
                    or all(other.process.returncode == 3 for other in made.origins if other is not origin)
                ),
                "two origins hold the room",
            )
        (winner,) = (origin for origin in made.origins if origin.process.returncode is None)
        await winner.has_written(150)
        assert await winner.end() == 0
        judge(await made.log(), [each for origin in made.origins for each in origin.spooled])


async def test_origins_on_two_machines_leave_one_order(tmp_path) -> None:
    async with stage(tmp_path) as made:
        first = await made.start("one")
        await first.has_written(150)
        second = await made.start("two")
        assert await first.process.wait() == 3
        await second.has_written(150)
        assert await second.end() == 0
        stored = positions(await made.log())
        judge(await made.log(), second.spooled)
        assert {epoch for epoch, _, _ in stored} == {1, 2}


@pytest.mark.parametrize("kill_origin", [False, True])
async def test_an_outage_of_the_bus_leaves_no_hole(tmp_path, kill_origin: bool) -> None:
    async with stage(tmp_path) as made:
        origin = await made.start()
        await origin.has_written(150)
        made.server.kill()
        await origin.has_written(600)
        if kill_origin:
            origin.process.kill()
            await origin.process.wait()
        made.server.start()
        if kill_origin:
            origin = await made.start()
            await origin.has_written(30)
        assert await origin.end() == 0
        log = await made.log()
        judge(log, [each for each_origin in made.origins for each in each_origin.spooled])
        if not kill_origin:
            steps = [step for _, name, step in positions(log) if name == "opus"]
            assert steps == list(range(steps[0], steps[-1] + 1)), "there is a hole"
