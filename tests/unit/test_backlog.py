"""The bounded queue: its limits, its policies, its end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.backlog import Backlog, WhenFull


def drop_oldest(max_items: int, max_bytes: int | None = None) -> Backlog[int]:
    return Backlog(max_items=max_items, max_bytes=max_bytes, when_full=WhenFull.DROP_OLDEST)


def refuse(max_items: int, max_bytes: int | None = None) -> Backlog[int]:
    return Backlog(max_items=max_items, max_bytes=max_bytes, when_full=WhenFull.REFUSE)


async def drain(backlog: Backlog[int]) -> list[int]:
    backlog.close()
    return [item async for item in backlog]


async def test_first_in_first_out():
    backlog = refuse(10)
    assert all(backlog.put(item) for item in range(5))
    assert len(backlog) == 5
    assert await drain(backlog) == [0, 1, 2, 3, 4]


async def test_the_oldest_goes_when_there_are_too_many():
    backlog = drop_oldest(3)
    assert all(backlog.put(item) for item in range(10))
    assert backlog.dropped == 7
    assert await drain(backlog) == [7, 8, 9]


async def test_the_newest_is_refused_when_there_are_too_many():
    backlog = refuse(3)
    assert [backlog.put(item) for item in range(5)] == [True, True, True, False, False]
    assert backlog.dropped == 2
    assert await drain(backlog) == [0, 1, 2]


async def test_bytes_are_a_limit_too():
    backlog = drop_oldest(100, 1_000)
    for item in range(10):
        backlog.put(item, 300)
    assert backlog.size_bytes == 900
    assert await drain(backlog) == [7, 8, 9]
    assert backlog.size_bytes == 0


async def test_a_reader_waits_for_the_writer():
    backlog = refuse(3)
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(backlog.get())
        await asyncio.sleep(0)
        assert not reader.done()
        backlog.put(7)
    assert reader.result() == 7


async def test_close_frees_a_waiting_reader_and_refuses_writers():
    backlog = refuse(3)

    async def read_all() -> list[int]:
        return [item async for item in backlog]

    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(read_all())
        await asyncio.sleep(0)
        backlog.close()
    assert reader.result() == []
    assert not backlog.put(1)
    with pytest.raises(StopAsyncIteration):
        await backlog.__anext__()


@given(
    sizes=st.lists(st.integers(0, 50), max_size=60),
    max_items=st.integers(1, 8),
    max_bytes=st.none() | st.integers(50, 120),
    when_full=st.sampled_from(WhenFull),
)
def test_no_item_is_lost_without_being_counted(sizes, max_items, max_bytes, when_full):
    async def run() -> None:
        backlog: Backlog[int] = Backlog(max_items=max_items, max_bytes=max_bytes, when_full=when_full)
        for item, size in enumerate(sizes):
            backlog.put(item, size)
            assert len(backlog) <= max_items
            assert max_bytes is None or backlog.size_bytes <= max_bytes
        left = await drain(backlog)
        assert left == sorted(left)
        assert len(left) + backlog.dropped == len(sizes)

    asyncio.run(run())
