"""A flood at the door: 10,000 requests a second of 200 addresses while 2,000 people listen, 50 a second join.

A whole ``stentor serve``, nothing pinned, with its limits as they are when nothing is set. The flood (bench/c/flood.c)
asks for the page, the room's state, tickets and a playlist, with two connections an address, and sends its requests
whatever is answered; it is counted by what sockets took. Listeners of the push, who are there before, and those who
join have addresses in other networks. A *stall* is a block that came more than 0.75 s after it was due, which is what
our player holds on a good line, or a listener who was lost. A join is measured from connect to the first byte of sound,
a host's action from the call to its answer: each half a second an announcement and a look at the roster.

Flood and people share this machine's cores with the server, so the server gets what they leave it.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.compiled import compiled
from bench.crowd import Said, crowd, standing_back
from bench.report import Goal, arguments, machine, report
from bench.room import ROOM, BenchRoom, bench_room, run

GOALS = [
    Goal("stalls", "blocks that came too late for a listener, and listeners lost", "", at_most=0),
    Goal("join_p99_ms", "connect to the first sound, of 50 joins a second", "ms", at_most=500),
    Goal("host_p99_ms", "a host's action, 99th percentile", "ms", at_most=300),
]
SOURCES = 200
NICE = 5
JOINS_PER_S = 50
STALL_US = 750_000
PUSH = f"/r/{ROOM}/push?rendition=opus"
PATHS = (f"/r/{ROOM}", f"/r/{ROOM}/state.json", f"+/r/{ROOM}/ticket", f"/r/{ROOM}/aac.m3u8", "/")


@dataclass
class Run:
    """What was measured under the flood."""

    stalls: int
    join_ms: dict[str, float]
    lag_ms: dict[str, float]
    host_ms: list[float]
    flood: dict[str, Any]

    @property
    def host_p99_ms(self) -> float:
        """Return the 99th percentile of the host's actions."""
        return round(sorted(self.host_ms)[max(0, -(-99 * len(self.host_ms) // 100) - 1)], 1)


@asynccontextmanager
async def flood(port: int, rate: float, seconds: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """Send requests for so long, standing back as far as edges do: it would be another machine."""
    command = [*standing_back(NICE), str(compiled("flood")), "--port", str(port), "--rate", str(rate)]
    command += ["--sources", str(SOURCES), "--seconds", str(seconds)]
    command += [word for path in PATHS for word in ("--path", path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def act(room: BenchRoom, seconds: float) -> list[float]:
    """Do what a host does, and return how long each took, in milliseconds."""
    took: list[float] = []
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
        begun = time.monotonic()
        await room.api.call("PUT", f"/rooms/{ROOM}/announcement", {"text": f"We go on, {number}."})
        done = time.monotonic()
        await room.api.call("GET", f"/rooms/{ROOM}/roster")
        took += [(done - begun) * 1000, (time.monotonic() - done) * 1000]
        await asyncio.sleep(0.5)
    return took


def late(window: Said) -> int:
    """Return how many blocks came too late, over all listeners."""
    return sum(count for value, count in window.spread("lag_us").histogram if value > STALL_US)


async def measure(room: BenchRoom, people: int, rate: float, seconds: float, note: Callable[[str], None]) -> Run:
    """Let people listen, then begin the flood, and measure while it lasts."""
    port = urlsplit(room.site.audience_url).port or 0
    async with crowd("push", port, people, path=PUSH, processes=4, rate=400, source=10) as listeners:
        await listeners.arrived()
        quiet = await listeners.window(5.0)
        note(f"before the flood: lag in ms {quiet.spread('lag_us').ms()}, {late(quiet)} late")
        async with flood(port, rate, seconds + 6) as sender:
            await asyncio.sleep(2.0)
            await listeners.open()
            joining = crowd("push", port, int(JOINS_PER_S * seconds), path=PUSH, rate=JOINS_PER_S, source=100)
            async with joining as newcomers, asyncio.TaskGroup() as group:
                acting = group.create_task(act(room, seconds))
                joined = await newcomers.arrived(seconds + 30, all_of_them=False)
            window = await listeners.close()
            now = await listeners.status()
            said = await last_word(sender)
    lost = people - now["open"] + int(JOINS_PER_S * seconds) - joined["heard"]
    return Run(
        stalls=late(window) + lost,
        join_ms=joined.spread("first_byte_us").ms(),
        lag_ms=window.spread("lag_us").ms(),
        host_ms=acting.result(),
        flood=said,
    )


async def last_word(sender: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return what the flood did."""
    assert sender.stdout is not None
    async with asyncio.timeout(60):
        lines = (await sender.stdout.read()).splitlines()
    return dict(json.loads(lines[-1]))


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    people, rate, seconds = (200, 2_000.0, 5.0) if options.quick else (2_000, 10_000.0, 30.0)
    before = machine()
    async with bench_room(allow="") as room:
        found = await measure(room, people, rate, seconds, lambda line: print(f"  {line}", flush=True))
    figures = {"stalls": found.stalls, "join_p99_ms": found.join_ms["p99"], "host_p99_ms": found.host_p99_ms}
    sent = found.flood["sent"] / found.flood["seconds"]
    notes = [
        f"{people:,} people listen, {JOINS_PER_S} a second join; the flood sent {sent:,.0f} requests a second of "
        f"{SOURCES} addresses: {found.flood}",
        f"lag in ms under the flood: {found.lag_ms}; joins in ms: {found.join_ms}",
        f"{len(found.host_ms)} actions of the host, at most {max(found.host_ms):.0f} ms",
    ]
    if sent < 0.95 * rate:
        notes.append(f"the flood did not get to {rate:,.0f} a second: this machine is too small to say")
    detail = {"flood": found.flood, "join_ms": found.join_ms, "lag_ms": found.lag_ms, "sent_per_s": round(sent)}
    return report("flood", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=180) else 1)
