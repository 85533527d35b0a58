"""The ladder, step by step: what a listener costs an edge in CPU and in bytes, with a real origin and real speech.

A whole Stentor with one edge, which has core 0; all else has core 1. A speaker says the same 15.36 s over and over, and
everything is measured over one such round, so that what is compared has the same sound in it. Somebody sets step after
step by hand, as `stentor ladder --step` does; blocks are waited for until they have grown. There is a door all the
time, with a cap that nobody reaches. Steps 4 and 5 are about arrivals, of which there are none here: they cost nothing.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import urlsplit

from bench.account import cpu_ns, raise_descriptors
from bench.crowd import Crowd, crowd
from bench.pressure import edges_of
from bench.report import Goal, arguments, machine, report, rounded
from bench.room import ROOM, BenchRoom, run
from bench.speech import BrowserEncoder, speech
from bench.stand import OTHER_CORE, ROOM_CORE, pin
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.room.ladder import BITRATE, BLOCKS, LARGE_BLOCKS, NONE, RUNGS
from tests.fakes.installation import Installation, descendants, installation

GOALS = [
    Goal("gain", "CPU a listener, before the ladder over larger blocks", "", at_least=3.0),
    Goal("byte_gain", "bytes a listener, before the ladder over the lower bitrate", "", at_least=1.8),
    Goal("bitrate_alone", "bytes a listener, the step below over the lower bitrate", "", at_least=1.8),
    Goal("rise", "CPU a listener, a step over the one below it, the worst", "", at_most=1.1),
]
ROUND_S = 15.36
"""Four of the largest blocks."""
_PUSH = f"/r/{ROOM}/push?rendition=opus"
_GROWN_S = 100.0
_FAR_CAP = 1_000_000
_SETTLE_S = 4.0


@dataclass(frozen=True)
class Cost:
    """What one listener costs in a second."""

    cpu_us: float
    sent_bytes: float


def speaker(seconds: float) -> Callable[[], bytes]:
    """Return a microphone that says the same over and over, as a browser's packets."""
    said = speech(seconds)[: int(seconds * SAMPLE_RATE_HZ) // TICK_SAMPLES * TICK_SAMPLES]
    packets = BrowserEncoder(64_000).encode(said)
    at = -1

    def packet() -> bytes:
        nonlocal at
        at = (at + 1) % len(packets)
        return packets[at]

    return packet


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[BenchRoom]:
    """Put a room on air whose edge decides nothing by itself and takes everybody from one address."""
    async with installation(folder, edges=1, max_block_steps=1) as site, asyncio.TaskGroup() as group:
        api = await site.operator()
        await api.call("PUT", "/installation", {"allow": ["127.0.0.0/8"]})
        await set_step(site, NONE)
        await api.call("POST", "/rooms", {"room": ROOM, "title": "A bench"})
        await api.call("POST", f"/rooms/{ROOM}/open", {})
        room = BenchRoom(site, api, group)
        try:
            await room.seat("Speaker", speaker(ROUND_S))
            await room.go_on_air()
            yield room
        finally:
            for task in room.tasks:
                task.cancel()


async def set_step(site: Installation, step: int) -> None:
    """Set a step by hand."""
    await (await site.operator()).call("PUT", "/installation/ladder", {"step": step})


async def in_force(site: Installation, step: int) -> None:
    """Wait until the edge follows a step, with blocks as large as it asks for."""
    blocks = 1 if step < BLOCKS else LARGE_BLOCKS
    said: Any = None
    async with asyncio.timeout(_GROWN_S):
        while said is None or said["ladder"]["step"] != step or said["delivery"]["block_steps"] != blocks:
            said = json.loads((await site.get(f"/r/{ROOM}/state.json")).body)
            await asyncio.sleep(0.25)
    await asyncio.sleep(_SETTLE_S)


async def cost(listeners: Crowd, edges: list[int], seconds: float) -> Cost:
    """Measure what a listener costs, while none is lost."""
    await listeners.open()
    used, begun = cpu_ns(edges), time.monotonic()
    await asyncio.sleep(seconds)
    passed = time.monotonic() - begun
    used = cpu_ns(edges) - used
    window = await listeners.close()
    assert window["open"] == listeners.count, f"listeners are missing: {window.brief()}"
    listened_s = listeners.count * passed
    return Cost(used / 1e3 / listened_s, window.spread("bytes").total / listened_s)


def spread_out(site: Installation, edges: list[int]) -> None:
    """Give the edge a core and everything else the other."""
    for pid, _ in descendants(site.process.pid):
        with contextlib.suppress(OSError):
            pin(pid, ROOM_CORE if pid in edges else OTHER_CORE)


async def measure(count: int, seconds: float) -> list[Cost]:
    """Return the costs at each step, 0 to 5; the larger steps are gone through twice, since they cost little."""
    found: dict[int, list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="stentor-bench-", ignore_cleanup_errors=True) as folder:
        async with stage(Path(folder)) as room:
            edges = edges_of(room.site)
            spread_out(room.site, edges)
            port = urlsplit(room.site.audience_url).port or 0
            async with crowd("push", port, count, path=_PUSH, core=OTHER_CORE, rate=500, in_flight=200) as listeners:
                await listeners.arrived(60)
                await (await room.site.operator()).call("PUT", "/installation/door", {"cap": _FAR_CAP})
                for rung in (*RUNGS, *RUNGS[BLOCKS:]):
                    await set_step(room.site, rung.step)
                    await in_force(room.site, rung.step)
                    each = await cost(listeners, edges, seconds)
                    found.setdefault(rung.step, []).append(each)
                    print(f"{rung.name}: {each.cpu_us:.1f} us, {each.sent_bytes:.0f} bytes", flush=True)
    return [mean(rounds) for _, rounds in sorted(found.items())]


def mean(rounds: list[Cost]) -> Cost:
    """Return the mean of several rounds at one step."""
    return Cost(fmean(each.cpu_us for each in rounds), fmean(each.sent_bytes for each in rounds))


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    raise_descriptors()
    count = 300 if options.quick else 3_000
    found = await measure(count, ROUND_S)
    cpu, sent = [rounded(each.cpu_us) for each in found], [rounded(each.sent_bytes) for each in found]
    figures: dict[str, Any] = {
        "gain": rounded(cpu[NONE] / cpu[BLOCKS]),
        "byte_gain": rounded(sent[NONE] / sent[BITRATE]),
        "bitrate_alone": rounded(sent[BITRATE - 1] / sent[BITRATE]),
        "rise": rounded(max(over / under for under, over in zip(cpu, cpu[1:], strict=False))),
        "cpu_steps": cpu,
        "byte_steps": sent,
    }
    notes = [f"{count} listeners of the push (Opus); CPU in us and bytes to one listener in a second, by step:"]
    notes += [f"{rung.step} {rung.name}: {cpu[rung.step]} us, {sent[rung.step]} bytes" for rung in RUNGS]
    return report("ladder", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=600) else 1)
