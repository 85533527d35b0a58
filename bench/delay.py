"""How long the playout holds sound back: on a clean line, under jitter of ±40 ms, and after the line stood still once.

Virtual time: packets of speech go into the real playout as a line would bring them, a tick is pulled each 20 ms. The
delay is read from the sound itself: the place at which a second of what comes out agrees best with what a decoder
alone makes of the same packets, less the time at which the quickest packet arrives. Under jitter that is the delay
on top of the line's best; the packet that came last has waited so much less.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate  # type: ignore[import-untyped]  # scipy says no types

from bench.report import Goal, arguments, machine, report
from bench.speech import BrowserEncoder, decoded, speech
from stentor.media.grid import SAMPLE_RATE_HZ
from tests.fakes.virtual_line import through

GOALS = [
    Goal("clean_ms", "delay added on a clean line, median", "ms", at_most=40.0),
    Goal("jitter_ms", "delay added under ±40 ms jitter, median", "ms", at_most=120.0),
    Goal("after_spike_ms", "delay 10 s after the line stood still for 300 ms", "ms", at_most=60.0),
]
SPIKE_AT, SPIKE_MS = 1000, 300.0
_LINE_MS = 30.0
_PRIMING_SAMPLES = 312
_PIECE, _SEARCH = SAMPLE_RATE_HZ, SAMPLE_RATE_HZ

Pcm = NDArray[np.float32]


def delays_ms(heard: Pcm, said: Pcm) -> list[float]:
    """Return for each second of speech how long after the quickest packet's arrival it is heard."""
    found = []
    for start in range(2 * SAMPLE_RATE_HZ, len(said) - _PIECE - _SEARCH, _PIECE):
        piece = said[start : start + _PIECE]
        if float(np.mean(piece * piece)) < 1e-4:
            found.append(float("nan"))  # a pause says nothing
            continue
        likeness = correlate(heard[start : start + _PIECE + _SEARCH], piece, mode="valid")
        found.append(int(np.argmax(likeness)) * 1000 / SAMPLE_RATE_HZ - _LINE_MS)
    return found


def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    packets = BrowserEncoder(64_000).encode(speech(40.0 if options.quick else 120.0))
    said = np.concatenate([np.zeros(_PRIMING_SAMPLES, np.float32), decoded(packets)])
    count = len(packets)
    nominal = [number * 20.0 + _LINE_MS for number in range(count)]
    random = np.random.default_rng(40)
    jittery = [at + float(random.uniform(0, 80)) for at in nominal]
    stood_until = nominal[SPIKE_AT] + SPIKE_MS
    stood = [at if number < SPIKE_AT else max(at, stood_until) for number, at in enumerate(nominal)]
    clean, jitter, spike = (delays_ms(through(packets, line).pcm, said) for line in (nominal, jittery, stood))
    after = SPIKE_AT // 50 - 2 + 10
    figures = {
        "clean_ms": round(float(np.nanmedian(clean)), 1),
        "jitter_ms": round(float(np.nanmedian(jitter)), 1),
        "after_spike_ms": round(float(np.nanmedian(spike[after : after + 3])), 1),
    }
    peak = float(np.nanmax(spike))
    notes = [
        f"clean: {np.nanmin(clean):.1f} to {np.nanmax(clean):.1f} ms; jitter: {np.nanmin(jitter):.1f} to "
        f"{np.nanmax(jitter):.1f} ms; at most {peak:.0f} ms after the spike",
        f"{count / 50:.0f} s of speech, 20 ms packets at 64 kbit/s, in virtual time: the machine makes no difference",
    ]
    return report("delay", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
