"""The parent of fake processes: order up and down, readiness, metrics of all."""

import asyncio
import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest

from stentor.clock import SystemClock
from stentor.errors import ConfigError
from stentor.supervisor.child import Spec
from stentor.supervisor.private import Health, private_endpoint
from stentor.supervisor.serve import Supervisor
from tests.unit.supervisor.test_child import dead, until


class Stage:
    """Fake processes that write down when they come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self.diary.touch()
        self.bus_is_up = True

    def spec(self, name: str, *, awaited: bool = False, script: str = "") -> Spec:
        script = script or (
            f"echo {name} up >> {self.diary}; trap 'echo {name} down >> {self.diary}; exit 0' TERM; "
            f"touch {self.folder}/{name}.up; while :; do sleep 0.02; done"
        )

        async def ready(_pid: int) -> list[str]:
            if name == "bus" and not self.bus_is_up:
                return ["it is starting"]
            return [] if (self.folder / f"{name}.up").exists() else ["it is starting"]

        return Spec(name, ("/bin/sh", "-c", script), dict, 3.0, ready=ready, awaited=awaited)

    @property
    def lines(self) -> list[str]:
        return self.diary.read_text().splitlines()


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def supervisor(stage: Stage, *tiers: list[Spec]) -> Supervisor:
    return Supervisor(tiers, SystemClock(), stage.folder)


async def test_up_in_order_down_in_the_other(stage):
    tiers = ([stage.spec("bus", awaited=True)], [stage.spec("control")], [stage.spec("origin")], [stage.spec("edge")])
    parent, stop, readied = supervisor(stage, *tiers), asyncio.Event(), []

    def on_ready() -> None:
        readied.append(True)
        stop.set()

    await parent.run(stop, on_ready)
    assert readied == [True]
    assert stage.lines[0] == "bus up"
    assert sorted(stage.lines[1:4]) == ["control up", "edge up", "origin up"]
    assert stage.lines[4:] == ["edge down", "origin down", "control down", "bus down"]
    assert await parent.reasons() == ["it is stopping"]


async def test_nothing_starts_before_the_bus_answers(stage):
    stage.bus_is_up = False
    parent = supervisor(stage, [stage.spec("bus", awaited=True)], [stage.spec("edge")])
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(parent.run(stop, lambda: None))
        await until(lambda: stage.lines == ["bus up"], "the bus starts")
        assert await parent.reasons() == ["bus: it is starting", "edge: it has not been started"]
        stage.bus_is_up = True
        await until(lambda: "edge up" in stage.lines, "the edge starts")
        stop.set()


async def test_a_stop_while_the_bus_does_not_come_up(stage):
    stage.bus_is_up = False
    parent = supervisor(stage, [stage.spec("bus", awaited=True)], [stage.spec("edge")])
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(parent.run(stop, lambda: None))
        await until(lambda: stage.lines == ["bus up"], "the bus starts")
        stop.set()
    assert stage.lines == ["bus up", "bus down"]


async def test_readiness_follows_a_process_that_dies(stage):
    parent, stop = supervisor(stage, [stage.spec("edge")]), asyncio.Event()
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(parent.run(stop, ready.set))
        await ready.wait()
        page = await parent.answer("/readyz")
        assert (page.status, json.loads(page.body)) == (200, {"ready": True, "reasons": []})
        (stage.folder / "edge.up").unlink()
        (edge,) = parent.children
        page = await parent.answer("/readyz")
        assert page.status == 503
        assert "edge: it " in json.loads(page.body)["reasons"][0]
        os.kill(edge.pid or 0, signal.SIGKILL)
        await until(lambda: edge.restarts == 1, "its death is noticed")
        await until(lambda: stage.lines.count("edge up") == 2, "it is back")
        await until((stage.folder / "edge.up").exists, "it is ready")
        assert (await parent.answer("/readyz")).status == 200
        assert (await parent.answer("/healthz")).status == 200
        assert (await parent.answer("/secrets")).status == 404
        stop.set()


async def test_metrics_of_all_processes_on_one_page(stage):
    parent = supervisor(stage, [])
    async with private_endpoint(Health().answer, path=stage.folder / "room-1.sock", host="", port=0):
        (stage.folder / "gone.sock").touch()
        page = await parent.answer("/metrics")
    assert b'python_info{process="supervisor",' in page.body
    assert b'python_info{process="room-1",' in page.body
    assert b"gone" not in page.body


async def test_refused_settings_end_all(stage):
    tiers = [stage.spec("control", script="exit 2"), stage.spec("edge")]
    parent = supervisor(stage, tiers)
    with pytest.raises(ConfigError, match="control refuses its settings"):
        await parent.run(asyncio.Event(), lambda: None)
    assert all(child.pid is None for child in parent.children)


async def test_whoever_asks_twice_does_not_wait(stage):
    stubborn = f"touch {stage.folder}/edge.up; trap '' TERM; while :; do sleep 0.02; done"
    parent, stop, ready = supervisor(stage, [stage.spec("edge", script=stubborn)]), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(parent.run(stop, ready.set))
        await ready.wait()
        pid = parent.children[0].pid or 0
        stop.set()
        await asyncio.sleep(0)
        parent.kill()
        await running
    assert dead(pid)


async def test_a_stuck_process_is_started_again(stage):
    stuck = asyncio.Event()
    spec = dataclasses.replace(stage.spec("bus"), stuck=stuck.is_set)
    parent, stop = supervisor(stage, [spec]), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(parent.run(stop, lambda: None))
        await until(lambda: stage.lines == ["bus up"], "it does not start")
        stuck.set()
        await until(lambda: "bus down" in stage.lines, "it goes on")
        stuck.clear()
        await until(lambda: stage.lines[-1] == "bus up", "it does not come back")
        stop.set()


class Instant(SystemClock):
    """Does not wait between one edge and the next, and remembers that it should."""

    def __init__(self) -> None:
        self.pauses = 0

    async def sleep(self, seconds: float) -> None:
        self.pauses += seconds >= 5
        await asyncio.sleep(0 if seconds >= 5 else seconds)


async def test_rolled_the_edges_go_one_after_the_other_and_nobody_else(stage):
    clock, stop, readied = Instant(), asyncio.Event(), asyncio.Event()
    tiers = [[stage.spec("control")], [stage.spec("edge-1"), stage.spec("edge-2")]]
    parent = Supervisor(tiers, clock, stage.folder)
    async with asyncio.TaskGroup() as group:
        group.create_task(parent.run(stop, readied.set))
        await readied.wait()
        begun = len(stage.lines)
        parent.roll()
        await until(lambda: stage.lines[begun:].count("edge-2 up") == 1, "both were started anew")
        assert stage.lines[begun:] == ["edge-1 down", "edge-1 up", "edge-2 down", "edge-2 up"]
        assert clock.pauses == 1
        stop.set()


async def test_a_roll_stops_at_an_edge_that_does_not_come_back(stage):
    stop, readied = asyncio.Event(), asyncio.Event()
    tried, up = stage.folder / "tried", stage.folder / "edge-1.up"
    once = f"[ -e {tried} ] && exit 1; trap 'rm {up}; exit 0' TERM; touch {tried} {up}; while :; do sleep 0.02; done"
    parent = Supervisor([[stage.spec("edge-1", script=once), stage.spec("edge-2")]], Instant(), stage.folder)
    async with asyncio.TaskGroup() as group:
        group.create_task(parent.run(stop, readied.set))
        await readied.wait()
        parent.roll()
        await until(lambda: parent.children[0].restarts >= 2, "the first does not come back")
        assert stage.lines == ["edge-2 up"], "the second stays"
        stop.set()
