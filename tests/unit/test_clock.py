"""The machine's clock and the virtual one have the same face."""

import asyncio

import pytest

from stentor.clock import NS_PER_S, Clock, MonotonicNs, SystemClock, UnixNs, iso_utc
from tests.fakes.clock import START_NS, VirtualClock


def test_rfc_3339_with_milliseconds():
    assert iso_utc(UnixNs(0)) == "1970-01-01T00:00:00.000Z"
    assert iso_utc(UnixNs(1_800_000_000_123_999_999)) == "2027-01-15T08:00:00.123Z"


@pytest.mark.parametrize("part_ns", [0, 1, 999_999, 999_999_999])
def test_the_millisecond_never_leads_the_second(part_ns):
    whole = 1_800_000_000
    assert iso_utc(UnixNs(whole * NS_PER_S + part_ns)) == f"2027-01-15T08:00:00.{part_ns // 1_000_000:03d}Z"


async def test_the_machine_s_clock_sleeps_until_a_deadline():
    clock: Clock = SystemClock()
    deadline = MonotonicNs(clock.monotonic_ns() + 5_000_000)
    await clock.sleep_until(deadline)
    assert clock.monotonic_ns() >= deadline
    await clock.sleep_until(MonotonicNs(0))
    await clock.sleep(0)
    assert clock.wall_ns() > START_NS - 10 * 365 * 86_400 * NS_PER_S


async def test_virtual_sleepers_wake_in_order():
    clock: Clock = VirtualClock()
    virtual = clock
    assert isinstance(virtual, VirtualClock)
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic_ns()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("a", 1, 1, 1))
        tasks.create_task(sleeper("b", 2))
        tasks.create_task(sleeper("c", 0.5, 3))
        await virtual.advance(2)
        assert virtual.sleepers == 2
        await virtual.advance(3600)
    s = NS_PER_S
    assert woken == [("c", s // 2), ("a", s), ("b", 2 * s), ("a", 2 * s), ("a", 3 * s), ("c", 7 * s // 2)]
    assert clock.wall_ns() == START_NS + 3602 * s


async def test_a_cancelled_sleeper_does_not_wake():
    clock = VirtualClock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await clock.sleep(1)
    await clock.advance(2)
    assert clock.sleepers == 0


async def test_advance_until_says_why_not():
    clock = VirtualClock()
    await clock.advance_until(lambda: True, limit_s=1)
    assert clock.monotonic_ns() == 0
    with pytest.raises(AssertionError, match="the door is shut"):
        await clock.advance_until(lambda: False, limit_s=1, why_not="the door is shut")


async def test_the_wall_may_step_without_monotonic_time():
    clock = VirtualClock()
    clock.step_wall(-60)
    assert clock.wall_ns() == START_NS - 60 * NS_PER_S
    assert clock.monotonic_ns() == 0
