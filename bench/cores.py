"""What a second edge process costs, and whether two that share a port share its listeners.

8,000 listeners, blocks of 0.24 s, first at one edge, then at two, in turns. Edges have a core each; the crowd, which
sleeps between its looks, runs beside them on both. Imbalance is the distance of an edge's share from the mean.
"""

import asyncio
import sys

from bench.cost import cost
from bench.crowd import crowd
from bench.report import Goal, arguments, machine, middle, report, shown
from bench.room import run
from bench.site import PUSH, site

GOALS = [
    Goal("cpu_ratio", "CPU a listener-second, two edges over one", "", at_most=1.1),
    Goal("imbalance", "an edge's distance from the mean, the largest", "", at_most=0.1),
]
JOINS_PER_S = 3_000
_REST_US = 2_000
_SETTLE_S = 3.0


async def measure(edges: int, count: int) -> tuple[float, list[int], str]:
    """Return CPU in us a listener-second, the listeners of each edge, and the latency."""
    async with (
        site(cores=list(range(edges))) as place,
        crowd("push", place.port, count, path=PUSH, rate=JOINS_PER_S, in_flight=count, rest_us=_REST_US) as listeners,
    ):
        await listeners.arrived(60)
        await asyncio.sleep(_SETTLE_S)
        await place.until_block_steps(1)
        measured = await cost(listeners, place.pids, steps=1)
        return measured.us, await place.listeners(), measured.mouth_to_ear


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    count, rounds = (500, 1) if options.quick else (8_000, 5)
    found = []
    for number in range(rounds):
        one, two = await measure(1, count), await measure(2, count)
        found.append((one, two))
        print(f"round {number + 1}: one edge {one[0]:.1f} us, two {two[0]:.1f} us with {two[1]} listeners")
    ratios = [two[0] / one[0] for one, two in found]
    uneven = [max(abs(each - count / 2) for each in two[1]) / (count / 2) for _, two in found]
    notes = [
        f"{count} listeners, {rounds} rounds; median (least to most): ratio {shown(ratios)}",
        *(
            f"{name}: {shown([each[at][0] for each in found])} us a listener-second; "
            f"a chunk is at the listener {found[-1][at][2]} after it is due"
            for at, name in enumerate(("one edge", "two edges"))
        ),
    ]
    figures = {"cpu_ratio": middle(ratios), "imbalance": round(max(uneven), 3)}
    return report("cores", GOALS, figures, path=options.json, before=before, notes=notes, detail=found)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=400) else 1)
