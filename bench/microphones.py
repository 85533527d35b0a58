"""Microphones in a process of their own, whose time nothing else of a bench takes: each sends the same numbered frames.

async with microphones([(whip address, token), …], seconds) as stage:
    stage.say()
    await stage.over(90.0)
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bench.fidelity import Material
from bench.tape import Numbers
from stentor.clock import SystemClock
from stentor.demo.whip import HttpWhip, WhipSpeaker


class Microphones:
    """The process, and what it says when told to."""

    def __init__(self, process: asyncio.subprocess.Process, material: Material) -> None:
        self.material = material
        self._process = process

    def say(self) -> None:
        """Have all begin a run."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"say\n")

    async def over(self, limit_s: float) -> None:
        """Wait until a run has been sent."""
        await self.hear(b"over\n", limit_s)

    async def hear(self, wanted: bytes, limit_s: float) -> None:
        """Wait for a line of the process."""
        assert self._process.stdout is not None
        async with asyncio.timeout(limit_s):
            said = await self._process.stdout.readline()
        assert said == wanted, f"the microphones said {said!r} instead of {wanted!r}"


@asynccontextmanager
async def microphones(doors: list[tuple[str, str]], seconds: float) -> AsyncIterator[Microphones]:
    """Seat a speaker at each door (WHIP address and token) for as long as the context lasts."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.microphones", stdin=pipe, stdout=pipe, cwd=Path(__file__).parent.parent
    )
    with suppress(OSError):  # where we may: they would be other machines, which are not late because of ours
        os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"doors": doors, "seconds": seconds}).encode() + b"\n")
        stage = Microphones(process, await asyncio.to_thread(lambda: Numbers(seconds).material))
        await stage.hear(b"connected\n", 60)
        yield stage
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _speak(doors: list[tuple[str, str]], seconds: float) -> None:
    numbers = [Numbers(seconds) for _ in doors]
    async with asyncio.TaskGroup() as group:
        for source, (whip, token) in zip(numbers, doors, strict=True):
            speaker = WhipSpeaker(HttpWhip(whip, token), source, SystemClock())
            group.create_task(speaker.run())
            await speaker.connected.wait()
        print("connected", flush=True)
        while await asyncio.to_thread(sys.stdin.readline) == "say\n":
            for source in numbers:
                source.say()
            while not all(source.over for source in numbers):  # noqa: ASYNC110 - they count packets
                await asyncio.sleep(0.1)
            print("over", flush=True)


if __name__ == "__main__":
    told = json.loads(sys.stdin.readline())
    asyncio.run(_speak(told["doors"], told["seconds"]))
