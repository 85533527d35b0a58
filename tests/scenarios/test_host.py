"""Origin hosts with real processes: assigned, killed, replaced, taken over."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stentor.bus.memory import MemoryBus
from stentor.bus.port import Bus, live_stage_subject
from stentor.clock import MonotonicNs, SystemClock
from stentor.origin.host import Host
from stentor.origin.lease import Leases
from stentor.room.documents import RoomDocument
from stentor.room.states import RoomState
from stentor.supervisor.spawn import spawn
from tests.fakes.buses import until
from tests.fakes.nats_server import running_nats

CHILD = Path(__file__).parents[1] / "fakes" / "room_child.py"


class Machine:
    """A host and the journal of its processes."""

    def __init__(self, bus: Bus, directory: Path, name: str, ports: range = range(40000, 40010)) -> None:
        self.journal = directory / f"{name}.journal"
        self.journal.touch()
        self.host = Host(bus, SystemClock(), self._spawn, name=name, udp_ports=ports, stagger=lambda: 0.05)

    async def _spawn(self) -> asyncio.subprocess.Process:
        command = (sys.executable, "-S", str(CHILD), str(self.journal))
        return await spawn(command, {}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)

    def done(self, what: str, room: str | None = None) -> list[dict]:
        lines = map(json.loads, self.journal.read_text().splitlines())
        return [line for line in lines if line["did"] == what and (room is None or line.get("room") == room)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Machine"]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.host.run())
            try:
                yield self
            finally:
                task.cancel()

    async def runs(self, room: str) -> int:
        await until(lambda: room in self.host.running, f"{room} does not run")
        pid = self.host.running[room]
        await until(lambda: any(line["pid"] == pid for line in self.done("assigned", room)), f"{room} is not assigned")
        return pid

    async def has_spare(self) -> int:
        def warm() -> bool:
            spare = self.host._spares.spare
            return spare is not None and spare.warm

        await until(lambda: hasattr(self.host, "_spares") and warm(), "there is no warm spare")
        assert self.host._spares.spare
        return self.host._spares.spare.pid


async def open_room(bus: Bus, room: str, state: RoomState = RoomState.LOBBY) -> None:
    await bus.put("rooms", room, RoomDocument(room=room, title=room, state=state, zero_ns=0).to_bytes())


async def gone(pid: int) -> None:
    def dead() -> bool:
        try:
            return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            return True

    await until(dead, f"process {pid} still runs")


@asynccontextmanager
async def heartbeats(bus: Bus, room: str) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            await bus.publish(live_stage_subject(room), b"{}")
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(beat())
        yield
        task.cancel()


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(SystemClock())


async def test_open_rooms_run_each_on_its_port_and_closed_ones_do_not(bus, tmp_path) -> None:
    for number, state in enumerate(RoomState):
        await open_room(bus, f"room-{number}", state)
    async with Machine(bus, tmp_path, "one").running() as machine:
        wanted = [f"room-{n}" for n, state in enumerate(RoomState) if state in ("lobby", "live", "held")]
        for room in wanted:
            await machine.runs(room)
        assert sorted(machine.host.running) == sorted(wanted)
        ports = {line["udp_port"] for line in machine.done("assigned")}
        assert len(ports) == len(wanted)
        assert ports <= set(range(40000, 40010))
        await open_room(bus, "late")
        await machine.runs("late")


async def test_a_killed_process_is_replaced_at_once_by_the_spare(bus, tmp_path) -> None:
    await open_room(bus, "demo")
    async with Machine(bus, tmp_path, "one").running() as machine:
        first = await machine.runs("demo")
        spare = await machine.has_spare()
        killed_ns = time.monotonic_ns()
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(machine.done("assigned")) == 2, "the spare is not assigned")
        again = machine.done("assigned")[1]
        assert again["pid"] == spare
        assert again["udp_port"] == machine.done("assigned")[0]["udp_port"]
        sys.stderr.write(f"assigned {(again['at_ns'] - killed_ns) / 1e6:.1f} ms after death\n")
        assert await machine.has_spare() not in (first, spare)


async def test_a_room_that_ended_gives_its_lease_and_port_back(bus, tmp_path) -> None:
    await open_room(bus, "demo")
    async with Machine(bus, tmp_path, "one", range(40000, 40001)).running() as machine:
        pid = await machine.runs("demo")
        assert await bus.get("leases", "demo") is not None
        await open_room(bus, "next")
        await open_room(bus, "demo", RoomState.ENDED)
        os.kill(pid, signal.SIGUSR1)
        await machine.runs("next")
        assert await bus.get("leases", "demo") is None
        assert machine.done("assigned", "next")[0]["udp_port"] == 40000
        assert len(machine.done("assigned", "demo")) == 1


async def test_no_port_left_is_said(bus, tmp_path, capfd) -> None:
    await open_room(bus, "a")
    await open_room(bus, "b")
    said = ""
    async with Machine(bus, tmp_path, "one", range(40000, 40001)).running() as machine:
        async with asyncio.timeout(10):
            while "no_udp_port_left" not in said or len(machine.host.running) != 1:
                await asyncio.sleep(0.01)
                said += capfd.readouterr().err
        (running,) = machine.host.running
        (waiting,) = {"a", "b"} - {running}
        reason = f"no UDP port is left for {waiting}: end rooms, or widen --udp-ports"
        assert await machine.host.reasons() == [reason]
        await open_room(bus, waiting, RoomState.ENDED)
        async with asyncio.timeout(10):
            while await machine.host.reasons():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)


async def test_a_port_that_somebody_else_uses_is_left_to_them(bus, tmp_path) -> None:
    await open_room(bus, "refuse-40000")
    async with Machine(bus, tmp_path, "one", range(40000, 40002)).running() as machine:
        await until(lambda: len(machine.done("assigned")) > 1, "there is no second try")
        assert [line["udp_port"] for line in machine.done("assigned")] == [40000, 40001]
        await machine.runs("refuse-40000")


async def test_a_crash_loop_is_slowed_down(bus, tmp_path) -> None:
    await open_room(bus, "crash")
    async with Machine(bus, tmp_path, "one").running() as machine:
        await until(lambda: len(machine.done("assigned")) >= 5, "it is not started again")
    at_ns = [line["at_ns"] for line in machine.done("assigned")]
    assert at_ns[4] - at_ns[3] > 900_000_000


async def test_stopping_the_host_stops_its_processes_and_frees_its_rooms(bus, tmp_path) -> None:
    await open_room(bus, "demo")
    machine = Machine(bus, tmp_path, "one")
    async with machine.running():
        pid = await machine.runs("demo")
        spare = await machine.has_spare()
    assert [line["pid"] for line in machine.done("terminated")] == [pid]
    await gone(pid)
    await gone(spare)
    assert await bus.get("leases", "demo") is None


async def test_a_process_that_does_not_end_is_killed(bus, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("stentor.origin.host.GRACE_S", 0.3)
    await open_room(bus, "stuck")
    machine = Machine(bus, tmp_path, "one")
    async with machine.running():
        pid = await machine.runs("stuck")
        await until(lambda: machine.host._running["stuck"].serving, "it is not ready")
    await gone(pid)


async def test_a_second_host_leaves_a_living_room_alone_and_takes_over_a_silent_one(bus, tmp_path) -> None:
    await open_room(bus, "demo")
    one, two = Machine(bus, tmp_path, "one"), Machine(bus, tmp_path, "two")
    async with one.running():
        async with heartbeats(bus, "demo"):
            pid = await one.runs("demo")
            async with two.running():
                await two.has_spare()
                await asyncio.sleep(4)
                assert two.host.running == {}
        async with two.running(), heartbeats(bus, "other"):
            async with heartbeats(bus, "demo"):
                await two.has_spare()
                await asyncio.sleep(0.5)
            assert two.host.running == {}
            await two.runs("demo")
            # The first host finds its lease gone and gives up.
            await gone(pid)
            await until(lambda: one.host.running == {}, "two hosts run the room")
            await asyncio.sleep(0.5)
            assert list(two.host.running) == ["demo"]


async def test_a_fenced_process_is_not_replaced_while_another_host_has_the_room(bus, tmp_path) -> None:
    await open_room(bus, "demo")
    async with Machine(bus, tmp_path, "one").running() as machine, heartbeats(bus, "demo"):
        pid = await machine.runs("demo")
        await bus.put("leases", "demo", json.dumps({"host": "two", "instance": "x"}).encode())
        await until(lambda: machine.host._leases.held_elsewhere("demo") == "two", "the lease is not seen")
        os.kill(pid, signal.SIGUSR2)
        await until(lambda: machine.host.running == {}, "the room still runs")
        await asyncio.sleep(2)
        assert len(machine.done("assigned")) == 1


async def test_a_restarted_machine_takes_its_rooms_back_at_once(tmp_path) -> None:
    (tmp_path / "nats").mkdir()
    with running_nats(tmp_path / "nats") as server:
        async with server.bus() as bus:
            await open_room(bus, "demo", RoomState.LIVE)
            await bus.put("leases", "demo", json.dumps({"host": "one", "instance": "before"}).encode())
        server.kill()
        server.start()
        async with server.bus() as bus, Machine(bus, tmp_path, "one").running() as machine:
            began_ns = time.monotonic_ns()
            await machine.runs("demo")
            # Not by waiting for the lease to expire.
            assert time.monotonic_ns() - began_ns < 10e9


async def test_the_lease_survives_an_outage_of_the_bus(tmp_path) -> None:
    (tmp_path / "nats").mkdir()
    with running_nats(tmp_path / "nats") as server:
        async with server.bus() as bus, server.bus() as other, Machine(bus, tmp_path, "one").running() as machine:
            await open_room(other, "demo")
            pid = await machine.runs("demo")
            first = await other.get("leases", "demo")
            assert first is not None
            server.kill()
            await until(lambda: not bus.connected, "the outage is not noticed")
            await asyncio.sleep(5)
            server.start()
            await until(lambda: bus.connected and other.connected, "the bus does not come back")
            async with asyncio.timeout(20):
                async for lease in other.watch("leases"):
                    if lease and lease.value is not None and lease.revision > first.revision:
                        break
            assert machine.host.running == {"demo": pid}


async def test_a_process_that_hangs_is_replaced_and_a_living_one_is_not(bus, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("stentor.origin.host._HUNG_S", 1.0)
    monkeypatch.setattr("stentor.origin.lease.RENEW_S", 0.1)
    await open_room(bus, "demo")
    async with Machine(bus, tmp_path, "one").running() as machine:
        async with heartbeats(bus, "demo"):
            pid = await machine.runs("demo")
            await asyncio.sleep(2)
            assert machine.host.running == {"demo": pid}
        await until(lambda: len(machine.done("assigned")) == 2, "the hanging process is not replaced")


async def test_a_host_that_was_kept_from_running_kills_nobody(bus, tmp_path, monkeypatch) -> None:
    """The heartbeats of that time wait in its socket; they come a moment after it looks."""
    monkeypatch.setattr("stentor.origin.host._HUNG_S", 1.0)
    monkeypatch.setattr("stentor.origin.lease.RENEW_S", 0.1)
    await open_room(bus, "demo")
    async with Machine(bus, tmp_path, "one").running() as machine, heartbeats(bus, "demo"):
        pid = await machine.runs("demo")
        looks = 0
        silent_for_s = Leases.silent_for_s

        def frozen(leases: Leases, room: str, since: MonotonicNs) -> float:
            nonlocal looks
            looks += 1
            return 60.0 if looks == 2 else silent_for_s(leases, room, since)

        monkeypatch.setattr(Leases, "silent_for_s", frozen)
        await until(lambda: looks > 4, "it does not look after its rooms")
        assert machine.host.running == {"demo": pid}


async def test_a_process_that_outlives_its_room_is_stopped(bus, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("stentor.origin.host._OVERDUE_S", 0.3)
    monkeypatch.setattr("stentor.origin.lease.RENEW_S", 0.1)
    await open_room(bus, "demo")
    async with Machine(bus, tmp_path, "one").running() as machine:
        await machine.runs("demo")
        await open_room(bus, "demo", RoomState.ENDED)
        await until(lambda: len(machine.done("terminated")) == 1, "the process still runs")
        await until(lambda: machine.host.running == {}, "the room still runs")
