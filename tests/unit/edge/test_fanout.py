"""The fan-out on real sockets: everybody gets every step once, whatever the cadence and however slowly they read."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from stentor.edge.cadence import Cadence
from stentor.edge.connection import Connection
from stentor.edge.fanout import Fanout, Listener
from stentor.edge.metrics import Leave
from stentor.edge.reactor import Line, Reactor
from stentor.edge.tally import Tally
from stentor.media.grid import Step
from tests.fakes.clock import VirtualClock
from tests.unit.edge.test_connection import Desk

_PAD = 996


class Numbers:
    """Blocks in which each step is its number and some padding, 1,000 bytes."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []

    def block(self, after: Step, upto: Step) -> bytes:
        self.made.append((after, upto))
        return b"".join(struct.pack(">I", step) + bytes(_PAD) for step in range(after + 1, upto + 1))


class Hall:
    """A fan-out with listeners on socket pairs."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.reactor = Reactor(asyncio.get_running_loop(), clock, 9.0)
        self.source, self.cadence, self.tally = Numbers(), Cadence(), Tally()
        self.fanout = Fanout("push", self.source, self.cadence, self.tally)
        self.fanout.begin(Step(0))
        self.ears: list[socket.socket] = []
        self.heard: list[bytearray] = []
        self.desk = Desk()

    def join(self) -> Listener:
        ours, theirs = socket.socketpair()
        for each in (ours, theirs):
            each.settimeout(0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        line = Line(ours, self.reactor)
        connection = Connection(self.desk, line, "")
        line.open(connection)
        bucket = self.fanout.seat()
        listener = Listener(connection, self.fanout)
        first = self.source.block(Step(max(0, bucket.position - 2)), bucket.position)
        self.fanout.add(listener, bucket, first)
        self.ears.append(theirs)
        self.heard.append(bytearray())
        return listener

    def read(self, number: int, size: int = 1 << 20) -> int:
        try:
            data = self.ears[number].recv(size)
        except BlockingIOError:
            return 0
        self.heard[number] += data
        return len(data)

    def steps(self, number: int) -> list[int]:
        heard = self.heard[number]
        assert len(heard) % (4 + _PAD) == 0
        return [struct.unpack_from(">I", heard, at)[0] for at in range(0, len(heard), 4 + _PAD)]

    async def settle(self) -> None:
        """Let everybody read all that comes."""
        idle = 0
        while idle < 3:
            await asyncio.sleep(0)
            idle = 0 if any([self.read(number) for number in range(len(self.ears))]) else idle + 1

    def close(self) -> None:
        for line in self.reactor.all():
            line.abort()
        self.reactor.close()
        for ear in self.ears:
            ear.close()


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    made = Hall(VirtualClock())
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(6))
async def test_everybody_gets_every_step_once(hall: Hall, seed: int) -> None:
    chance = random.Random(seed)
    step = 0
    for _ in range(400):
        if len(hall.ears) < 40 and chance.random() < 0.3:
            hall.join()
        if chance.random() < 0.05:
            hall.cadence.want(chance.choice([1, 2, 4, 8, 16]), Step(step), emergency=chance.random() < 0.3)
        step += 1 if chance.random() < 0.95 else 2
        hall.fanout.advance(Step(step))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        for number in range(len(hall.ears)):
            if chance.random() < 0.4:
                hall.read(number, chance.choice([100, 3_000, 1 << 20]))
    hall.fanout.complete(Step(step))
    await hall.settle()
    for number in range(len(hall.ears)):
        heard = hall.steps(number)
        assert heard == list(range(heard[0], step + 1))


async def test_a_block_is_made_once_for_all_who_need_the_same(hall: Hall) -> None:
    hall.cadence.want(2, Step(0), emergency=True)
    for _ in range(64):
        hall.join()
    hall.source.made.clear()
    for step in range(1, 9):
        hall.fanout.advance(Step(step))
    assert len(hall.source.made) <= 9


async def test_sends_are_spread_over_the_block(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.edge.fanout._RUN", 1)
    for _ in range(64):
        hall.join()
    hall.cadence.want(2, Step(0), emergency=True)
    hall.fanout.advance(Step(1))
    hall.cadence.want(4, Step(1), emergency=True)
    for step in range(2, 10):
        hall.fanout.advance(Step(step))
    await hall.settle()
    for step in range(10, 14):
        hall.fanout.advance(Step(step))
        assert sum(hall.read(number) > 0 for number in range(64)) == 16


async def test_what_is_said_rides_in_front_of_the_next_block_once(hall: Hall) -> None:
    hall.join()
    await hall.settle()
    hall.heard[0].clear()
    hall.fanout.note("state", b"old!")
    hall.fanout.note("state", b"new!")
    assert hall.read(0) == 0
    hall.fanout.advance(Step(1))
    hall.fanout.advance(Step(2))
    await hall.settle()
    assert bytes(hall.heard[0][:8]) == b"new!" + struct.pack(">I", 1)
    assert len(hall.heard[0]) == 4 + 2 * (4 + _PAD)
    hall.fanout.note("state", b"late")
    hall.fanout.flush()
    assert hall.read(0) == 4


async def test_who_does_not_read_is_cut_in_time_and_costs_the_others_nothing(hall: Hall) -> None:
    hall.join()
    hall.join()
    for step in range(1, 61):
        hall.fanout.advance(Step(step))
        hall.read(1)
        await asyncio.sleep(0)
    assert hall.fanout.behind() == 1
    await hall.clock.advance(8)
    hall.reactor.look_at_stalled()
    assert len(hall.fanout) == 2
    await hall.clock.advance(1)
    hall.reactor.look_at_stalled()
    assert len(hall.fanout) == 1
    assert hall.tally.cuts == {"push": {Leave.TOO_SLOW.value: 1}}
    await hall.settle()
    assert hall.steps(1)[-1] == 60


async def test_those_who_keep_up_are_written_to_before_newcomers(hall: Hall) -> None:
    old = [hall.join() for _ in range(20)]
    for step in range(1, 140):
        hall.fanout.advance(Step(step))
        await hall.settle()
    assert {listener.bucket.number < 16 for listener in old if listener.bucket} == {True}
    new = hall.join()
    assert new.bucket is not None
    assert new.bucket.number >= 16
    hall.fanout.fall_behind(old[0])
    hall.fanout.catch_up(old[0])
    assert old[0].bucket is not None
    assert old[0].bucket.number >= 16
    hall.fanout.complete(Step(140))
    await hall.settle()
    assert all(hall.steps(number)[-1] == 140 for number in range(20))


async def test_who_does_not_answer_is_known(hall: Hall) -> None:
    silent, there = hall.join(), hall.join()
    number = hall.fanout.ask("ping", b"?")
    hall.fanout.advance(Step(1))
    there.answered = hall.fanout.number
    late = hall.join()
    assert hall.fanout.unanswered(number) == [silent]
    assert late.answered >= number


async def test_who_leaves_is_counted_and_forgotten(hall: Hall) -> None:
    for _ in range(5):
        hall.join()
    hall.ears[2].close()
    hall.fanout.advance(Step(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(hall.fanout) == 4
    assert hall.tally.leaves == {"push": {Leave.LEFT.value: 1}}
    assert hall.reactor.open_lines == 4
