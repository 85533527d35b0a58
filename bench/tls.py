"""What a listener costs with TLS: our own in-process, HAProxy before our edge, nginx with nchan, and Icecast.

8,000 listeners come to each in turn, over TLS 1.3 with the same kind of certificate (P-256); CPU and memory are those
of all processes of the server, terminator included, on one core. Ours and nchan send blocks of 0.96 s: nchan the very
size, published at that cadence. Icecast sends 32 kbit/s of MP3 as it does by itself, 1,400 bytes each 0.35 s. CPU is
counted once everybody receives at the full rate, so that handshakes are not in it; what these cost is a note.

Memory is counted as in bench.memory. Kernel memory is that of all sockets' ends, the crowd's too; the server's share is
taken to be a half, and three of four where HAProxy and the edge have a connection of their own.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from bench.account import cpu_ns, kernel_bytes, rss_bytes
from bench.cost import cost
from bench.crowd import crowd
from bench.peers import MOUNT, haproxy, icecast, nginx
from bench.report import Goal, arguments, machine, middle, report, shown
from bench.room import run
from bench.site import PUSH, site

GOALS = [
    Goal("cpu_vs_nginx", "CPU a listener-second, over nginx with nchan", "", at_most=1.2),
    Goal("cpu_vs_icecast", "CPU a listener-second, over Icecast", "", at_most=0.7),
    Goal("rss_bytes", "own memory a listener", "B"),
    Goal("kernel_bytes", "kernel memory a listener", "B"),
]
SERVER_CORE, REST_CORE = 0, 1
STEPS = 4
BLOCK_S = STEPS * 0.24
PATIENCE_S = 8.0
BLOCK_BYTES = 4_150
"""Of ours: 3,840 bytes of Opus, the fMP4 around them and the header; each round prints what it really was."""


@dataclass(frozen=True)
class Door:
    """Where listeners come: the kind of crowd, which processes serve it, and its share of all sockets' ends."""

    kind: str
    port: int
    path: str
    pids: list[int]
    joins_per_s: float
    share: float = 0.5


@dataclass(frozen=True)
class Taken:
    """What a listener takes: CPU in microseconds a second, bytes of own and of kernel memory, CPU of a handshake."""

    us: float
    rss: float
    kernel: float
    join_us: float
    lag_ms: float
    block_bytes: float


@asynccontextmanager
async def in_process() -> AsyncIterator[Door]:
    """Run an edge that speaks TLS itself."""
    async with site(cores=[SERVER_CORE], rest=REST_CORE, block_steps=STEPS, tls=True) as place:
        await place.until_block_steps(STEPS)
        yield Door("push", place.port, PUSH, place.pids, 2_000)


@asynccontextmanager
async def behind_haproxy() -> AsyncIterator[Door]:
    """Run an edge and HAProxy before it."""
    async with site(cores=[SERVER_CORE], rest=REST_CORE, block_steps=STEPS) as place:
        await place.until_block_steps(STEPS)
        async with haproxy(SERVER_CORE, upstream=f"127.0.0.1:{place.port}") as front:
            yield Door("push", front.tls_port, PUSH, [*place.pids, *front.pids()], 2_000, share=0.75)


@asynccontextmanager
async def nchan() -> AsyncIterator[Door]:
    """Run nginx with nchan, into which a block is published as often as an edge sends one."""
    async with nginx(SERVER_CORE, nchan=True) as peer, peer.publisher() as publisher, asyncio.TaskGroup() as tasks:

        async def publish() -> None:
            due = time.monotonic()
            while True:
                await publisher.publish(bytes(BLOCK_BYTES))
                due += BLOCK_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))

        publishing = tasks.create_task(publish())
        yield Door("websocket", peer.tls_port, peer.subscribe, peer.pids(), 2_000)
        publishing.cancel()


