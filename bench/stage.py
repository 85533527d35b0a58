"""What a room costs: CPU of its process, in percent of one core, for 2, 8 and 13 speakers of whom two talk at a time.

The room's process has one core to itself; the speakers, the bus and everything else run on the other. The time is the
kernel's own account of the process (user and system, /proc/PID/stat), all its threads together.
"""

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.report import Goal, arguments, machine, report
from bench.room import ROOM, BenchRoom, bench_room, run
from tests.fakes.installation import descendants

SIZES = (2, 8, 13)
GOALS = [
    Goal("cpu_2", "2 speakers", "%"),
    Goal("cpu_8", "8 speakers", "%"),
    Goal("cpu_13", "13 speakers", "%", at_most=40.0),
]
ROOM_CORE, OTHER_CORE = 0, 1
_SETTLE_S = 5.0
_TICKS_HZ = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process has used (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_HZ


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})


@asynccontextmanager
async def speakers(room: BenchRoom, tokens: list[str], *, silent: bool = False) -> AsyncIterator[list[float]]:
    """Have so many people on stage inside the context; afterwards the list has the packets each sent a second."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.speakers", stdin=pipe, stdout=pipe, cwd=Path(__file__).parent.parent
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = {"whip": f"{room.site.staff_url}/r/{ROOM}/whip", "tokens": tokens, "core": OTHER_CORE, "silent": silent}
    try:
        process.stdin.write(json.dumps(told).encode() + b"\n")
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"connected\n", "the speakers do not connect"
        rate: list[float] = []
        yield rate
        process.stdin.close()
        rate.append(float(await process.stdout.readline()))
        async with asyncio.timeout(10):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def late_ticks(room: BenchRoom) -> float:
    """Return how many ticks of rooms were late so far."""
    page = (await room.site.get("/metrics", base=room.site.private_url)).body.decode()
    return sum(map(float, re.findall(r"^stentor_origin_late_ticks_total\S* (\S+)$", page, re.MULTILINE)))


async def measure(seconds: float) -> dict[int, tuple[float, float, float]]:
    """Return (percent, late ticks, packets a second) by number of speakers."""
    found = {}
    async with bench_room() as room:
        tokens = [await room.link(f"Speaker {number + 1}") for number in range(max(SIZES))]
        await room.go_on_air()
        process = room.room_process()
        for pid, _ in descendants(os.getpid()):
            pin(pid, ROOM_CORE if pid == process else OTHER_CORE)
        for size in SIZES:
            async with speakers(room, tokens[:size]) as rate:
                await asyncio.sleep(_SETTLE_S)
                late, used, begun = await late_ticks(room), cpu_s(process), time.monotonic()
                await asyncio.sleep(seconds)
                percent = 100 * (cpu_s(process) - used) / (time.monotonic() - begun)
                late = await late_ticks(room) - late
            found[size] = (round(percent, 1), late, rate[0])
    return found


async def main() -> bool:
    """Measure and report."""
    parser = arguments(__doc__.splitlines()[0] if __doc__ else "")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("bench.stage needs two cores: one for the room, one for the speakers.")
    before = machine()
    found = await measure(8.0 if options.quick else 20.0)
    figures = {f"cpu_{size}": percent for size, (percent, _, _) in found.items()}
    notes = [
        "ticks that began more than 20 ms late: "
        + ", ".join(f"{late:.0f} with {n}" for n, (_, late, _) in found.items()),
        "packets that each speaker sent a second: " + ", ".join(f"{rate} of {n}" for n, (_, _, rate) in found.items()),
    ]
    return report("stage", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=240) else 1)
