"""What a room costs: CPU of its process, in percent of one core, for 2, 8 and 13 speakers of whom two talk at a time.

The room's process has one core to itself; the speakers, the bus and everything else run on the other. The time is the
kernel's own account of the process (user and system), all its threads together. Then the same 13 speakers sit here and
in a Janus AudioBridge in turns, and 400 empty rooms are held by each (bench/beside.py).
"""

import asyncio
import os
import re
import sys

from bench.beside import IDLE_ROOMS, SPEAKERS, Beside, beside, idle_janus, idle_stentor, percent
from bench.report import Goal, arguments, machine, report, shown
from bench.room import BenchRoom, bench_room, run
from bench.stand import SETTLE_S, pin_room, speakers

SIZES = (2, 8, 13)
GOALS = [
    Goal("cpu_2", "2 speakers", "%"),
    Goal("cpu_8", "8 speakers", "%"),
    Goal("cpu_13", "13 speakers", "%", at_most=40.0),
    Goal("vs_janus", "CPU a speaker over that of Janus AudioBridge, 13 speakers", "", at_most=1.5),
    Goal("idle_vs_janus", "CPU of a whole Stentor with 400 empty rooms over Janus's", "", at_most=0.05),
]


async def late_ticks(room: BenchRoom) -> float:
    """Return how many ticks of rooms were late so far."""
    page = (await room.site.get("/metrics", base=room.site.private_url)).body.decode()
    return sum(map(float, re.findall(r"^stentor_origin_late_ticks_total\S* (\S+)$", page, re.MULTILINE)))


async def measure(seconds: float, rounds: int) -> tuple[dict[int, tuple[float, float, list[float]]], Beside]:
    """Return (percent, late ticks, packets a second) by number of speakers, and the room beside a Janus."""
    found = {}
    async with bench_room() as room:
        tokens = [await room.link(f"Speaker {number + 1}") for number in range(max(SIZES))]
        await room.go_on_air()
        process = room.room_process()
        pin_room(process)
        for size in SIZES:
            async with speakers(room, tokens[:size]) as rates:
                await asyncio.sleep(SETTLE_S)
                late = await late_ticks(room)
                used = await percent([process], seconds)
                late = await late_ticks(room) - late
            found[size] = (round(used, 1), late, rates)
        return found, await beside(room, tokens[:SPEAKERS], seconds=seconds, rounds=rounds)


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("bench.stage needs two cores: one for the room, one for the speakers.")
    before = machine()
    seconds, rounds = (8.0, 1) if options.quick else (20.0, 3)
    found, both = await measure(seconds, rounds)
    empty_there, empty_here = await idle_janus(seconds), await idle_stentor(seconds)
    figures = {f"cpu_{size}": used for size, (used, _, _) in found.items()}
    figures["vs_janus"] = round(both.ratio, 2)
    figures["idle_vs_janus"] = round(empty_here.percent / empty_there.percent, 3)
    notes = [
        "ticks that began more than 20 ms late: "
        + ", ".join(f"{late:.0f} with {n}" for n, (_, late, _) in found.items()),
        "packets that each speaker sent and heard a second: "
        + ", ".join(f"{rates} of {n}" for n, (_, _, rates) in found.items()),
        f"{SPEAKERS} speakers, {rounds} rounds: room's process, on air, {shown(both.stentor)} %; Janus "
        + ", ".join(f"{shown(each)} % with event_loops {loops}" for loops, each in both.janus.items()),
        f"sent and heard a second: {'; '.join(both.heard)}",
        f"{IDLE_ROOMS} empty rooms: all processes of Stentor {empty_here.shown()}; Janus {empty_there.shown()}",
    ]
    return report("stage", GOALS, figures, path=options.json, before=before, notes=notes, detail=vars(both))


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=600) else 1)
