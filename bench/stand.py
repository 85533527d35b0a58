"""What bench.stage and bench.isolation stand on: a core for the room, and the speakers in a process on the other."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.room import ROOM, BenchRoom
from tests.fakes.installation import descendants

ROOM_CORE, OTHER_CORE = 0, 1
SETTLE_S = 5.0


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})


def pin_room(process: int) -> None:
    """Give the room's process a core, and everything else of ours the other."""
    for pid, _ in descendants(os.getpid()):
        pin(pid, ROOM_CORE if pid == process else OTHER_CORE)


@asynccontextmanager
async def speakers(
    room: BenchRoom, tokens: list[str], *, silent: bool = False, janus_port: int = 0
) -> AsyncIterator[list[float]]:
    """Have so many people on stage inside the context, or in a Janus instead.

    Afterwards the list has the packets that each sent a second, and heard.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.speakers", stdin=pipe, stdout=pipe, cwd=Path(__file__).parent.parent
    )
    assert process.stdin is not None
    assert process.stdout is not None
    whip = f"{room.site.staff_url}/r/{ROOM}/whip"
    told = {"whip": whip, "tokens": tokens, "core": OTHER_CORE, "silent": silent, "janus": janus_port}
    try:
        process.stdin.write(json.dumps(told).encode() + b"\n")
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"connected\n", "the speakers do not connect"
        rates: list[float] = []
        yield rates
        process.stdin.close()
        rates += json.loads(await process.stdout.readline())
        async with asyncio.timeout(10):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
