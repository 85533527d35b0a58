"""When a host may take a room: judged by virtual time."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from stentor.bus.memory import MemoryBus
from stentor.origin.lease import Leases
from tests.fakes.clock import VirtualClock


class Scene:
    """A bus and the leases of several hosts, each watching the bucket."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.clock = VirtualClock()
        self.bus = MemoryBus(self.clock)
        self.tasks: list[asyncio.Task] = []

    def start(self, work) -> asyncio.Task:
        task = self.group.create_task(work)
        self.tasks.append(task)
        return task

    def host(self, name: str, stagger_s: float = 0.0) -> Leases:
        leases = Leases(self.bus, self.clock, name, lambda: stagger_s)

        async def watch() -> None:
            async for document in self.bus.watch("leases"):
                if document:
                    leases.see(document)

        self.start(watch())
        return leases

    async def taken_after(self, acquiring: asyncio.Task, limit_s: float) -> float:
        began = self.clock.monotonic_ns()
        await self.clock.advance_until(acquiring.done, limit_s=limit_s, why_not="the lease is not taken")
        return (self.clock.monotonic_ns() - began) / 1e9

    def acquire(self, leases: Leases) -> asyncio.Task:
        return self.start(leases.acquire("demo", handicap_s=0, wanted=lambda: True))

    def keep(self, leases: Leases, revision: int) -> asyncio.Task:
        async def nothing() -> None:
            pass

        return self.start(leases.keep("demo", revision, nothing))

    async def holder(self) -> str | None:
        document = await self.bus.get("leases", "demo")
        return json.loads(document.value)["host"] if document and document.value else None


@contextlib.asynccontextmanager
async def playing() -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as group:
        scene = Scene(group)
        yield scene
        for task in scene.tasks:
            task.cancel()


async def test_a_free_room_is_taken_at_once() -> None:
    async with playing() as scene:
        assert await scene.taken_after(scene.acquire(scene.host("one")), 1) == 0
        assert await scene.holder() == "one"


async def test_of_two_hosts_one_has_it() -> None:
    async with playing() as scene:
        tries = [scene.acquire(scene.host(name)) for name in ("one", "two")]
        await scene.clock.advance(1)
        assert sorted(task.done() for task in tries) == [False, True]


async def test_a_silent_origin_is_taken_over_after_three_seconds() -> None:
    async with playing() as scene:
        await scene.taken_after(scene.acquire(scene.host("one")), 1)
        two = scene.host("two", stagger_s=0.2)
        acquiring = scene.acquire(two)
        for _ in range(8):
            await scene.clock.advance(1)
            two.hear("demo")
        assert not acquiring.done()
        assert 3.0 < await scene.taken_after(acquiring, 5) <= 3.5
        assert await scene.holder() == "two"


async def test_a_sign_of_life_during_the_stagger_stops_a_take_over() -> None:
    async with playing() as scene:
        await scene.taken_after(scene.acquire(scene.host("one")), 1)
        two = scene.host("two", stagger_s=0.3)
        acquiring = scene.acquire(two)
        await scene.clock.advance(0.1)
        two.hear("demo")
        await scene.clock.advance(3.2)
        two.hear("demo")
        await scene.clock.advance(2.5)
        assert not acquiring.done()


async def test_an_origin_that_was_never_heard_may_still_be_starting() -> None:
    async with playing() as scene:
        await scene.taken_after(scene.acquire(scene.host("one")), 1)
        assert 10 < await scene.taken_after(scene.acquire(scene.host("two")), 11) <= 10.5


async def test_silence_does_not_count_while_the_bus_is_away() -> None:
    async with playing() as scene:
        one, two = scene.host("one"), scene.host("two")
        acquired = scene.acquire(one)
        await scene.clock.advance(0.1)
        acquiring = scene.acquire(two)
        two.hear("demo")
        scene.bus.away()
        await scene.clock.advance(10)
        scene.bus.back()
        # The lease itself would expire after 15 s: its holder renews it.
        scene.keep(one, acquired.result())
        await scene.clock.advance(2.5)
        assert not acquiring.done()
        assert await scene.taken_after(acquiring, 2) <= 1


async def test_an_expired_lease_is_free() -> None:
    async with playing() as scene:
        await scene.bus.put("leases", "demo", b'{"host": "gone", "instance": "x"}')
        two = scene.host("two")
        acquiring = scene.acquire(two)
        for _ in range(14):
            await scene.clock.advance(1)
            two.hear("demo")
        assert not acquiring.done()
        assert await scene.taken_after(acquiring, 2) <= 1.5


async def test_a_host_takes_its_own_rooms_back_at_once() -> None:
    async with playing() as scene:
        await scene.taken_after(scene.acquire(scene.host("one")), 1)
        assert await scene.taken_after(scene.acquire(scene.host("one")), 1) <= 0.25


async def test_a_lease_is_kept_across_an_outage_and_a_lost_acknowledgement() -> None:
    async with playing() as scene:
        one = scene.host("one")
        acquiring = scene.acquire(one)
        await scene.clock.advance(0.1)
        keeping = scene.keep(one, acquiring.result())
        await scene.clock.advance(60)
        scene.bus.away()
        await scene.clock.advance(60)
        scene.bus.back()
        await scene.clock.advance(6)
        assert await scene.holder() == "one"
        # A renewal was stored, and its answer lost.
        await scene.bus.put("leases", "demo", one._value())
        await scene.clock.advance(60)
        assert await scene.holder() == "one"
        assert not keeping.done()


async def test_a_lease_of_another_ends_ours_and_is_not_released_by_us() -> None:
    async with playing() as scene:
        one = scene.host("one")
        acquiring = scene.acquire(one)
        await scene.clock.advance(0.1)
        keeping = scene.keep(one, acquiring.result())
        await scene.bus.put("leases", "demo", b'{"host": "two", "instance": "x"}')
        await scene.clock.advance(5)
        assert keeping.done()
        await one.release("demo")
        assert await scene.holder() == "two"
        assert one.held_elsewhere("demo") == "two"


async def test_rubbish_in_place_of_our_lease_is_written_over() -> None:
    async with playing() as scene:
        one = scene.host("one")
        acquiring = scene.acquire(one)
        await scene.taken_after(acquiring, 1)
        keeping = scene.keep(one, acquiring.result())
        for rubbish in (b"x", b"[" * 100_000, b'{"host": [1]', b"{}"):
            await scene.bus.put("leases", "demo", rubbish)
            await scene.clock.advance(9)
            assert not keeping.done()
            assert await scene.holder() == "one"


async def test_a_garbled_lease_is_waited_out() -> None:
    async with playing() as scene:
        await scene.bus.put("leases", "demo", b"[1]")
        assert await scene.taken_after(scene.acquire(scene.host("one")), 20) > 5
