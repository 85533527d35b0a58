"""A room on air for a bench: a whole Stentor of its own on free ports, with synthetic speakers; all ends with it."""

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stentor.clock import SystemClock
from stentor.demo.staff_api import StaffApi, token_of
from stentor.demo.whip import HttpWhip, SpeakerEvents, WhipSpeaker
from stentor.media.grid import TICK_SAMPLES
from tests.fakes.installation import Installation, installation

ROOM = "bench"
Source = Callable[[], NDArray[np.float32] | bytes]


def silence() -> NDArray[np.float32]:
    """Return 20 ms of a microphone that is open in a quiet room, shape ``(1, 960)`` float32: noise of -70 dBFS."""
    noise: NDArray[np.float32] = _NOISE.standard_normal((1, TICK_SAMPLES), np.float32) * np.float32(3e-4)
    return noise


_NOISE = np.random.default_rng(1)


@dataclass
class BenchRoom:
    """The room and its doors."""

    site: Installation
    api: StaffApi
    group: asyncio.TaskGroup
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def page(self) -> str:
        """Return the address of the listener's page."""
        return f"{self.site.audience_url}/r/{ROOM}"

    async def link(self, name: str) -> str:
        """Make a speaker's link and return its token."""
        made = await self.api.call("POST", f"/rooms/{ROOM}/links", {"role": "speaker", "name": name})
        return token_of(str(made["url"]))

    async def seat(self, name: str, source: Source, events: SpeakerEvents | None = None) -> WhipSpeaker:
        """Seat a synthetic speaker and wait until it is connected."""
        whip = HttpWhip(f"{self.site.staff_url}/r/{ROOM}/whip", await self.link(name))
        speaker = WhipSpeaker(whip, source, SystemClock(), events)
        self.tasks.append(self.group.create_task(speaker.run()))
        async with asyncio.timeout(30):
            await speaker.connected.wait()
        return speaker

    async def go_on_air(self) -> None:
        """Start the room."""
        await self.api.call("POST", f"/rooms/{ROOM}/start", {"force": True})

    def room_process(self) -> int:
        """Return the process id of the room's process."""
        return int(str(self.site.events("room_process_assigned")[-1]["pid"]))


@asynccontextmanager
async def bench_room(*, audience_host: str = "127.0.0.1", allow: str = "127.0.0.0/8") -> AsyncIterator[BenchRoom]:
    """Open a room in a Stentor that lives as long as the context; ``allow``: whom its shield does not limit."""
    with tempfile.TemporaryDirectory(prefix="stentor-bench-", ignore_cleanup_errors=True) as folder:
        running = installation(Path(folder), audience_host=audience_host, allow=allow)
        async with running as site, asyncio.TaskGroup() as group:
            api = await site.operator()
            await api.call("POST", "/rooms", {"room": ROOM, "title": "A bench"})
            await api.call("POST", f"/rooms/{ROOM}/open", {})
            room = BenchRoom(site, api, group)
            try:
                yield room
            finally:
                for task in room.tasks:
                    task.cancel()


async def until(reached: Callable[[], bool], why_not: str, limit_s: float = 30.0) -> None:
    """Look every 20 ms until something holds. Raises AssertionError with ``why_not``."""
    end = time.monotonic() + limit_s
    while not reached():
        if time.monotonic() > end:
            raise AssertionError(why_not)
        await asyncio.sleep(0.02)


def run(main: Coroutine[object, object, bool], *, limit_s: float) -> bool:
    """Run a bench for at most ``limit_s``; a signal ends it in order, so that nothing is left running."""

    async def bounded() -> bool:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with asyncio.timeout(limit_s):
            return await main

    return asyncio.run(bounded())
