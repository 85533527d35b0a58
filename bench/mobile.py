"""Chromium on a mobile line: 150 ms round trip, 2 % loss, 200 kbit/s, and outages of 5 s.

Chromium runs in a network namespace of its own behind `bench.line`, which loses, delays and cuts the packets under TCP.
What the page's <audio> element does is seen from outside the player: its position every 40 ms. It stalls while the
position does not move. How far it is behind the stage is the room's clock less the position: page and server share a
clock here. The page's own report (its count of interruptions, and its beacons) is printed beside it.
"""

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from bench.browser import chromium, open_listener
from bench.line import LineSettings, MobileLine, mobile_line
from bench.report import Goal, arguments, machine, percentile, report
from bench.room import ROOM, bench_room, run
from bench.tones import ToneSource

GOALS = [
    Goal("stall_ratio", "stalls outside the outages, share of the time", "", at_most=0.005),
    Goal("latency_p50_s", "behind the stage, median", "s", at_most=4.0),
    Goal("clicks", "returns that needed a click", "", at_most=0),
    Goal("recovery_p50_s", "sound again after the line is back, median", "s"),
    Goal("stall_ratio_recovery", "the same with the recoveries in it", ""),
]
OUTAGE_S = 5.0
SETTLE_S = 20.0
APART_S = 40.0
PATIENCE_S = 20.0
_STILL = 0.3
"""A position that moves by less than this share of the time stands still."""

WATCH = """
setInterval(() => {
  const player = window.stentor?.player;
  if (!player || player.status === "idle") return;
  (window.watched ??= []).push([Date.now() / 1000, player.audio.currentTime, player.target ?? 0, player.buffered]);
}, 40);
addEventListener("click", () => { window.clicks = (window.clicks ?? 0) + 1; }, true);
const fetched = window.fetch;
window.fetch = (url, options) => {
  if (String(url).endsWith("/beacon")) (window.beacons ??= []).push(JSON.parse(options.body));
  return fetched(url, options);
};
"""

Span = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """One look at the element: Unix seconds, its position, the distance that the player wants, what is buffered."""

    at: float
    position: float
    target: float
    buffered: float


@dataclass(frozen=True)
class Stall:
    """The position stood still: from, to (Unix seconds)."""

    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        """Return how long."""
        return self.ended - self.begun


def stalls_of(looks: list[Look], least_s: float = 0.1) -> list[Stall]:
    """Return when the position stood still for longer than a look or two, after it first moved."""
    found: list[Stall] = []
    begun: float | None = None
    moved = False
    for before, after in zip(looks, looks[1:], strict=False):
        still = after.position - before.position < _STILL * (after.at - before.at)
        moved = moved or not still
        if not moved:
            continue
        if still and begun is None:
            begun = before.at
        elif not still and begun is not None:
            found.append(Stall(begun, before.at))
            begun = None
    if begun is not None:
        found.append(Stall(begun, looks[-1].at))
    return [stall for stall in found if stall.seconds >= least_s]


def skipped_s(looks: list[Look]) -> float:
    """Return how many seconds of the program were jumped over."""
    steps = ((b.position - a.position, b.at - a.at) for a, b in zip(looks, looks[1:], strict=False))
    return sum(moved - passed for moved, passed in steps if moved > 2 * passed + 0.1)


def judge(looks: list[Look], outages: list[Span]) -> dict[str, Any]:
    """Split the stalls: those that an outage began, up to the sound's return, and those that the line alone made."""
    stalls = stalls_of(looks)
    by_outage = {stall: (begun, ended) for stall in stalls for begun, ended in outages if begun <= stall.begun <= ended}
    own = [stall for stall in stalls if stall not in by_outage]
    recoveries = [max(0.0, stall.ended - ended) for stall, (_, ended) in by_outage.items()]
    outside_s = looks[-1].at - looks[0].at - sum(ended - begun for begun, ended in outages)
    return {
        "stall_ratio": round(sum(stall.seconds for stall in own) / outside_s, 5),
        "stall_ratio_recovery": round((sum(stall.seconds for stall in own) + sum(recoveries)) / outside_s, 5),
        "recovery_p50_s": round(percentile(recoveries, 0.5), 2) if recoveries else 0.0,
        "recoveries_s": [round(each, 2) for each in recoveries],
        "in_outage_s": [round(stall.seconds, 2) for stall in by_outage],
        "own_stalls": [(round(stall.begun - looks[0].at, 1), round(stall.seconds, 2)) for stall in own],
        "outside_s": round(outside_s, 1),
    }


