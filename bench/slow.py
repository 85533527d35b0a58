"""Slow clients: slowhttptest (Debian) in its four modes against the public port, while people join.

A whole ``stentor serve`` with its limits as they are when nothing is set. ``-H`` sends headers a few bytes at a time,
``-B`` a body, ``-R`` asks for a page in hundreds of overlapping ranges, ``-X`` reads the largest file of the page a few
bytes at a time. Each has 500 connections, 200 more a second. How long the server holds one of them is read from the
kernel's table of sockets, by address and port, four times a second: from the first time that it is there until it is
there no more, or no process has it. ``cut_s`` is the longest of all connections and modes. Meanwhile 50 people a second
of other addresses join.
"""

import asyncio
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.crowd import crowd
from bench.report import Goal, arguments, machine, report
from bench.room import ROOM, BenchRoom, bench_room, run

GOALS = [
    Goal("cut_s", "how long a slow client holds a connection, at most, in any mode", "s", at_most=10),
    Goal("join_p99_ms", "connect to the first sound, of those who join meanwhile", "ms", at_most=200),
]
JOINS_PER_S = 50
PUSH = f"/r/{ROOM}/push?rendition=opus"
MODES = {
    "headers": ("-H", "-i", "3"),
    "body": ("-B", "-i", "3", "-s", "8192"),
    "ranges": ("-R",),
    "reading": ("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"),
}
_ATTACKER = "0100007F"
_LOOK_S = 0.25


@dataclass
class Held:
    """What the server holds of the attacker's connections: when each was seen first and last, by its port."""

    port: int
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            now = time.monotonic()
            for peer in self.now():
                self.first.setdefault(peer, now)
                self.last[peer] = now
            await asyncio.sleep(_LOOK_S)

    def now(self) -> set[str]:
        """Return the attacker's ports of connections that a process of the server has."""
        found = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            columns = line.split()
            address, _, peer = columns[2].partition(":")
            if columns[1].endswith(f":{self.port:04X}") and address == _ATTACKER and columns[9] != "0":
                found.add(peer)
        return found - {"0000"}

    def longest_s(self) -> float:
        """Return the longest life of a connection."""
        return max((self.last[peer] - at + _LOOK_S for peer, at in self.first.items()), default=0.0)


@asynccontextmanager
async def attack(mode: str, url: str, connections: int, seconds: int) -> AsyncIterator[None]:
    """Run slowhttptest in the context."""
    program = shutil.which("slowhttptest")
    if program is None:
        raise SystemExit("This bench needs slowhttptest: see scripts/setup-bench.")
    command = [program, *MODES[mode], "-c", str(connections), "-r", "200", "-l", str(seconds), "-u", url, "-p", "3"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def largest_file(room: BenchRoom) -> str:
    """Return the address of the largest file of the listener's page."""
    page = (await room.site.get(f"/r/{ROOM}")).body.decode()
    files = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
    sizes = {path: len((await room.site.get(path)).body) for path in files}
    return max(sizes, key=lambda path: sizes[path], default=f"/r/{ROOM}")


async def one(room: BenchRoom, mode: str, connections: int, seconds: int) -> dict[str, float]:
    """Attack for so long and return the figures."""
    port = urlsplit(room.site.audience_url).port or 0
    path = {"reading": await largest_file(room), "body": f"/r/{ROOM}/ticket"}.get(mode, f"/r/{ROOM}")
    held = Held(port)
    count = JOINS_PER_S * seconds
    ignored = held.now()
    async with attack(mode, room.site.audience_url + path, connections, seconds), asyncio.TaskGroup() as group:
        watching = group.create_task(held.watch())
        async with crowd("push", port, count, path=PUSH, rate=JOINS_PER_S, source=100) as newcomers:
            joined = await newcomers.arrived(seconds + 30.0)
        watching.cancel()
    for peer in ignored:
        held.first.pop(peer, None)
    return {
        "cut_s": round(held.longest_s(), 2),
        "seen": len(held.first),
        "left": len(held.now()),
        **{f"join_{name}_ms": value for name, value in joined.spread("first_byte_us").ms().items()},
    }


async def measure(connections: int, seconds: int, note: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return the figures of each mode."""
    found = {}
    async with bench_room(allow="") as room:
        # The first listener of a room has the edge look for what went before.
        port = urlsplit(room.site.audience_url).port or 0
        async with crowd("push", port, 1, path=PUSH, rate=1, source=100) as first:
            await first.arrived(30.0)
        for mode in MODES:
            found[mode] = await one(room, mode, connections, seconds)
            note(f"{mode}: {found[mode]}")
    return found


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    connections, seconds = (100, 14) if options.quick else (500, 25)
    before = machine()
    found = await measure(connections, seconds, lambda line: print(f"  {line}", flush=True))
    figures = {
        "cut_s": max(each["cut_s"] for each in found.values()),
        "join_p99_ms": max(each["join_p99_ms"] for each in found.values()),
    }
    notes = [f"{connections} connections of slowhttptest in each mode, for {seconds} s; {JOINS_PER_S} joins a second"]
    return report("slow", GOALS, figures, path=options.json, before=before, notes=notes, detail=found)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=240) else 1)
