"""Tickets: how many are made and checked a second, in the pure module and through the port, and what waiters cost.

The port is that of one real edge on a core of its own; wrk on the other one asks for tickets of a room for nobody, by
POST on 64 kept connections: half of the requests ask for a first ticket, the others come back with one. A rate is the
smaller of two: by the clock, and by the CPU that the edge used. Then it goes on until 1,000,000 tickets were made, and
what the edge's memory has grown by meanwhile is what the waiters cost.
"""

import asyncio
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.report import Goal, arguments, machine, middle, report, shown
from bench.room import run
from bench.site import ROOM, Site, site
from stentor.clock import NS_PER_S, UnixNs
from stentor.edge.tickets import Tickets, new_holder
from stentor.room.documents import Dials
from stentor.room.door import Place, Ticket

GOALS = [
    Goal("per_s", "tickets made and checked a second and core, in the pure module", "", at_least=100_000),
    Goal("port_per_s", "tickets made or checked a second and core, through the port", "", at_least=10_000),
    Goal("rss_mb", "memory that 1,000,000 waiters take", "MB", at_most=1.0),
]
EDGE_CORE, CROWD_CORE = 0, 1
WAITERS, FEW = 1_000_000, 50_000
_HELD = 200
_RINGS_S = 50.0
"""Until then the edge's rings of chunks fill, whoever waits."""
_LUA = """
local tickets = {%s}
local turn = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  turn = turn + 1
  if turn %% 2 == 0 then return wrk.format(nil, nil, nil, "{}") end
  return wrk.format(nil, nil, nil, '{"ticket":"' .. tickets[turn %% #tickets + 1] .. '"}')
end
"""


@dataclass(frozen=True)
class Round:
    """So many requests in so many seconds, of the clock and of the edge's CPU."""

    requests: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Return the smaller rate."""
        return self.requests / max(self.seconds, self.cpu_s)


def pure(pairs: int) -> float:
    """Return how many tickets a second can be made and checked."""
    tickets, now_s = Tickets(b"k" * 32), 1_795_000_000
    now = UnixNs(now_s * NS_PER_S)
    begun = time.perf_counter()
    for number in range(pairs):
        text = tickets.text(ROOM, Ticket(Place(now_s, number & 63), new_holder(), now_s))
        if tickets.read(ROOM, text, now) is None:
            raise AssertionError("a ticket that was just made is not good")
    return pairs / (time.perf_counter() - begun)


async def ask(place: Site, script: Path, seconds: float) -> Round:
    """Have wrk ask for so long."""
    before, begun = place.cpu_ns(), time.monotonic()
    wrk = await asyncio.create_subprocess_exec(
        "taskset", "-c", str(CROWD_CORE), "wrk", "-t", "1", "-c", "64", "-d", f"{seconds:.0f}s", "-s", str(script),
        f"http://127.0.0.1:{place.port}/r/{ROOM}/ticket",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = (await wrk.communicate())[0].decode()
    took = re.search(r"(\d+) requests in", said)
    if wrk.returncode or took is None or "Non-2xx" in said or "Socket errors" in said:
        raise AssertionError(f"wrk was not answered as it should:\n{said}")
    return Round(int(took[1]), time.monotonic() - begun, (place.cpu_ns() - before) / 1e9)


async def through_the_port(*, quick: bool) -> tuple[list[float], float, int]:
    """Return the rates of some rounds, the memory that waiters took (MB), and how many they were."""
    settings: dict[str, object] = {"ticket_secret": "s" * 32, "allow": "127.0.0.0/8"}
    async with site(cores=[EDGE_CORE], rest=CROWD_CORE, block_steps=16, settings=settings) as place:
        place.document = place.document.model_copy(update={"door": Dials(cap=0)})
        await place.bus.put("rooms", ROOM, place.document.to_bytes())
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            held = await first_tickets(place)
            script.write(_LUA % ",".join(f'"{ticket}"' for ticket in held))
            script.flush()
            path = Path(script.name)
            await asyncio.sleep(0.0 if quick else _RINGS_S)
            await ask(place, path, 2.0 if quick else 10.0)  # what the first of everything takes is no waiter's
            rates, made, waiters, before = [], 0, FEW if quick else WAITERS, place.rss_bytes()
            while made < waiters:
                each = await ask(place, path, 2.0 if quick else 20.0)
                rates.append(each.per_s)
                made += each.requests // 2
            return rates, (place.rss_bytes() - before) / 1e6, made


async def first_tickets(place: Site) -> list[str]:
    """Return tickets of people in line, once there is a door."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{place.port}/r/{ROOM}/") as client:
        async with asyncio.timeout(10):
            while not (await client.get("state.json")).json()["door"]["guarded"]:  # noqa: ASYNC110 - it rings no bell
                await asyncio.sleep(0.1)
        said = [json.loads((await client.post("ticket")).text) for _ in range(_HELD)]
    return [answer["ticket"] for answer in said if not answer["admitted"]]


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    alone = [pure(50_000 if options.quick else 300_000) for _ in range(3)]
    rates, rss_mb, made = await through_the_port(quick=options.quick)
    figures = {"per_s": middle(alone), "port_per_s": middle(rates), "rss_mb": round(max(0.0, rss_mb), 2)}
    notes = [f"pure: {shown(alone)} a second", f"port: {shown(rates)} a second; {made:,} waiters took {rss_mb:.2f} MB"]
    return report("tickets", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=400) else 1)
