"""Bad neighbours: does it matter to 3,000 good listeners that 3,000 others on the same edge misbehave?

In each round the good ones' delivery lag is measured alone, and then again while 1,000 others shake hands for a push
and never read, 1,000 do so and read 64 bytes a second, and 1,000 send their request at a byte a second; until all
those are cut. Lag is counted from the end of a block's last step to its last byte at the listener; cadence is 0.24 s.

``cut_s`` is the longer of two times. For those that trickle requests, from connect to the end. For those that do not
read what they are sent, from the first half second in which the kernel kept 4 kB or more unread for one of them (that
is before the edge's first refused write) until the kernel holds no socket of theirs; their receive buffers are as
small as the kernel lets them be, since what their own kernel has taken nobody refused.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.crowd import Crowd, crowd
from bench.report import Goal, arguments, machine, middle, report, rounded, shown
from bench.room import run
from bench.site import PUSH, site

GOALS = [
    Goal("lag_ratio", "delivery lag p99 with bad neighbours, over that without", "", at_most=1.2),
    Goal("cut_s", "until the last bad one was cut", "s", at_most=10.0),
]
SERVER_CORE, CROWD_CORE = 0, 1
LOOK_S = 0.5
LONGEST_S = 45.0
_SMALLEST_BUFFER = 1


@dataclass(frozen=True)
class Round:
    """Lags in milliseconds, without and with; seconds until the bad were cut."""

    alone_ms: dict[str, float]
    beside_ms: dict[str, float]
    unread_cut_s: float
    trickle_cut_s: float

    @property
    def ratio(self) -> float:
        """Return how much longer it takes with bad neighbours."""
        return self.beside_ms["p99"] / self.alone_ms["p99"]


async def looked(port: int) -> tuple[int, set[str]]:
    """Return ``sockets`` from a process of its own: it takes time that the origin, which runs in this one, needs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sockets", str(port), stdout=asyncio.subprocess.PIPE
    )
    held, unread = json.loads((await process.communicate())[0])
    return int(held), set(unread)


async def until_cut(port: int, good: int) -> float:
    """Wait until only the good are left; return the seconds since the first of the bad left something unread."""
    begun = time.monotonic()
    first: float | None = None
    before: set[str] = set()
    while True:
        await asyncio.sleep(LOOK_S)
        now = time.monotonic()
        held, unread = await looked(port)
        if first is None and unread & before:
            first = now - LOOK_S
        before = unread
        if held <= good:
            return now - (first or begun)
        if now - begun > LONGEST_S:
            raise AssertionError(f"after {LONGEST_S} s there are still {held - good} bad ones")


async def one_round(port: int, good: Crowd, unit: int, seconds: float) -> Round:
    """Measure the good alone, and then beside the bad until these are gone."""
    alone = await good.window(seconds)
    bad: dict[str, Any] = {"port": port, "count": unit, "path": PUSH, "core": CROWD_CORE, "rcvbuf": _SMALLEST_BUFFER}
    bad["rest_us"] = 2_000  # busy ones would take the good ones' core away from them
    await good.open()
    async with crowd("never-read", **bad), crowd("sip", **bad), crowd("trickle", **bad) as trickling:
        begun = time.monotonic()
        await trickling.arrived()
        unread_cut_s = await until_cut(port, good.count)
        await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
        beside = await good.close()
        trickled = (await trickling.status()).spread("life_us")
    if beside["open"] < good.count:
        raise AssertionError(f"good ones were lost: {beside.brief()}")
    return Round(
        alone.spread("lag_us").ms(),
        beside.spread("lag_us").ms(),
        round(unread_cut_s, 1),
        round(trickled.largest / 1e6, 1),
    )


async def measure(unit: int, rounds: int, seconds: float, note: Callable[[str], None]) -> list[Round]:
    """Return the rounds; ``unit`` is how many of each bad kind there are, a third of the good."""
    async with (
        site(cores=[SERVER_CORE], rest=CROWD_CORE) as place,
        crowd("push", place.port, 3 * unit, path=PUSH, core=CROWD_CORE) as good,
    ):
        await good.arrived()
        await asyncio.sleep(2.0)
        found = []
        for number in range(rounds):
            found.append(await one_round(place.port, good, unit, seconds))
            note(f"round {number + 1}: {found[-1]}, ratio {found[-1].ratio:.2f}")
        return found


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    unit, rounds, seconds = (100, 1, 4.0) if options.quick else (1_000, 5, 12.0)
    before = machine()
    found = await measure(unit, rounds, seconds, lambda line: print(f"  {line}", flush=True))
    cuts = [max(each.unread_cut_s, each.trickle_cut_s) for each in found]
    figures = {"lag_ratio": middle([each.ratio for each in found]), "cut_s": rounded(max(cuts))}
    notes = [
        f"{3 * unit:,} good, {unit:,} each of never-read, sip and trickle; {rounds} rounds; medians, least and most",
        f"lag alone: p50 {shown([each.alone_ms['p50'] for each in found])} ms, "
        f"p99 {shown([each.alone_ms['p99'] for each in found])} ms",
        f"lag beside: p50 {shown([each.beside_ms['p50'] for each in found])} ms, "
        f"p99 {shown([each.beside_ms['p99'] for each in found])} ms; ratio {shown([each.ratio for each in found])}",
        f"cut after: who does not read {shown([each.unread_cut_s for each in found])} s, "
        f"who trickles {shown([each.trickle_cut_s for each in found])} s",
        "the oldest sample of a block is 0.24 s older than the lag; mouth to ear: bench.latency",
    ]
    detail = [vars(each) for each in found]
    return report("neighbours", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=360) else 1)
