"""What a listener costs: CPU of an edge a listener-second at 32 kbit/s, beside a bare C loop and Icecast.

In each round 8,000 listeners come to the edge and stay while its blocks grow from 0.24 to 0.48 and 0.96 s, then to the
C loop (bench/c/bare.c), which sends as many bytes at the same cadence, then to Icecast. Icecast is fed with the very
chunks that the edge gets, as Ogg Opus: once declared as MP3, so that it cuts them as it does by itself, 1,400 bytes
(0.35 s) a write; once declared as Ogg, which it sends page by page, with pages of 0.96 s. The server has core 0, all
else core 1.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.compiled import compiled
from bench.cost import Cost, cost
from bench.crowd import Crowd, crowd
from bench.peers import icecast, running
from bench.report import Goal, arguments, machine, middle, report, shown
from bench.room import run
from bench.site import PUSH, Site, site
from bench.source import icecast_source

GOALS = [
    Goal("vs_c_240ms", "CPU against the C loop, blocks of 0.24 s", "", at_most=1.2),
    Goal("vs_c_960ms", "CPU against the C loop, blocks of 0.96 s", "", at_most=1.12),
    Goal("vs_icecast_480ms", "CPU at 0.48 s against Icecast at its own 0.35 s", "", at_most=0.95),
    Goal("vs_icecast_960ms", "CPU at 0.96 s against Icecast at its own 0.35 s", "", at_most=0.5),
    Goal("vs_icecast_ogg_960ms", "CPU at 0.96 s against Icecast with Ogg pages of 0.96 s", ""),
]
SERVER_CORE, REST_CORE = 0, 1
ICECAST_JOINS_PER_S = 2_000
"""Its listen queue has five places: more at once and most of them wait for TCP to try again."""
_FRAME_HEAD_BYTES = 4

Round = dict[str, Cost]


@asynccontextmanager
async def settled(
    kind: str, port: int, count: int, path: str, *, zero_ms: int = 0, rate: float = 0
) -> AsyncIterator[Crowd]:
    """Let listeners come; yields two seconds after everybody has heard something."""
    in_flight = count if rate else 500
    patience_s = 5.0 if kind == "ogg" else 0.0  # of Icecast's listeners TCP leaves some waiting for a minute
    async with crowd(
        kind,
        port,
        count,
        path=path,
        core=REST_CORE,
        zero_ms=zero_ms,
        rate=rate,
        in_flight=in_flight,
        patience_s=patience_s,
    ) as listeners:
        await listeners.arrived(120)
        await asyncio.sleep(2.0)
        yield listeners


async def edge_costs(place: Site, count: int, found: Round) -> None:
    """Measure the edge at three cadences, all with the same listeners."""
    await place.set_block_steps(1)
    await place.until_block_steps(1)
    async with settled("push", place.port, count, PUSH) as listeners:
        for steps in (1, 2, 4):
            await place.set_block_steps(steps)
            await place.until_block_steps(steps)
            await asyncio.sleep(1.5)
            found[f"edge {steps * 240} ms"] = await cost(listeners, place.pids, steps=steps)


async def loop_cost(count: int, steps: int, like: Cost) -> Cost:
    """Measure the C loop with blocks as large as those of ``like``."""
    size = round(like.block_bytes) - _FRAME_HEAD_BYTES

    def command(_folder: Path, port: int, _tls_port: int) -> list[str]:
        return [str(compiled("bare")), "--port", str(port), "--block-bytes", str(size), "--block-steps", str(steps)]

    async with running("bare", SERVER_CORE, command) as peer, settled("push", peer.port, count, "/") as listeners:
        return await cost(listeners, peer.pids(), steps=steps)


async def icecast_cost(place: Site, count: int, *, page_steps: int, content_type: str) -> Cost:
    """Measure an Icecast."""
    mount = "/bench"
    async with (
        icecast(SERVER_CORE, feed_core=REST_CORE) as peer,
        icecast_source(place.origin, peer.port, mount, page_steps=page_steps, content_type=content_type),
        settled("ogg", peer.port, count, mount, zero_ms=place.zero_ms, rate=ICECAST_JOINS_PER_S) as listeners,
    ):
        return await cost(listeners, peer.pids(), steps=page_steps)


async def one_round(place: Site, count: int) -> Round:
    """Measure everybody once."""
    found: Round = {}
    await edge_costs(place, count, found)
    for steps in (1, 4):
        name = f"{steps * 240} ms"
        found[f"C {name}"] = await loop_cost(count, steps, found[f"edge {name}"])
    found["Icecast 350 ms"] = await icecast_cost(place, count, page_steps=1, content_type="audio/mpeg")
    found["Icecast Ogg 960 ms"] = await icecast_cost(place, count, page_steps=4, content_type="application/ogg")
    return found


RATIOS = {
    "vs_c_240ms": ("edge 240 ms", "C 240 ms"),
    "vs_c_960ms": ("edge 960 ms", "C 960 ms"),
    "vs_icecast_480ms": ("edge 480 ms", "Icecast 350 ms"),
    "vs_icecast_960ms": ("edge 960 ms", "Icecast 350 ms"),
    "vs_icecast_ogg_960ms": ("edge 960 ms", "Icecast Ogg 960 ms"),
}


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    count, rounds = (500, 1) if options.quick else (8_000, 5)
    found: list[Round] = []
    async with site(cores=[SERVER_CORE], rest=REST_CORE) as place:
        for number in range(rounds):
            found.append(await one_round(place, count))
            print(f"round {number + 1}: " + ", ".join(f"{name} {each.us:.1f}" for name, each in found[-1].items()))
    ratios = {key: [each[over].us / each[under].us for each in found] for key, (over, under) in RATIOS.items()}
    notes = [f"{count} listeners, {rounds} rounds; ratios: median (least to most); us: CPU a listener-second"]
    notes += [f"{key}: {shown(values)}" for key, values in ratios.items()]
    for name, last in found[-1].items():
        us = shown([each[name].us for each in found])
        notes.append(f"{name}: {us} us; a chunk is at the listener {last.mouth_to_ear} after it is due")
    detail = [{name: each.us for name, each in measured.items()} for measured in found]
    figures = {key: middle(values) for key, values in ratios.items()}
    return report("fanout", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=840) else 1)
