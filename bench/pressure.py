"""Ten times as many listeners as the edges of a machine hold, for as long as a context lasts.

What an edge holds is made small by taking descriptors away from it, so that one machine can offer ten times as much:
a tenth comes in, and the rest knock, wait and try again as TCP does, all the time. Beside them wrk asks for the room's
state on 64 connections as fast as it is answered, so that the edges have no idle moment. All this stands back as far as
edges do; it would be other machines' work.
"""

import asyncio
import contextlib
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.account import cpu_ns, raise_descriptors
from bench.crowd import Crowd, crowd, standing_back
from tests.fakes.installation import Installation, descendants

TIMES = 10
NICE = 5
_WRK_CONNECTIONS = 64


def edges_of(site: Installation) -> list[int]:
    """Return the process ids of the edges."""
    return [pid for pid, command in descendants(site.process.pid) if command.rstrip().endswith("-m stentor edge")]


def hold_at_most(edge: int, listeners: int) -> None:
    """Leave an edge descriptors for so many more connections."""
    most = len(list(Path(f"/proc/{edge}/fd").iterdir())) + listeners
    resource.prlimit(edge, resource.RLIMIT_NOFILE, (most, most))


def prefer_this_process() -> bool:
    """Let this process, and the speakers that it starts, go first: they would be other machines. False: not allowed."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        Path("/proc/self/autogroup").write_text("-10")
    except OSError:
        return False
    return True


def stand_back(pids: list[int], nice: int) -> None:
    """Set how far processes stand back (nice(2), and their group's in sched(7), autogroup)."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, nice)
            Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def run_as_everybody(pid: int) -> None:
    """Take real-time scheduling away from all threads of a process."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setscheduler(int(task.name), os.SCHED_OTHER, os.sched_param(0))


@dataclass
class Pressure:
    """What is offered, and what the edges had to do."""

    offered: int
    flood: Crowd
    edges: list[int]
    used_ns: int

    def edge_cores(self, seconds: float) -> float:
        """Return how many cores the edges have used in the last so many seconds, since the pressure began."""
        return (cpu_ns(self.edges) - self.used_ns) / 1e9 / seconds

    async def inside(self) -> int:
        """Return how many of the offered came in: they have heard something."""
        return (await self.flood.status())["heard"]


@asynccontextmanager
async def pressure(site: Installation, room: str, *, held: int, seconds: float) -> AsyncIterator[Pressure]:
    """Offer a room ten times what the edges hold, ``held`` each, spread over nine tenths of ``seconds``."""
    raise_descriptors()
    port = urlsplit(site.audience_url).port or 80
    edges = edges_of(site)
    for edge in edges:
        hold_at_most(edge, held + _WRK_CONNECTIONS)
    offered = TIMES * held * len(edges)
    push = f"/r/{room}/push?rendition=opus"
    state = f"{site.audience_url}/r/{room}/state.json"
    wrk = ["wrk", "-t", "1", "-c", str(_WRK_CONNECTIONS), "-d", f"{seconds + 60:.0f}s", state]
    quiet = asyncio.subprocess.DEVNULL
    asking = await asyncio.create_subprocess_exec(*standing_back(NICE), *wrk, stdout=quiet, stderr=quiet)
    try:
        rate = offered / (0.9 * seconds)
        async with crowd(
            "push", port, offered, path=push, rate=rate, in_flight=offered, nice=NICE, rest_us=500
        ) as flood:
            yield Pressure(offered, flood, edges, cpu_ns(edges))
    finally:
        asking.kill()
        await asking.wait()
