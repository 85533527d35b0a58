"""Joins: 10,000 listeners come as fast as the server lets them in, beside Icecast and nginx; and 3,000 a second.

A join is a new TCP connection, the request, and the first byte of audio: for our push the WebSocket handshake and the
first whole media frame (hello, state and initialisation come before it), for Icecast the first byte of the stream's
body. For nginx it is a static file of 2 kB, read to its end, over a connection of its own. Who has joined stays and is
served, the file's readers go. All servers run on the same core, one after the other in each round; the crowd is on the
other. At most 500 wait at once, but at Icecast: its listen queue holds five, so that 1,500 a second is the most that it
takes without losing some for seconds.

A server's joins a second and core are counted twice: by the clock, from the first connect to the last first byte, and
by the CPU that the server used. Ratios are the smaller of the two.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.crowd import crowd
from bench.peers import MOUNT, icecast, nginx
from bench.report import Goal, arguments, machine, middle, report, shown
from bench.room import run
from bench.site import PUSH, site

GOALS = [
    Goal("vs_icecast", "joins a second and core, over Icecast's", "", at_least=3.0),
    Goal("vs_nginx", "joins a second and core, over nginx's static files", "", at_least=0.5),
    Goal(
        "first_byte_p99_ms", "connect to first audio byte at 3,000 joins a second, 99th percentile", "ms", at_most=250
    ),
]
SERVER_CORE, CROWD_CORE = 0, 1
RATE = 3_000
ICECAST_RATE = 1_500
PATIENCE_S = 3.0
"""Who has heard nothing for so long connects once more: of some that Icecast's queue drops, it never hears again."""
BURST_BYTES = 4_096
"""What Icecast gives at once; our push begins with four steps, 3,840 bytes of Opus."""


@dataclass(frozen=True)
class Server:
    """One server and how a crowd joins it."""

    kind: str
    port: int
    path: str
    in_flight: int
    rate: float
    cpu_ns: Callable[[], int]


@dataclass(frozen=True)
class Joins:
    """One round at one server."""

    per_s: float
    per_cpu_s: float
    first_byte_ms: dict[str, float]
    retried: int


async def joins(server: Server, count: int) -> Joins:
    """Let ``count`` join; returns once all have."""
    used = server.cpu_ns()
    async with crowd(
        server.kind,
        server.port,
        count,
        path=server.path,
        core=CROWD_CORE,
        rate=server.rate,
        in_flight=server.in_flight,
        patience_s=PATIENCE_S,
    ) as listeners:
        said = await listeners.arrived(60.0)
        used = server.cpu_ns() - used
    await asyncio.sleep(1.0)  # what the leaving costs is nobody's join
    return Joins(count / said.arrival_s, count / (used / 1e9), said.spread("first_byte_us").ms(), said["retried"])


async def measure(count: int, rounds: int, note: Callable[[str], None]) -> dict[str, list[Joins]]:
    """Return the rounds of each server, and of ours at a fixed rate (``paced``)."""
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(site(cores=[SERVER_CORE], rest=CROWD_CORE))
        cast = await stack.enter_async_context(icecast(SERVER_CORE, feed_core=CROWD_CORE, burst_bytes=BURST_BYTES))
        web = await stack.enter_async_context(nginx(SERVER_CORE))
        servers = {
            "push": Server("push", ours.port, PUSH, 500, 0, ours.cpu_ns),
            "icecast": Server("http", cast.port, MOUNT, count, ICECAST_RATE, cast.cpu_ns),
            "nginx": Server("fetch", web.port, web.file, 500, 0, web.cpu_ns),
            "paced": Server("push", ours.port, PUSH, count, RATE, ours.cpu_ns),
        }
        found: dict[str, list[Joins]] = {name: [] for name in servers}
        for number in range(rounds):
            for name, server in servers.items():
                found[name].append(await joins(server, count))
                note(f"round {number + 1}, {name}: {found[name][-1]}")
        return found


def ratio(found: dict[str, list[Joins]], peer: str) -> list[float]:
    """Return, by round, our joins over a peer's: by the clock or by CPU, whichever is less."""
    pairs = zip(found["push"], found[peer], strict=True)
    return [min(ours.per_s / its.per_s, ours.per_cpu_s / its.per_cpu_s) for ours, its in pairs]


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    count, rounds = (1_000, 1) if options.quick else (10_000, 5)
    before = machine()
    found = await measure(count, rounds, lambda line: print(f"  {line}", flush=True))
    paced = [each.first_byte_ms["p99"] for each in found["paced"]]
    figures = {
        "vs_icecast": middle(ratio(found, "icecast")),
        "vs_nginx": middle(ratio(found, "nginx")),
        "first_byte_p99_ms": middle(paced),
    }
    notes = [f"{count:,} joins, {rounds} rounds; medians, with the least and the most"]
    for name in ("push", "icecast", "nginx"):
        rounds_of = found[name]
        notes.append(
            f"{name}: {shown([each.per_s for each in rounds_of])} joins a second by the clock, "
            f"{shown([each.per_cpu_s for each in rounds_of])} a CPU second; first byte p50 "
            f"{shown([each.first_byte_ms['p50'] for each in rounds_of])} ms, "
            f"p99 {shown([each.first_byte_ms['p99'] for each in rounds_of])} ms; "
            f"{sum(each.retried for each in rounds_of)} had to try again"
        )
    notes += [
        f"at {RATE:,} a second: first byte p50 {shown([each.first_byte_ms['p50'] for each in found['paced']])} ms, "
        f"p99 {shown(paced)} ms; {shown([each.per_s for each in found['paced']])} a second came",
        f"over Icecast {shown(ratio(found, 'icecast'))}, over nginx {shown(ratio(found, 'nginx'))}",
        "the first audio byte is 0 to 0.24 s younger than the program; mouth to ear: bench.latency",
    ]
    detail = {name: [vars(each) for each in rounds_of] for name, rounds_of in found.items()}
    return report("join", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=360) else 1)
