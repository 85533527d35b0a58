"""A crowd at the door, and the people on stage: 8 speakers are on air while the edges are offered ten times too much.

A whole ``stentor serve``, nothing pinned; see bench.pressure for the crowd. One speaker sends sound whose every 20 ms
frame has the pitch of its number, seven send the noise of a quiet room. Glitches are counted in the program as it goes
out on the bus: steps that are missing, and frames that the numbers show to be missing or repeated. How late each tick
of the mixer begins is the room's own histogram (``stentor_origin_tick_late_seconds``); figures are the upper bounds of
its buckets, of all rounds together. Speakers go first on the processor, since they would be other machines.

A run without priorities is printed beside it: the room is no real-time process and edges do not stand back (nice 5).
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.microphones import Microphones, microphones
from bench.pressure import edges_of, prefer_this_process, pressure, run_as_everybody, stand_back
from bench.report import Goal, arguments, machine, report
from bench.room import ROOM, BenchRoom, bench_room, run
from bench.stage import late_ticks
from bench.stand import speakers
from bench.takeover import bus_of
from bench.tape import Tape

GOALS = [
    Goal("glitches", "20 ms frames of the program that are missing or repeated", "", at_most=0),
    Goal("tick_late_p99_ms", "how late a tick of the mixer begins, 99th percentile, at most", "ms", at_most=5),
    Goal("tick_late_p999_ms", "the same, 99.9th percentile", "ms", at_most=20),
]
QUIET_SPEAKERS = 7
_BUCKET = re.compile(r'^stentor_origin_tick_late_seconds_bucket\{[^}]*le="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)
Lateness = dict[float, int]
"""Upper bound of a bucket in seconds → ticks that were no later."""


async def lateness(room: BenchRoom) -> Lateness:
    """Return how late the ticks of all rooms were so far."""
    page = (await room.site.get("/metrics", base=room.site.private_url)).body.decode()
    found: Lateness = {}
    for bound, count in _BUCKET.findall(page):
        found[float(bound)] = found.get(float(bound), 0) + int(float(count))
    return found


def added(parts: list[Lateness]) -> Lateness:
    """Add up some runs."""
    return {bound: sum(part[bound] for part in parts) for bound in parts[0]}


def late_ms(found: Lateness, share: float) -> float:
    """Return the bound that ``share`` of the ticks kept; infinite when only the last bucket has them."""
    total = found[float("inf")]
    return min(bound for bound, count in found.items() if count >= share * total) * 1000


@dataclass
class Run:
    """One run under pressure."""

    glitches: int
    late: Lateness
    over_20_ms: float
    inside: int
    offered: int
    edge_cores: float
    longest_gap_s: float
    real_time: bool


@dataclass
class Bench:
    """The room, the microphone whose frames are numbered, and what goes out."""

    room: BenchRoom
    microphone: Microphones
    tape: Tape

    async def one(self, seconds: float, held: int) -> Run:
        """Measure for so long."""
        site = self.room.site
        self.tape.begin()
        late, over = await lateness(self.room), await late_ticks(self.room)
        self.microphone.say()
        begun = time.monotonic()
        async with pressure(site, ROOM, held=held, seconds=seconds) as crowd:
            await self.microphone.over(seconds + 30)
            inside, cores = await crowd.inside(), crowd.edge_cores(time.monotonic() - begun)
            now = await lateness(self.room)
            over = await late_ticks(self.room) - over
        await asyncio.sleep(4.0)
        return Run(
            glitches=await self.tape.glitches(self.microphone.material),
            late={bound: count - late.get(bound, 0) for bound, count in now.items()},
            over_20_ms=over,
            inside=inside,
            offered=crowd.offered,
            edge_cores=round(cores, 2),
            longest_gap_s=round(self.tape.longest_gap_s, 3),
            real_time=os.sched_getscheduler(self.room.room_process()) == os.SCHED_RR,
        )


async def measure(
    seconds: float, rounds: int, held: int, note: Callable[[str], None]
) -> tuple[list[Run], Run, Lateness]:
    """Return the rounds, a run without priorities, and the ticks without any crowd."""
    async with AsyncExitStack() as stack:
        room = await stack.enter_async_context(bench_room())
        if not prefer_this_process():
            note("the speakers share the processor with everything else: this needs root to be told apart")
        tokens = [await room.link(f"Speaker {number + 1}") for number in range(QUIET_SPEAKERS)]
        door = (f"{room.site.staff_url}/r/{ROOM}/whip", await room.link("Numbers"))
        stage = await stack.enter_async_context(microphones([door], seconds))
        bench = Bench(room, stage, Tape(ROOM))
        await room.go_on_air()
        await stack.enter_async_context(speakers(room, tokens, silent=True))
        bus = await stack.enter_async_context(bus_of(room))
        await stack.enter_async_context(bus.subscribe(bench.tape.subject, bench.tape.hear))
        await asyncio.sleep(3.0)
        calm = await lateness(room)
        await asyncio.sleep(10.0)
        calm = {bound: count - calm[bound] for bound, count in (await lateness(room)).items()}
        found = []
        for number in range(rounds):
            found.append(await bench.one(seconds, held))
            note(f"round {number + 1}: {found[-1]}")
        stand_back(edges_of(room.site), 0)
        run_as_everybody(room.room_process())
        even = await bench.one(seconds, held)
        return found, even, calm


def told(name: str, late: Lateness) -> str:
    """Return a line about ticks."""
    shares = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "all"))
    parts = ", ".join(f"{label} {late_ms(late, share):g} ms" for share, label in shares)
    return f"ticks {name} began late by at most: {parts}; of {late[float('inf')]:,}"


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    seconds, rounds, held = (10.0, 1, 100) if options.quick else (60.0, 3, 2_000)
    before = machine()
    found, even, calm = await measure(seconds, rounds, held, lambda line: print(f"  {line}", flush=True))
    late = added([each.late for each in found])
    figures = {
        "glitches": sum(each.glitches for each in found),
        "tick_late_p99_ms": late_ms(late, 0.99),
        "tick_late_p999_ms": late_ms(late, 0.999),
    }
    notes = [
        f"{rounds} rounds of {seconds:.0f} s; offered {found[0].offered:,}, of whom "
        f"{', '.join(str(each.inside) for each in found)} came in; the edges used "
        f"{', '.join(str(each.edge_cores) for each in found)} cores",
        told("without a crowd", calm),
        told("under pressure", late),
        told("without priorities", even.late) + f"; glitches {even.glitches} in {seconds:.0f} s",
        f"real-time: {found[0].real_time}; ticks more than 20 ms late: {sum(each.over_20_ms for each in found):.0f}",
        "the program's delay does not change under pressure; that of listeners does, as blocks grow",
    ]
    detail = {"rounds": [vars(each) for each in found], "even": vars(even), "calm": calm}
    return report("isolation", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=480) else 1)
