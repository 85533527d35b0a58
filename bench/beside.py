"""Stentor's stage and Janus's AudioBridge side by side: CPU with the same speakers, and with rooms that nobody is in.

Both have one core to themselves, in turns; the speakers (bench/speakers.py, the same packets to both) are on the other.
Of Stentor the room's process is counted, on air: besides the mixes it encodes the program three times and hands it on,
which Janus does not do. Of Janus all of it, with its threads for media as it comes, and sharing one (``event_loops``):
the cheaper is taken.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.account import cpu_ns, rss_bytes
from bench.janus import api_of, janus
from bench.room import BenchRoom
from bench.stand import ROOM_CORE, SETTLE_S, speakers
from tests.fakes.installation import descendants, installation

SPEAKERS = 13
IDLE_ROOMS = 400
_JANUS_LOOPS = (0, 1)


async def percent(pids: Iterable[int], seconds: float) -> float:
    """Return how much of a core processes use."""
    pids = list(pids)
    used, begun = cpu_ns(pids), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_ns(pids) - used) / 1e7 / (time.monotonic() - begun)


@dataclass
class Beside:
    """CPU in percent of a core by round: Stentor's room, and Janus by its number of event loops."""

    stentor: list[float] = field(default_factory=list)
    janus: dict[int, list[float]] = field(default_factory=lambda: {loops: [] for loops in _JANUS_LOOPS})
    heard: list[str] = field(default_factory=list)

    @property
    def janus_best(self) -> float:
        """Return the median of the cheaper Janus."""
        return min(median(rounds) for rounds in self.janus.values())

    @property
    def ratio(self) -> float:
        """Return Stentor's CPU a speaker over Janus's."""
        return median(self.stentor) / self.janus_best


async def beside(room: BenchRoom, tokens: list[str], *, seconds: float, rounds: int) -> Beside:
    """Seat the same speakers here and there in turns. The room is on air and pinned."""
    found = Beside()
    process = room.room_process()
    for _ in range(rounds):
        async with speakers(room, tokens) as rates:
            await asyncio.sleep(SETTLE_S)
            found.stentor.append(await percent([process], seconds))
        found.heard.append(f"Stentor {rates}")
        for loops in _JANUS_LOOPS:
            # One that has just begun each time: threads of those who have left would still be counted.
            async with janus(ROOM_CORE, event_loops=loops) as server:
                await (await api_of(server.port)).create(1)
                async with speakers(room, tokens, janus_port=server.port) as rates:
                    await asyncio.sleep(SETTLE_S)
                    found.janus[loops].append(await percent(server.pids(), seconds))
            found.heard.append(f"Janus {rates}")
    return found


@dataclass(frozen=True)
class Idle:
    """What is used for empty rooms: percent of a core, and resident memory before and with them."""

    percent: float
    before_bytes: int
    bytes: int
    parts: dict[str, float] = field(default_factory=dict)

    def shown(self) -> str:
        """Return it for a note."""
        megabytes, before = self.bytes / 1e6, self.before_bytes / 1e6
        parts = "".join(f", {name} {used:.2f}" for name, used in self.parts.items())
        return f"{self.percent:.2f} % of a core{parts and f' ({parts[2:]})'}, {megabytes:.0f} MB (empty {before:.0f})"


async def idle_janus(seconds: float) -> Idle:
    """Measure a Janus with 400 rooms that nobody is in."""
    async with janus(ROOM_CORE) as server:
        before = server.rss_bytes()
        await (await api_of(server.port)).create(IDLE_ROOMS)
        await asyncio.sleep(SETTLE_S)
        return Idle(await percent(server.pids(), seconds), before, server.rss_bytes())


async def idle_stentor(seconds: float) -> Idle:
    """Measure a whole ``stentor serve``, all its processes, with 400 rooms that nobody is in."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-bench-", ignore_cleanup_errors=True))
        site = await stack.enter_async_context(installation(Path(folder)))
        pids = [site.process.pid, *(pid for pid, _ in descendants(site.process.pid))]
        before = rss_bytes(pids)
        api = await site.operator()
        for number in range(IDLE_ROOMS):
            await api.call("POST", "/rooms", {"room": f"room-{number}", "title": f"Room {number}"})
        await asyncio.sleep(2 * SETTLE_S)
        names = {site.process.pid: "supervisor"} | {pid: _name(line) for pid, line in descendants(site.process.pid)}
        used, begun = {pid: cpu_ns([pid]) for pid in names}, time.monotonic()
        await asyncio.sleep(seconds)
        parts: dict[str, float] = {}
        for pid, name in names.items():
            parts[name] = parts.get(name, 0.0) + (cpu_ns([pid]) - used[pid]) / 1e7 / (time.monotonic() - begun)
        return Idle(sum(parts.values()), before, rss_bytes(names), parts)


def _name(command: str) -> str:
    """Return a short name for a process of Stentor's: the verb of its command line, or its program."""
    _, found, verb = command.partition("-m stentor ")
    return (verb if found else command).split()[0].rpartition("/")[2]
