"""Who accepts, and who leaves arrivals waiting: on a real listening socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from stentor.clock import NS_PER_S
from stentor.edge.acceptor import Acceptor
from stentor.edge.balance import DEAD_NS, Balance
from stentor.edge.buckets import Source, Visit
from stentor.edge.connection import Connection
from stentor.edge.http import Limits
from stentor.edge.listening import prepare
from stentor.edge.metrics import EXHAUSTED
from stentor.edge.reactor import Line, Reactor
from tests.fakes.clock import VirtualClock
from tests.unit.edge.test_connection import Desk


class Door:
    """An edge's door and who came through it; ``others`` are the other edges' words about themselves."""

    def __init__(self, folder: Path, admit: Callable[[str, int], Visit | None] | None = None) -> None:
        self.clock = VirtualClock()
        self.reactor = Reactor(asyncio.get_running_loop(), self.clock, 7.0)
        self.listening = socket.create_server(("127.0.0.1", 0))
        prepare(self.listening, Limits())
        self.balance, self.others = (Balance.open(folder / "balance", slot, 2) for slot in range(2))
        self.lines: list[Line] = []
        self.clients: list[socket.socket] = []
        self.desk = Desk()
        self.acceptor = Acceptor(self.listening, self.reactor, self.balance, self._welcome, None, admit)

    def _welcome(self, line: Line, address: str) -> None:
        line.open(Connection(self.desk, line, address))
        self.lines.append(line)

    async def arrive(self, count: int = 1) -> None:
        """Have clients connect, and let the loop do what it does about it."""
        for _ in range(count):
            self.clients.append(socket.create_connection(self.listening.getsockname()))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def close(self) -> None:
        for line in self.reactor.all():
            line.abort()
        self.acceptor.stop()
        self.reactor.close()
        self.listening.close()
        for client in self.clients:
            client.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    made = Door(tmp_path)
    yield made
    made.close()


async def test_one_that_has_more_leaves_arrivals_to_the_other_and_takes_them_if_it_dies(door: Door) -> None:
    door.others.note(0, door.clock.monotonic_ns())
    await door.arrive(20)
    held = len(door.lines)
    assert 0 < held < 20, "it stops as soon as it is well above the mean"
    await door.arrive()
    assert len(door.lines) == held
    await door.clock.advance(DEAD_NS / NS_PER_S)
    door.balance.note(door.reactor.open_lines, door.clock.monotonic_ns())
    door.acceptor.resume()
    await door.settle()
    assert len(door.lines) == 21


async def test_who_is_not_admitted_is_reset_before_anything_is_read(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    def admit(address: str, free: int) -> None:
        told.append((address, free))

    door = Door(tmp_path, admit)
    try:
        await door.arrive()
        assert door.lines == []
        assert told == [("127.0.0.1", door.reactor.most_lines)]
        with pytest.raises(ConnectionResetError):
            door.clients[0].recv(1)
    finally:
        door.close()


async def test_a_visit_is_told_when_its_line_has_gone(tmp_path: Path) -> None:
    source = Source("127.0.0.1", None, 0)
    door = Door(tmp_path, lambda _address, _free: Visit(source))
    try:
        await door.arrive(3)
        assert (source.open, source.heads) == (3, 3)
        door.clients[0].close()
        await door.settle()
        assert (source.open, source.heads) == (2, 2)
    finally:
        door.close()
    assert source.open == 0


async def test_one_that_was_paused_and_is_then_stopped_accepts_nobody_any_more(door: Door) -> None:
    async with asyncio.TaskGroup() as tasks:
        turns = tasks.create_task(door.acceptor.take_turns(door.clock))
        door.others.note(0, door.clock.monotonic_ns())
        await door.arrive(20)
        held = len(door.lines)
        assert held < 20
        door.acceptor.stop()
        door.others.note(1_000, door.clock.monotonic_ns())  # now it would be its turn
        await door.clock.advance(0.02)
        assert turns.done(), "it looks no more"
    door.acceptor.resume()
    await door.arrive()
    assert len(door.lines) == held


async def test_the_last_descriptors_are_the_edges_own(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    before = EXHAUSTED._value.get()
    door.others.note(1_000, door.clock.monotonic_ns())
    door.reactor.most_lines = 3
    await door.arrive(5)
    assert len(door.lines) == 3
    assert EXHAUSTED._value.get() == before + 1
    assert "raise `ulimit -n`" in capsys.readouterr().err
    door.lines[0].abort()
    door.acceptor.resume()
    await door.settle()
    assert len(door.lines) == 4, "the next in the queue, and no more"


async def test_a_download_that_is_only_sipped_is_given_up_and_a_slow_one_is_not(tmp_path: Path) -> None:
    door = Door(tmp_path)
    try:
        await door.arrive(2)
        sips, reads = door.lines
        for line in door.lines:
            line.send(bytes(20_000_000))
        for _ in range(3):
            await door.clock.advance(3)
            sips._progress(16)  # as the kernel takes what its client has made room for
            reads._progress(4_096)
            door.reactor.look_at_stalled()
        assert (sips.closed, reads.closed) == (True, False)
    finally:
        door.close()
