"""An hour of speech from a microphone whose clock runs 300 ppm fast, and one 300 ppm slow, in virtual time.

A glitch is a tick in which sound was made up, left out, put in or came too late, or a click: a step in the sound
steeper than any that a decoder alone makes of the same packets. The depth error is how far the playout's offset is from
the one it aims at, at its worst after the first 10 s.
"""

import sys

import numpy as np

from bench.report import Goal, arguments, machine, report
from bench.speech import BrowserEncoder, decoded, speech
from stentor.media.grid import TICK_SAMPLES
from stentor.media.playout import Playout

GOALS = [
    Goal("glitches", "glitches in an hour at +300 ppm and one at -300 ppm", "", at_most=0),
    Goal("depth_error_ms", "offset from the aim, at its worst", "ms", at_most=10.0),
]
PPM = 300
_TICK_NS = 20_000_000
_SETTLED = 500


def hour(packets: list[bytes], seconds: float, ppm: int, steepest: float) -> tuple[int, float, str]:
    """Return glitches, the worst depth error in ms, and what happened in words."""
    playout = Playout()
    number, clicks, worst, last = 0, 0, 0.0, np.float32(0)
    interval_ns = 20e6 * (1 + ppm / 1e6)
    for tick in range(int(seconds * 50)):
        due = tick * _TICK_NS
        while (arrival := int(number * interval_ns) + 7_000_000) <= due:
            playout.push(number % 65_536, number * TICK_SAMPLES % 2**32, packets[number % len(packets)], arrival)
            number += 1
        pcm = playout.pull(due)[0]
        clicks += bool(np.abs(np.diff(pcm, prepend=last)).max() > 1.1 * steepest)
        last = pcm[-1]
        if tick > _SETTLED:
            worst = max(worst, abs(playout.stats.off_samples) / 48)
    stats = playout.stats
    said = (
        f"{ppm:+d} ppm: {number} packets; {clicks} clicks, {stats.lost} lost, {stats.concealed} concealed, "
        f"{stats.late} late, {stats.skipped} skipped; {stats.shortened} samples taken out, {stats.lengthened} put in"
    )
    stretched = int(stats.shortened > 0) + int(stats.lengthened > 0)
    return clicks + stats.lost + stats.concealed + stats.late + stats.skipped + stretched, worst, said


def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    packets = BrowserEncoder(64_000).encode(speech(60.0))
    steepest = float(np.abs(np.diff(decoded(packets * 2))).max())
    seconds = 300.0 if options.quick else 3600.0
    fast, slow = (hour(packets, seconds, ppm, steepest) for ppm in (-PPM, PPM))
    figures = {"glitches": fast[0] + slow[0], "depth_error_ms": round(max(fast[1], slow[1]), 2)}
    notes = [fast[2], slow[2], f"{seconds:.0f} s of virtual time each"]
    return report("drift", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