@asynccontextmanager
async def its_icecast() -> AsyncIterator[Door]:
    """Run Icecast with its own TLS."""
    async with icecast(SERVER_CORE, feed_core=REST_CORE, feed="mp3") as peer:
        yield Door("http", peer.tls_port, MOUNT, peer.pids(), 800)


WAYS: dict[str, Callable[[], AbstractAsyncContextManager[Door]]] = {
    "in process": in_process,
    "behind HAProxy": behind_haproxy,
    "nginx": nchan,
    "Icecast": its_icecast,
}


async def taken(way: Callable[[], AbstractAsyncContextManager[Door]], count: int) -> Taken:
    """Return what each of ``count`` listeners takes."""
    async with way() as door:
        await asyncio.sleep(1.0)
        rss, kernel, used = rss_bytes(door.pids), kernel_bytes(), cpu_ns(door.pids)
        async with crowd(
            door.kind,
            door.port,
            count,
            path=door.path,
            core=REST_CORE,
            rate=door.joins_per_s,
            in_flight=count,
            tls=True,
            patience_s=PATIENCE_S,
        ) as listeners:
            await listeners.arrived(60)
            used = cpu_ns(door.pids) - used
            await asyncio.sleep(2.0)
            measured = await cost(listeners, door.pids, steps=STEPS)
            rss, kernel = rss_bytes(door.pids) - rss, kernel_bytes() - kernel
    ours = door.kind == "push"
    return Taken(
        us=measured.us,
        rss=rss / count,
        kernel=kernel / count * door.share,
        join_us=used / count / 1e3,
        lag_ms=measured.window.spread("lag_us").at(0.5) / 1e3 if ours else 0.0,
        block_bytes=measured.block_bytes if ours else 0.0,
    )


def told(name: str, rounds: list[Taken]) -> str:
    """Return a line about one way."""
    parts = [
        f"{shown([each.us for each in rounds])} us of CPU a second",
        f"own memory {shown([each.rss for each in rounds])} B",
        f"kernel {shown([each.kernel for each in rounds])} B",
        f"until all are in {shown([each.join_us for each in rounds])} us each",
    ]
    if rounds[0].block_bytes:
        oldest = rounds[-1].lag_ms / 1e3 + BLOCK_S - 0.24
        parts.append(
            f"blocks of {rounds[-1].block_bytes:.0f} B; a chunk is at the listener {rounds[-1].lag_ms / 1e3:.3f} to "
            f"{oldest:.3f} s after it is due (p50)"
        )
    return f"{name}: {', '.join(parts)}"


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    count, rounds = (300, 1) if options.quick else (8_000, 5)
    before = machine()
    found: dict[str, list[Taken]] = {name: [] for name in WAYS}
    for number in range(rounds):
        for name, way in WAYS.items():
            found[name].append(await taken(way, count))
            print(f"  round {number + 1}, {name}: {found[name][-1]}", flush=True)
    cpu = {name: [each.us for each in rounds_of] for name, rounds_of in found.items()}
    ratios = {
        (ours, its): [a / b for a, b in zip(cpu[ours], cpu[its], strict=True)]
        for ours in ("in process", "behind HAProxy")
        for its in ("nginx", "Icecast")
    }
    best = min(("in process", "behind HAProxy"), key=lambda name: middle(cpu[name]))
    figures = {
        "cpu_vs_nginx": middle(ratios[best, "nginx"]),
        "cpu_vs_icecast": middle(ratios[best, "Icecast"]),
        "rss_bytes": round(middle([each.rss for each in found[best]])),
        "kernel_bytes": round(middle([each.kernel for each in found[best]])),
    }
    notes = [f"{count:,} listeners, {rounds} rounds: median (least to most); the figures above are for TLS {best}"]
    notes += [f"{ours} over {its}: {shown(values)}" for (ours, its), values in ratios.items()]
    notes += [told(name, rounds_of) for name, rounds_of in found.items()]
    detail = {name: [vars(each) for each in rounds_of] for name, rounds_of in found.items()}
    return report("tls", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=600) else 1)
