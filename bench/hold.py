"""How many listeners two cores hold, the crowd itself included: 40,000 at 32 kbit/s, 0.96 s a block, for two minutes.

Three edges share one port, as descriptors (20,000 a process) ask for; they, the crowd, the bus and the origin share
both cores, so the crowd sleeps between its looks. Nobody may be dropped or get less than the full rate. The lag is
counted from the end of a block's last step to its last byte at a listener.
"""

import asyncio
import sys

from bench.cost import FULL_RATE, STEP_S
from bench.crowd import PER_PROCESS, crowd
from bench.report import Goal, arguments, machine, report
from bench.room import run
from bench.site import PUSH, site

GOALS = [
    Goal("held", "listeners held at the full rate", "", at_least=40_000),
    Goal("dropped", "of them dropped, or short of it", "", at_most=0),
    Goal("lag_p99_s", "delivery lag beyond the block, 99th percentile", "s", at_most=0.5),
]
BLOCK_STEPS = 4
JOINS_PER_S = 3_000
_REST_US = 2_000
_SETTLE_S = 5.0


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    count, seconds = (500, 5.0) if options.quick else (40_000, 120.0)
    edges = max(2, -(-count // PER_PROCESS))
    async with site(cores=[None] * edges, block_steps=BLOCK_STEPS) as place:
        await place.until_block_steps(BLOCK_STEPS)
        async with crowd(
            "push", place.port, count, path=PUSH, processes=edges, rate=JOINS_PER_S, in_flight=count, rest_us=_REST_US
        ) as listeners:
            arrival = await listeners.arrived(90, all_of_them=False)
            await asyncio.sleep(_SETTLE_S)
            used = place.cpu_ns()
            window = await listeners.window(seconds)
            used = place.cpu_ns() - used
            at_edges = await place.listeners()
    lag, got = window.spread("lag_us"), window.spread("bytes")
    least = FULL_RATE * (window.seconds - 1.5 * BLOCK_STEPS * STEP_S)
    short = sum(each for value, each in got.histogram if value < least)
    figures = {
        "held": window["open"] - short,
        "dropped": count - window["open"] + short,
        "lag_p99_s": round(lag.at(0.99) / 1e6, 3),
    }
    notes = [
        f"{count} listeners came at {JOINS_PER_S} a second within {arrival.arrival_s:.1f} s, held for {seconds:.0f} s",
        window.brief(),
        f"bytes a second, least and mean: {got.smallest / seconds:.0f}, {got.total / got.count / seconds:.0f}",
        f"lag in ms: {lag.ms()}; after the first listener has the block: {window.spread('late_us').ms()}",
        f"a chunk is at the listener up to {(BLOCK_STEPS - 1) * STEP_S:.2f} s + lag after it is due",
        f"{edges} edges with {at_edges} listeners, {used / 1e9 / seconds * 100:.0f} % of a core in all",
    ]
    detail = {"lag_ms": lag.ms(), "arrival_s": arrival.arrival_s, "edges": at_edges}
    return report("hold", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=300) else 1)
