"""Rooms beside each other: one is flooded and its process killed, the other's listeners miss nothing."""

import asyncio
import contextlib
import os
import signal
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fakes.ears import crowd
from tests.fakes.installation import Installation, installation
from tests.fakes.listener import Block, PushListener, push_listener

pytestmark = pytest.mark.timeout(120)

CROWD = 200
RUSH_S = 4.0
UNIT_SAMPLES, HZ = 960, 48_000
# What a page that is on a busy machine has in reserve after its first seconds.
BUFFER_S = 3.0


def kill_room(site: Installation, room: str) -> None:
    """``kill -9`` the process that runs a room."""
    assigned = [event for event in site.events("room_process_assigned") if event["room"] == room]
    os.kill(int(str(assigned[-1]["pid"])), signal.SIGKILL)


async def rush(site: Installation, room: str, until_s: float) -> int:
    """Open connections to a room and break them off, one after the other, until then; return how many."""
    host, _, port = site.audience_url.removeprefix("http://").partition(":")
    count = 0
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /r/{room}/opus.m3u8 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            await reader.read(64)
            writer.transport.abort()
            count += 1
    return count


def is_past(last: Block, heard: PushListener) -> bool:
    return heard.blocks[-1].step > last.step


def assert_whole(listener: PushListener) -> None:
    """Every step came, in one piece, before the sound in hand had run out."""
    blocks = listener.blocks
    assert len({(block.epoch, block.discontinuity) for block in blocks}) == 1
    for earlier, later in pairwise(blocks):
        assert later.first_sample == earlier.first_sample + UNIT_SAMPLES * len(earlier.units)
    lags_s = [block.came_s - block.first_sample / HZ for block in blocks]
    assert max(lags_s) - min(lags_s) < BUFFER_S, "the stream stood still"


async def test_a_crowd_and_a_death_in_one_room_are_nothing_to_the_other(tmp_path: Path) -> None:
    async with installation(tmp_path) as site:
        operator = await site.operator()
        for room in ("a", "b"):
            await operator.call("POST", "/rooms", {"room": room * 3, "title": room})
            await operator.call("POST", f"/rooms/{room * 3}/open", {})
        async with push_listener(site.audience_url, "bbb") as first, push_listener(site.audience_url, "bbb") as second:
            for listener in (first, second):
                await listener.until(lambda heard: len(heard.blocks) >= 8, "room b is not heard")
            async with crowd(site.audience_url, "aaa") as flood:
                await flood.join(CROWD)
                heard_bytes = flood.heard_bytes
                async with asyncio.TaskGroup() as group:
                    rushes = [group.create_task(rush(site, "aaa", time.monotonic() + RUSH_S)) for _ in range(20)]
                    kill_room(site, "aaa")
                assert sum(each.result() for each in rushes) > 200, "that was no rush"
                assert flood.heard_bytes > heard_bytes
                async with push_listener(site.audience_url, "aaa") as after:
                    await after.until(lambda heard: len(heard.blocks) >= 4, "room a does not come back")
                    assert after.blocks[-1].epoch == 2
            for listener in (first, second):
                last = listener.blocks[-1]
                await listener.until(partial(is_past, last), "room b has fallen silent")
                assert_whole(listener)
