"""What a listener takes: memory of the server's own and of the kernel's, beside Icecast and nchan.

Before 8,000 listeners come and once all of them receive at the full rate, in turns, each server started anew. Own
memory is what is resident and not shared with files (RssAnon, RssShmem). Kernel memory is that of the whole machine for
objects (Slab) and what lies in sockets (/proc/net/sockstat); both ends of a connection are on this machine and alike,
so a listener's share is half of it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from bench.account import kernel_bytes, rss_bytes
from bench.crowd import crowd
from bench.peers import MOUNT, icecast, nginx
from bench.report import Goal, arguments, machine, middle, report, shown
from bench.room import run
from bench.site import PUSH, site

GOALS = [
    Goal("rss_bytes", "own memory a listener", "B", at_most=2_048),
    Goal("kernel_bytes", "kernel memory a listener", "B"),
    Goal("rss_vs_icecast", "own memory against Icecast", "", at_most=0.6),
    Goal("rss_vs_nchan", "own memory against nchan", "", at_most=0.6),
]
SERVER_CORE, REST_CORE = 0, 1
_SETTLE_S = 4.0
_BLOCK_BYTES = 960
_STEP_S = 0.24


@dataclass(frozen=True)
class Served:
    """A server that waits for listeners: where, how they ask, and what belongs to it."""

    kind: str
    port: int
    path: str
    pids: list[int]
    joins_per_s: float


@asynccontextmanager
async def edge() -> AsyncIterator[Served]:
    """Run an edge with blocks of 0.24 s."""
    async with site(cores=[SERVER_CORE], rest=REST_CORE) as place:
        yield Served("push", place.port, PUSH, place.pids, 3_000)


@asynccontextmanager
async def its_icecast() -> AsyncIterator[Served]:
    """Run Icecast with 32 kbit/s of MP3, which it sends 1,400 bytes at a time."""
    async with icecast(SERVER_CORE, feed_core=REST_CORE, feed="mp3") as peer:
        yield Served("http", peer.port, MOUNT, peer.pids(), 2_000)


@asynccontextmanager
async def its_nchan() -> AsyncIterator[Served]:
    """Run nginx with nchan, its subscribers on WebSocket, with 960 bytes published each 0.24 s."""
    async with nginx(SERVER_CORE, nchan=True) as peer, peer.publisher() as publisher, asyncio.TaskGroup() as tasks:

        async def publish() -> None:
            while True:
                await publisher.publish(bytes(_BLOCK_BYTES))
                await asyncio.sleep(_STEP_S)

        publishing = tasks.create_task(publish())
        yield Served("websocket", peer.port, peer.subscribe, peer.pids(), 3_000)
        publishing.cancel()


async def a_listener(serve: Callable[[], AbstractAsyncContextManager[Served]], count: int) -> tuple[float, float]:
    """Return bytes of own and of kernel memory that each of ``count`` listeners takes."""
    async with serve() as served:
        await asyncio.sleep(1.0)
        own, kernel = rss_bytes(served.pids), kernel_bytes()
        async with crowd(
            served.kind,
            served.port,
            count,
            path=served.path,
            core=REST_CORE,
            rate=served.joins_per_s,
            in_flight=count,
            patience_s=5.0,
        ) as listeners:
            await listeners.arrived(90)
            await asyncio.sleep(_SETTLE_S)
            window = await listeners.window(8 * _STEP_S)
            own, kernel = rss_bytes(served.pids) - own, kernel_bytes() - kernel
            got = window.spread("bytes").smallest
            assert window["open"] == count, f"{served.kind} has lost some: {window.brief()}"
            assert got >= 2 * _BLOCK_BYTES, f"{served.kind} does not send at the full rate: {got} bytes"
        return own / count, kernel / count / 2


SERVERS = {"edge": edge, "Icecast": its_icecast, "nchan": its_nchan}


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    count, rounds = (500, 1) if options.quick else (8_000, 5)
    found = [{name: await a_listener(serve, count) for name, serve in SERVERS.items()} for _ in range(rounds)]
    own = {name: [each[name][0] for each in found] for name in SERVERS}
    kernel = {name: [each[name][1] for each in found] for name in SERVERS}
    figures = {
        "rss_bytes": round(middle(own["edge"])),
        "kernel_bytes": round(middle(kernel["edge"])),
        "rss_vs_icecast": middle([a / b for a, b in zip(own["edge"], own["Icecast"], strict=True)]),
        "rss_vs_nchan": middle([a / b for a, b in zip(own["edge"], own["nchan"], strict=True)]),
    }
    notes = [f"{count} listeners, {rounds} rounds, bytes a listener: median (least to most)"]
    notes += [f"{name}: own {shown(own[name])}, kernel {shown(kernel[name])}" for name in SERVERS]
    return report("memory", GOALS, figures, path=options.json, before=before, notes=notes, detail=found)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=500) else 1)
