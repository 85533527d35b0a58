"""What an edge notes about itself."""

import asyncio
import os
import socket

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.headroom import STEP_S, Sample
from stentor.edge.load import EdgeLoad, accept_queue
from stentor.media.chunk import Chunk
from tests.fakes.clock import VirtualClock
from tests.unit.media.helpers import make_chunk


class _Late:
    """The face of a virtual clock that wakes every sleeper 50 ms late."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.wall_ns = clock.wall_ns
        self.monotonic_ns = clock.monotonic_ns
        self.sleep = clock.sleep

    async def sleep_until(self, deadline: MonotonicNs) -> None:
        await self._clock.sleep_until(MonotonicNs(deadline + NS_PER_S // 20))


async def _second(clock: VirtualClock, load: EdgeLoad) -> Sample:
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(load.beat(lambda: None))
        await clock.advance(1.0)
        beating.cancel()
    return load.sample(connections=10, behind=2, block_steps=4, accept_queue=7)


async def test_a_loop_on_time_has_no_lag() -> None:
    clock = VirtualClock()
    sample = await _second(clock, EdgeLoad(clock))
    assert (sample.loop_lag_s, sample.pass_share, sample.behind_share) == (0.0, 0.0, 0.2)
    assert (sample.accept_queue, sample.block_steps) == (7, 4)


async def test_lateness_is_measured_and_not_carried_over() -> None:
    clock = VirtualClock()
    assert abs((await _second(clock, EdgeLoad(_Late(clock)))).loop_lag_s - 0.05) < 1e-9


async def test_a_pass_is_the_sum_of_outputs_and_one_interruption_does_not_count() -> None:
    load = EdgeLoad(VirtualClock())
    for took_ms in (24, 24, 3_000, 24):
        load.note_pass("opus", took_ms * 1_000_000)
        load.note_pass("aac", 12 * 1_000_000)
    assert abs(load.sample(connections=0, behind=0, block_steps=1).pass_share - 0.036 / STEP_S) < 1e-9
    assert load.sample(connections=0, behind=0, block_steps=1).pass_share == 0.0


class _Sends:
    """An output that takes 30 ms to send a chunk."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.seen: list[str] = []

    def take(self, chunk: Chunk) -> None:
        self.seen.append(f"step {chunk.step}")
        self._clock._now += 30_000_000

    def ready(self) -> None:
        self.seen.append("ready")

    def finish(self) -> None:
        self.seen.append("finish")


async def test_a_timed_output_is_the_output_and_a_watch() -> None:
    clock = VirtualClock()
    load, sends = EdgeLoad(clock), _Sends(clock)
    output = load.timed(sends)
    output.ready()
    output.take(make_chunk(7))
    output.finish()
    assert sends.seen == ["ready", "step 7", "finish"]
    assert abs(load.sample(connections=0, behind=0, block_steps=1).pass_share - 0.03 / STEP_S) < 1e-9


async def test_work_shows_as_cpu() -> None:
    clock = VirtualClock()
    load = EdgeLoad(clock)
    assert load.sample(connections=0, behind=0, block_steps=1).cpu_share == 0.0  # no time has passed
    while load._cpu_s + 0.05 > _spent():
        sum(range(10_000))
    await clock.advance(0.1)
    assert load.sample(connections=0, behind=0, block_steps=1).cpu_share >= 0.4


def _spent() -> float:
    return os.times().user + os.times().system


async def test_connections_that_wait_to_be_accepted_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert accept_queue(listening) == 0
        callers = [socket.create_connection(listening.getsockname()) for _ in range(3)]
        assert accept_queue(listening) == 3
        listening.accept()[0].close()
        assert accept_queue(listening) == 2
        for caller in callers:
            caller.close()


def test_what_is_no_listening_tcp_socket_has_no_queue() -> None:
    with socket.socket(socket.AF_UNIX) as other:
        assert accept_queue(other) == 0
