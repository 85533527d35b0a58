"""Thousands of listeners as one object: drives ``bench/c/crowd.c``, in as many processes as descriptors need.

    async with crowd("push", port, 8_000, path="/r/bench/push?rendition=opus", core=1) as listeners:
        arrival = await listeners.arrived()          # everybody connected and hears something
        window = await listeners.window(10.0)        # what each received meanwhile, and how late

Kinds: ``push`` (our frames; blocks and their lag are read), ``websocket``, ``http``, ``ogg``, ``fetch`` (one file
each), ``ask`` (keep-alive; ``ask(path)`` sends one GET on every connection at once), and the bad ones:
``never-read``, ``sip``, ``trickle``, ``silent``.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compiled import compiled

PER_PROCESS = 18_000
"""Connections a process: below the hard limit of 20,000 descriptors that many machines have."""


@dataclass(frozen=True)
class Spread:
    """A distribution, added up over all processes; values of the histogram are exact to 1.6 %."""

    count: int
    smallest: int
    largest: int
    total: int
    histogram: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, parts: list[dict[str, Any]]) -> "Spread":
        """Add up what several processes say."""
        full = [part for part in parts if part["count"]]
        summed: Counter[int] = Counter()
        for part in full:
            for value, count in part["histogram"]:
                summed[value] += count
        return cls(
            sum(part["count"] for part in full),
            min((part["min"] for part in full), default=0),
            max((part["max"] for part in full), default=0),
            sum(part["sum"] for part in full),
            tuple(sorted(summed.items())),
        )

    def at(self, share: float) -> int:
        """Return the smallest value that at least ``share`` (0 to 1) of the values do not exceed; 0 of nothing."""
        left = share * self.count
        for value, count in self.histogram:
            left -= count
            if left <= 0:
                return value
        return self.largest

    def ms(self) -> dict[str, float]:
        """Return microseconds as milliseconds, for tables: p50, p99, p999 and the largest."""
        shown = {"p50": self.at(0.5), "p99": self.at(0.99), "p999": self.at(0.999), "max": self.largest}
        return {name: round(value / 1000, 2) for name, value in shown.items()}


class Said:
    """One answer of all processes: counts are summed, distributions added up."""

    def __init__(self, parts: list[dict[str, Any]]) -> None:
        self.parts = parts

    def __getitem__(self, key: str) -> int:
        """Return a count, summed over the processes."""
        return sum(int(part[key]) for part in self.parts)

    def spread(self, key: str) -> Spread:
        """Return a distribution."""
        return Spread.of([part[key] for part in self.parts])

    @property
    def close_codes(self) -> Counter[int]:
        """Return how many connections were closed with which WebSocket code."""
        codes: Counter[int] = Counter()
        for part in self.parts:
            codes.update({int(code): count for code, count in part["close_codes"].items()})
        return codes

    @property
    def arrival_s(self) -> float:
        """Return the seconds from the first connect to the first byte of the last listener (of ``arrived``)."""
        begun = min(part["begun_ns"] for part in self.parts)
        return float(max(part["last_heard_ns"] for part in self.parts) - begun) / 1e9

    @property
    def seconds(self) -> float:
        """Return how long the window was open, in the mean (of ``window``)."""
        return sum(float(part["seconds"]) for part in self.parts) / len(self.parts)

    def brief(self) -> str:
        """Return the counts as text, for a message that says what is wrong."""
        keys = ("opened", "connected", "handshaken", "heard", "open", "dropped", "refused", "retried", "bad_status")
        return ", ".join(f"{key} {self[key]}" for key in keys) + (
            f", close codes {dict(self.close_codes)}" if self.close_codes else ""
        )


class Crowd:
    """The processes of one crowd."""

    def __init__(self, processes: list[asyncio.subprocess.Process], count: int) -> None:
        self.count = count
        self._processes = processes

    @property
    def pids(self) -> list[int]:
        """Return the processes' ids."""
        return [process.pid for process in self._processes]

    async def arrived(self, limit_s: float = 60.0, *, all_of_them: bool = True) -> Said:
        """Wait until every connection has heard something or failed. Raises AssertionError when one failed."""
        said = await self._hear("arrived", limit_s)
        if all_of_them and said["heard"] < self.count:
            raise AssertionError(f"not everybody is in: {said.brief()}")
        return said

    async def status(self) -> Said:
        """Return the counts of the moment; ``life_us`` are the lives of those that are gone."""
        return await self._exchange("status", "status")

    async def window(self, seconds: float) -> Said:
        """Measure for so long: ``bytes`` of each connection, ``lag_us`` and ``late_us`` of each block at each.

        The lag is counted from the end of the block's last step, lateness from its earliest arrival anywhere.
        """
        await self.open()
        await asyncio.sleep(seconds)
        return await self.close()

    async def open(self) -> None:
        """Open the measuring window."""
        await self._exchange("open", "opened")

    async def close(self) -> Said:
        """Close the measuring window."""
        return await self._exchange("close", "window", 30.0)

    async def ask(self, path: str) -> None:
        """Have every connection send one GET (kind ``ask``); returns once all have been sent."""
        await self._exchange(f"ask {path}", "asked", 30.0)

    async def answered(self, limit_s: float = 30.0) -> Said:
        """Wait until all have their answer: ``after_first_us`` counts from the first one's last byte."""
        return await self._hear("answered", limit_s)

    async def _exchange(self, line: str, event: str, limit_s: float = 10.0) -> Said:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line.encode() + b"\n")
        return await self._hear(event, limit_s)

    async def _hear(self, event: str, limit_s: float) -> Said:
        parts = []
        for process in self._processes:
            assert process.stdout is not None
            try:
                async with asyncio.timeout(limit_s):
                    said: dict[str, Any] = {}
                    while said.get("event") != event:
                        line = await process.stdout.readline()
                        assert line, f"the crowd ended ({await process.wait()}) before it said {event!r}"
                        said = json.loads(line)
            except TimeoutError:
                raise AssertionError(f"the crowd has not said {event!r} within {limit_s} s") from None
            parts.append(said)
        return Said(parts)


