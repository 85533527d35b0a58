"""What the fronts of deploy/ cost a listener, beside an edge that speaks TLS itself.

The same listeners come to each in turn, over TLS 1.3 to the front, which reaches one edge without TLS. CPU and memory
are those of edge and front together, on one core; kernel memory counts the listeners' own ends, too (see bench.tls).
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from bench.report import Goal, arguments, machine, report
from bench.room import run
from bench.site import PUSH, site
from bench.tls import REST_CORE, SERVER_CORE, STEPS, Door, Taken, in_process, taken, told
from tests.fakes.certificates import write_certificate
from tests.fakes.fronts import caddy_command, haproxy_command, nginx_command
from tests.fakes.installation import descendants, free_ports

GOALS = [Goal(f"{name}_us", f"CPU a listener-second behind {name}", "us") for name in ("nginx", "haproxy", "caddy")]
LISTENERS = 500
Command = Callable[[Path, int, int, int, tuple[str, str]], list[str]]


@asynccontextmanager
async def behind(command_of: Command) -> AsyncIterator[Door]:
    """Run an edge, and a front before it."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="stentor-front-") as name:
        folder = Path(name)
        write_certificate(folder)
        async with site(cores=[SERVER_CORE], rest=REST_CORE, block_steps=STEPS) as place:
            await place.until_block_steps(STEPS)
            command = [
                "taskset",
                "-c",
                str(SERVER_CORE),
                *command_of(folder, port, place.port, place.port, ("127.0.0.1", "localhost")),
            ]
            front = await asyncio.create_subprocess_exec(*command)
            try:
                await asyncio.sleep(2.0)
                pids = [front.pid, *(pid for pid, _ in descendants(front.pid))]
                yield Door("push", port, PUSH, [*place.pids, *pids], 500)
            finally:
                front.terminate()
                await front.wait()


WAYS: dict[str, Callable[[], AbstractAsyncContextManager[Door]]] = {
    "in process": in_process,
    "nginx": partial(behind, nginx_command),
    "haproxy": partial(behind, haproxy_command),
    "caddy": partial(behind, caddy_command),
}


async def main() -> bool:
    """Measure and report."""
    options = arguments("What the fronts of deploy/ cost a listener.").parse_args()
    rounds = 1 if options.quick else 3
    before = machine()
    found: dict[str, list[Taken]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            found[name].append(await taken(way, LISTENERS))
    figures = {f"{name}_us": sum(each.us for each in found[name]) / rounds for name in ("nginx", "haproxy", "caddy")}
    notes = [f"{LISTENERS} listeners, {rounds} rounds", *(told(name, each) for name, each in found.items())]
    return report("fronts", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=600) else 1)
