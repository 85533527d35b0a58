"""Mouth to ear on loopback, by audio markers: push and LL-HLS in Chromium, and from speaker to speaker.

A synthetic speaker sends a short tone every second over WebRTC. A tone's time of leaving is that of its first sample
at the microphone, 20 ms before its packet can be sent. It is heard when the page's <audio> element plays it; the second
speaker and the Python listener hear a sample when it could be played at the earliest, without any buffer.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.browser import chromium, heard, open_listener
from bench.report import Goal, arguments, machine, percentile, report
from bench.room import ROOM, bench_room, run, silence
from bench.tones import ToneFinder, ToneSource, latencies
from stentor.demo.peer import Heard
from stentor.demo.whip import SpeakerEvents
from stentor.media.decoder import OpusDecoder
from stentor.media.grid import SAMPLE_RATE_HZ
from tests.fakes.listener import push_listener

GOALS = [
    Goal("push_p50_s", "push in Chromium, median", "s", at_most=1.0),
    Goal("push_p99_s", "push in Chromium, 99th percentile", "s", at_most=1.4),
    Goal("hls_p50_s", "LL-HLS (hls.js), median", "s", at_most=2.2),
    Goal("stage_p50_s", "speaker to speaker, median", "s", at_most=0.2),
]
SETTLE_S = 15.0
_LONGEST_S = 4.5


@dataclass
class StageEar:
    """What a speaker hears of the others: decodes each packet when it arrives."""

    finder: ToneFinder = field(default_factory=ToneFinder)
    _decoder: OpusDecoder = field(default_factory=OpusDecoder)

    def __call__(self, packet: Heard) -> None:
        """Take a packet of the mix-minus."""
        came_s = time.time() - (time.monotonic_ns() - packet.arrival_ns) / 1e9
        self.finder.feed(self._decoder.decode(packet.payload)[0], came_s)


async def measure(seconds: float) -> dict[str, list[float]]:
    """Return the delays of each way in seconds."""
    mouth, stage, plain = ToneSource(time.time), StageEar(), ToneFinder()

    def played_at_once(pcm: NDArray[np.float32], ended_s: float) -> None:
        plain.feed(pcm, ended_s + len(pcm) / SAMPLE_RATE_HZ)

    async with bench_room() as room, chromium() as browser:
        await room.seat("Mouth", mouth)
        await room.seat("Ear", silence, SpeakerEvents(on_heard=stage))
        await room.go_on_air()
        async with push_listener(room.site.audience_url, ROOM, on_sound=played_at_once):
            _, push = await open_listener(browser, f"{room.page}?via=push")
            _, hls = await open_listener(browser, f"{room.page}?via=hls")
            await asyncio.sleep(SETTLE_S)
            begun = time.time()
            await asyncio.sleep(seconds + _LONGEST_S)
            sounds = {
                "push": await heard(push),
                "hls": await heard(hls),
                "stage": stage.finder.heard,
                "push_python": plain.heard,
            }
    left = [(number, at - 0.02) for number, at in mouth.left if begun <= at <= begun + seconds]
    return {"sent": [float(len(left))], **{way: latencies(left, sound) for way, sound in sounds.items()}}


async def main() -> bool:
    """Measure and report."""
    parser = arguments(__doc__.splitlines()[0] if __doc__ else "")
    options = parser.parse_args()
    before = machine()
    found = await measure(20.0 if options.quick else 60.0)
    empty = [way for way, delays in found.items() if not delays]
    if empty:
        raise SystemExit(f"bench.latency: no marker was heard by {', '.join(empty)}")
    push = found["push"]
    figures = {
        "push_p50_s": round(percentile(push, 0.5), 3),
        "push_p99_s": round(percentile(push, 0.99), 3),
        "hls_p50_s": round(percentile(found["hls"], 0.5), 3),
        "stage_p50_s": round(percentile(found["stage"], 0.5), 3),
    }
    counts = ", ".join(f"{way} {len(delays)}" for way, delays in found.items() if way != "sent")
    notes = [
        f"{found['sent'][0]:.0f} markers sent; heard: {counts}",
        *(f"{way}: p95 {percentile(each, 0.95):.3f} s, most {max(each):.3f} s" for way, each in _ways(found)),
        f"a push listener without a browser, that plays each block as it comes: p50 "
        f"{percentile(found['push_python'], 0.5):.3f} s",
    ]
    return report("latency", GOALS, figures, path=options.json, before=before, notes=notes, detail=found)


def _ways(found: dict[str, list[float]]) -> list[tuple[str, list[float]]]:
    return [(way, found[way]) for way in ("push", "hls", "stage")]


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=240) else 1)
