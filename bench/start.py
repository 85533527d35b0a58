"""How long a newcomer waits: from the start of ``stentor demo`` to the first speech at a listener, and click to sound.

The start is timed on an empty data folder, from the spawn of the process to the arrival of the first block with speech
at a push listener, which joins as soon as the room is there. The click is timed inside Chromium, in a fresh context
(nothing cached) on a room on air: from the click on the page's button to the first sound its <audio> element plays.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.browser import chromium, open_listener
from bench.report import Goal, arguments, machine, percentile, report
from bench.room import bench_room, run
from bench.tones import Hum
from stentor.demo.room import ROOM
from tests.fakes.installation import Installation, installation
from tests.fakes.listener import push_listener

GOALS = [
    Goal("start_s", "`stentor demo` to the first sound, median", "s", at_most=8.0),
    Goal("click_to_sound_s", "click to sound in Chromium, median", "s", at_most=1.5),
]
_LOUD = 0.05
_WAITED = "window.__ear.playing === null ? null : window.__ear.playing - window.__ear.clicked"


async def _until_there(site: Installation) -> None:
    while True:
        answer = await site.get(f"/r/{ROOM}/state.json")
        if answer.status == 200 and json.loads(answer.body)["state"] in {"lobby", "live"}:
            return
        await asyncio.sleep(0.02)


async def one_start() -> tuple[float, float]:
    """Return seconds until ready, and until the first speech is heard."""
    loud: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory(prefix="stentor-bench-", ignore_cleanup_errors=True) as folder:
        begun = time.time()
        async with installation(Path(folder), verb="demo") as site, asyncio.timeout(60):
            ready = time.time() - begun
            await _until_there(site)
            blocks = 0

            def hear(pcm: NDArray[np.float32], _at: float) -> None:
                nonlocal blocks
                blocks += 1
                if float(np.abs(pcm).max()) > _LOUD:
                    loud.append((blocks, time.time()))

            async with push_listener(site.audience_url, ROOM, on_sound=hear) as listener:
                await listener.until(lambda it: bool(it.states and it.states[-1]["on_air"]), "never on air")
                # The block in hand when the state came may still be the hold sound.
                on_air = blocks + 1
                await listener.until(lambda _: bool(loud) and loud[-1][0] > on_air, "no speech")
    return ready, next(at for block, at in loud if block > on_air) - begun


async def clicks(rounds: int) -> list[float]:
    """Return the seconds from click to sound."""
    found = []
    async with bench_room() as room, chromium() as browser:
        await room.seat("Hum", Hum())
        await room.go_on_air()
        await asyncio.sleep(3.0)
        for _ in range(rounds):
            context, page = await open_listener(browser, room.page)
            async with asyncio.timeout(15):
                # Not wait_for_function: the page's policy allows no eval.
                while True:
                    waited = await page.evaluate(_WAITED)
                    if waited is not None:
                        break
                    await asyncio.sleep(0.05)
            found.append(float(waited))
            await context.close()
    return found


async def main() -> bool:
    """Measure and report."""
    parser = arguments(__doc__.splitlines()[0] if __doc__ else "")
    options = parser.parse_args()
    before = machine()
    starts = [await one_start() for _ in range(2 if options.quick else 5)]
    clicked = await clicks(3 if options.quick else 10)
    heard = [sound for _, sound in starts]
    figures = {
        "start_s": round(percentile(heard, 0.5), 2),
        "click_to_sound_s": round(percentile(clicked, 0.5), 2),
    }
    notes = [
        f"{len(starts)} starts: " + ", ".join(f"{sound:.2f} s (ready at {ready:.2f})" for ready, sound in starts),
        f"{len(clicked)} clicks: " + ", ".join(f"{each:.2f}" for each in clicked),
    ]
    detail = {"starts": starts, "clicks": clicked}
    return report("start", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=240) else 1)