async def playing(page: Page, limit_s: float) -> bool:
    """Wait until the page says that it plays; tell whether it did in time."""
    end = time.monotonic() + limit_s
    while await page.evaluate("window.stentor?.player.status") != "playing":
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.1)
    return True


async def suffer(line: MobileLine, page: Page, outages: int) -> int:
    """Cut the line so many times; return how often sound came back only after a click."""
    clicks = 0
    await asyncio.sleep(SETTLE_S)
    for _ in range(outages):
        await line.outage(OUTAGE_S)
        back = time.monotonic()
        if not await playing(page, PATIENCE_S):
            clicks += 1
            await page.get_by_test_id("listen").or_(page.get_by_test_id("stop-listening")).click()
        await asyncio.sleep(max(0.0, APART_S - OUTAGE_S - (time.monotonic() - back)))
    return clicks


async def measure(outages: int, settings: LineSettings, seed: int) -> dict[str, Any]:
    """Return what was seen of one listener."""
    async with mobile_line(settings, seed=seed) as line, bench_room(audience_host="0.0.0.0") as room:
        with tempfile.TemporaryDirectory(prefix="stentor-mobile-") as folder:
            program = Path(folder) / "chromium"
            program.write_text(f'#!/bin/sh\nexec {" ".join(line.command)} /usr/bin/chromium "$@"\n')
            program.chmod(0o755)
            await room.seat("Mouth", ToneSource(time.time))
            await room.go_on_air()
            zero_s = int(str((await room.api.call("GET", f"/rooms/{ROOM}"))["zero_ns"])) / 1e9
            address = room.page.replace("127.0.0.1", line.here)
            async with chromium(program=str(program)) as browser:
                _, page = await open_listener(browser, address, script=WATCH)
                await playing(page, 60.0)
                clicks = await suffer(line, page, outages)
                watched = await page.evaluate("window.watched")
                said = await page.evaluate(
                    "({...window.stentor.player, audio: undefined, beacons: window.beacons ?? []})"
                )
    looks = [Look(*each) for each in watched]
    first = next(b.at for a, b in zip(looks, looks[1:], strict=False) if b.position > a.position > 0)
    looks = [look for look in looks if look.at >= first]
    behind = [look.at - zero_s - look.position for look in looks]
    return {
        **judge(looks, line.outages),
        "latency_p50_s": round(percentile(behind, 0.5), 2),
        "latency_p95_s": round(percentile(behind, 0.95), 2),
        "target_p50_s": round(percentile([look.target for look in looks], 0.5), 2),
        "skipped_s": round(skipped_s(looks), 1),
        "clicks": clicks,
        "said": said,
        "outages": line.outages,
        "looks": [
            (round(look.at - first, 2), round(b, 2), *asdict(look).values())
            for look, b in zip(looks, behind, strict=True)
        ][::5],
        "line": {
            way: [each.passed, each.lost, each.refused, each.cut]
            for way, each in (("down", line.down_way), ("up", line.up_way))
        },
    }


async def main() -> bool:
    """Measure and report."""
    parser = arguments(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1, help="which packets are lost")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench.mobile: a network namespace and TUN devices need root")
    before = machine()
    found = await measure(1 if options.quick else 4, LineSettings(), options.seed)
    figures = {goal.key: found[goal.key] for goal in GOALS}
    said = found["said"]
    beacons = said["beacons"]
    notes = [
        f"{found['outside_s']} s outside the outages; stalls of the line's own (at, s): {found['own_stalls']}",
        f"without sound by the outages: {found['in_outage_s']} s, with the line back {found['recoveries_s']} s",
        f"behind the stage p95 {found['latency_p95_s']} s; the player wanted {found['target_p50_s']} s (median); "
        f"{found['skipped_s']} s of the program were jumped over",
        f"the page itself: {said['transport']}, {said['stalls']} interruptions, {said['latency_s']} s behind; "
        f"its beacons: {len(beacons)}, stalls {sum(each['stalls'] for each in beacons)}, "
        f"{sum(each['stall_ms'] for each in beacons)} ms, played {sum(each['played_ms'] for each in beacons)} ms, "
        f"joined after {[each['join_ms'] for each in beacons if each['join_ms'] is not None]} ms",
        f"packets passed, lost, refused by the queue, cut by outages: {found['line']}",
    ]
    return report("mobile", GOALS, figures, path=options.json, before=before, notes=notes, detail=found)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=420) else 1)
