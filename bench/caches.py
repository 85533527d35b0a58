"""What caches before an edge save it and cost its players: requests upstream an object, and the delay of a reload.

    .venv/bin/python -m bench.caches [--json FILE] [--quick]

One edge; before it Varnish and nginx with the files of deploy/, in turn, for some rounds. 200 LL-HLS players (a process
of their own, HTTP/1.1, each with a ticket of its own) follow the playlist by blocking reloads and fetch each part. One
more player asks the edge itself; a delay is how much later than that one a player knows of the same part. ``direct`` is
the same crowd without a cache.
"""

import asyncio
import json
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from bench.report import Goal, arguments, machine, middle, percentile, report, shown
from tests.fakes.caches import cache
from tests.fakes.crowd import Counted, crowd, delays_ms
from tests.fakes.hls_player import exchange
from tests.fakes.wav_room import WavRoom, wav_room

FRONTS = ("direct", "varnish", "nginx")
PLAYERS = 200
GOALS = [
    Goal("varnish_upstream_per_object", "requests upstream an object, Varnish", "", at_most=1.02),
    Goal("nginx_upstream_per_object", "requests upstream an object, nginx", "", at_most=1.02),
    *(
        Goal(f"{front}_delay_{name}_ms", f"a blocking reload, {front}, {name}", "ms")
        for front in FRONTS
        for name in ("p50", "p99")
    ),
]


def play(url: str, direct: str, seconds: float) -> None:
    """Be the crowd: print the delays in milliseconds and whatever went wrong, as JSON."""
    players, beside = asyncio.run(crowd(url, direct, players=PLAYERS, seconds=seconds))
    problems = [problem for player in players for problem in player.problems]
    sys.stdout.write(json.dumps({"delays_ms": delays_ms(players, beside), "problems": problems}))


async def one_round(room: WavRoom, front: str, seconds: float) -> tuple[float, list[float]]:
    """Return the requests upstream an object, and the delays."""
    counted = Counted(room.edge)
    with tempfile.TemporaryDirectory(prefix="stentor-bench-") as folder:
        before = nullcontext(f"http://127.0.0.1:{room.port}")
        with before if front == "direct" else cache(front, Path(folder), room.port) as url:
            crowd_process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.caches", "--play", f"{url}/r/demo", room.url, str(seconds)),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await crowd_process.communicate()
    counted.stop()
    said = json.loads(output)
    if said["problems"]:
        raise RuntimeError(f"{front}: {said['problems'][:3]}")
    return counted.per_object(), said["delays_ms"]


async def measure(rounds: int, seconds: float) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return upstream requests an object, and delays, of each front: the rounds alternate."""
    upstream: dict[str, list[float]] = {front: [] for front in FRONTS}
    delays: dict[str, list[float]] = {f"{front}_{name}": [] for front in FRONTS for name in ("p50", "p99")}
    async with wav_room() as room:
        async with exchange(room.url) as http:
            await http.get("/r/demo/aac.m3u8")
        for _ in range(rounds):
            for front in FRONTS:
                per_object, found = await one_round(room, front, seconds)
                upstream[front].append(per_object)
                delays[f"{front}_p50"].append(percentile(found, 0.5))
                delays[f"{front}_p99"].append(percentile(found, 0.99))
    return upstream, delays


def main() -> int:
    """Measure and report; 1 when a goal is missed."""
    options = arguments(__doc__.split("\n")[0]).parse_args()
    before = machine()
    upstream, delays = asyncio.run(measure(1, 4.0) if options.quick else measure(5, 10.0))
    figures = {f"{front}_upstream_per_object": middle(rounds) for front, rounds in upstream.items()}
    for name, rounds in delays.items():
        front, which = name.split("_")
        figures[f"{front}_delay_{which}_ms"] = middle(rounds)
    notes = [f"{name}: {shown(rounds)} ms" for name, rounds in delays.items()]
    detail = {"upstream_per_object": upstream, "delay_ms": delays, "players": PLAYERS}
    met = report("caches", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)
    return 0 if met else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--play"]:
        play(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        sys.exit(main())