@asynccontextmanager
async def crowd(
    kind: str,
    port: int,
    count: int,
    *,
    path: str = "/",
    processes: int = 0,
    core: int | None = None,
    rate: float = 0.0,
    in_flight: int = 500,
    rest_us: int = 0,
    zero_ms: int = 0,
    rcvbuf: int = 0,
    tls: bool = False,
    nice: int = 0,
    patience_s: float = 0.0,
    source: int = 1,
) -> AsyncIterator[Crowd]:
    """Let so many listeners come; they are gone when the context ends.

    ``rate`` is joins a second (0: as fast as they go with ``in_flight`` that have not heard anything yet),
    ``core`` what the processes are pinned to, ``rest_us`` how long they sleep between looks (only where they share a
    core with the server: a crowd that never sleeps is never woken up at the server's cost). ``zero_ms`` is the room's
    zero, for kind ``ogg``; a push says it itself. ``nice``: its processes stand back so far, in a group of their own.
    ``patience_s``: who has heard nothing for so long connects once more (0: never); counted as ``retried``.
    ``source``: the first process comes from 127.0.N.1, the others from the next.
    """
    number = processes or -(-count // PER_PROCESS)
    sizes = [count // number + (index < count % number) for index in range(number)]
    async with AsyncExitStack() as stack:
        shared = stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-crowd-", dir="/dev/shm"))
        command = [*(["taskset", "-c", str(core)] if core is not None else []), str(compiled("crowd"))]
        command = [*standing_back(nice), *command]
        command += ["--kind", kind, "--port", str(port), "--path", path, "--earliest", str(Path(shared) / "earliest")]
        command += ["--in-flight", str(max(1, in_flight // number)), "--rate", str(rate / number)]
        command += ["--rest-us", str(rest_us), "--zero-ms", str(zero_ms), "--rcvbuf", str(rcvbuf)]
        command += ["--patience-s", str(patience_s), *(["--tls"] if tls else [])]
        running = []
        for index, size in enumerate(sizes):
            own = ["--count", str(size), "--source", f"127.0.{index + source}.1"]
            running.append(await stack.enter_async_context(_process([*command, *own])))
        yield Crowd(running, count)


def standing_back(nice: int) -> list[str]:
    """Return what to put before a command so that it stands back, and is a group of its own to the scheduler.

    nice(1) counts within a session alone (sched(7), autogroup); in the session of the bench it would say nothing.
    """
    if not nice:
        return []
    return ["setsid", "sh", "-c", f'echo {nice} > /proc/self/autogroup; exec nice -n {nice} "$@"', "sh"]


@asynccontextmanager
async def _process(command: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 24)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
