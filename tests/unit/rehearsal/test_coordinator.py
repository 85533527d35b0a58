"""The coordinator over virtual time: phases, workers over the bus, one that is lost, one who interrupts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stentor.bus.memory import MemoryBus
from stentor.bus.port import rehearsal_order_subject, rehearsal_report_subject
from stentor.errors import Unavailable
from stentor.rehearsal.coordinator import Coordinator, Course, Crew, Phase
from stentor.rehearsal.crews import OverBus
from stentor.rehearsal.orders import Order, Report, Verb
from stentor.rehearsal.plan import Plan
from stentor.rehearsal.tally import Tally
from tests.fakes.clock import VirtualClock
from tests.unit.rehearsal.test_pieces import plan


class FakeWorker:
    """Says each second that all of its share plays; ``dies_at``: the second from which on it says nothing."""

    def __init__(self, name: str, bus: MemoryBus, clock: VirtualClock, dies_after: int | None = None) -> None:
        self.name, self.bus, self.clock = name, bus, clock
        self.orders: list[Order] = []
        self.dies_after = dies_after
        self.tally = Tally()

    def take(self, _subject: str, payload: bytes) -> None:
        order = Order.model_validate_json(payload)
        if order.worker in ("", self.name):
            self.orders.append(order)

    def verbs(self) -> set[Verb]:
        return {order.verb for order in self.orders}

    async def run(self) -> None:
        told = 0
        while Verb.STOP not in self.verbs() and (self.dies_after is None or told < self.dies_after):
            if self.orders:
                await self.tell()
                told += 1
            await self.clock.sleep(1.0 if told > 3 else 0.1)
        if self.dies_after is None:
            await self.tell(last=True)

    async def tell(self, *, last: bool = False) -> None:
        share = next((order.plan.listeners for order in self.orders if order.plan is not None), 0)
        for name in ("arrived", "admitted", "played"):
            self.tally.sums[name] = share
        self.tally.gauges["playing"] = share
        if Verb.CUT in self.verbs():
            self.tally.sums.update({"cut": 0, "came_back": 0})
            self.tally.sums["cut"] = self.tally.sums["came_back"] = share
        said = Report(worker=self.name, wall_s=self.clock.wall_ns() // 10**9, counts=self.tally.counts(), last=last)
        await self.bus.publish(rehearsal_report_subject("r1"), said.model_dump_json().encode())


@asynccontextmanager
async def rehearsal(
    clock: VirtualClock, workers: list[FakeWorker], bus: MemoryBus
) -> AsyncIterator[tuple[Coordinator, asyncio.Task[Course]]]:
    crews: list[Crew] = []
    coordinator = Coordinator(plan(hold_s=30), clock, crews, expected=2, ask=state)
    over = OverBus(bus, "r1", coordinator.take)
    crews.append(over)
    async with over.listening(), asyncio.TaskGroup() as group:
        tasks = []
        for each in workers:
            await group.create_task(asyncio.sleep(0))
            tasks.append(group.create_task(_working(bus, each)))
        yield coordinator, group.create_task(coordinator.run())
        for task in tasks:
            task.cancel()


async def _working(bus: MemoryBus, worker: FakeWorker) -> None:
    async with bus.subscribe(rehearsal_order_subject("*"), worker.take):
        await worker.run()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def state(_plan: Plan, _path: str) -> tuple[int, bytes]:
    return 200, b'{"audience": {"listeners": 3, "rehearsal": 990}}'


async def finish(clock: VirtualClock, running: asyncio.Task[Course], limit_s: float = 200.0) -> Course:
    for _ in range(int(limit_s / 0.25)):
        if running.done():
            break
        await clock.advance(0.25)
        await asyncio.sleep(0.001)
    return running.result()


async def test_a_course_goes_through_its_phases_and_shares_are_told(clock: VirtualClock) -> None:
    bus = MemoryBus(clock)
    workers = [FakeWorker(name, bus, clock) for name in ("one", "two")]
    async with rehearsal(clock, workers, bus) as (_, running):
        course = await finish(clock, running)
    assert [phase for phase, _ in course.phases] == list(Phase)
    assert [order.plan.listeners for each in workers for order in each.orders if order.plan] == [500, 500]
    assert course.timeline.total().sums["played"] == 1_000
    assert (course.lost, course.interrupted) == ([], False)
    assert course.state[0][1:] == (3, 990)


async def test_a_worker_that_falls_silent_is_said_to_be_lost(clock: VirtualClock) -> None:
    bus = MemoryBus(clock)
    workers = [FakeWorker("one", bus, clock), FakeWorker("two", bus, clock, dies_after=8)]
    async with rehearsal(clock, workers, bus) as (_, running):
        course = await finish(clock, running)
    assert course.lost == ["two"]


async def test_an_interrupt_ends_it_and_lets_everybody_leave(clock: VirtualClock) -> None:
    bus = MemoryBus(clock)
    workers = [FakeWorker(name, bus, clock) for name in ("one", "two")]
    async with rehearsal(clock, workers, bus) as (coordinator, running):
        await clock.advance(10.0)
        coordinator.interrupt()
        course = await finish(clock, running)
    assert course.interrupted
    assert Phase.RETURN not in [phase for phase, _ in course.phases]
    assert all(Verb.STOP in each.verbs() for each in workers)


async def test_workers_that_do_not_come_are_an_error(clock: VirtualClock) -> None:
    coordinator = Coordinator(plan(), clock, [], expected=1, ask=state)
    async with asyncio.TaskGroup() as group:

        async def run() -> None:
            with pytest.raises(Unavailable, match="0 answered"):
                await coordinator.run()

        task = group.create_task(run())
        await clock.advance_until(task.done, limit_s=30)
