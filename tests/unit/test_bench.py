"""The benches' instruments must be able to see what they look for."""

import numpy as np
import pytest

from bench.report import percentile
from bench.speech import BrowserEncoder, decoded, digits, missing_or_repeated, numbered, read_digits
from bench.tones import ToneFinder, latencies, tone

FRAMES = 200


@pytest.mark.parametrize(
    ("harm", "edits"),
    [
        (lambda packets: packets, 0),
        (lambda packets: packets[:90] + packets[91:], 1),
        (lambda packets: packets[:90] + packets[89:], 1),
        (lambda packets: packets[:50] + packets[52:90] + packets[89:], 3),
    ],
)
def test_missing_and_repeated_frames_are_counted(harm, edits):
    packets = harm(BrowserEncoder(64_000).encode(numbered(FRAMES)))
    heard = read_digits(decoded([*packets, packets[-1]]))
    # The decoder's delay cuts the last frame; what comes after the last number is not asked.
    found, differences = missing_or_repeated(digits(FRAMES)[: FRAMES - 5], heard)
    assert found == edits
    assert differences <= 2 * edits


def test_markers_are_found_where_they_are():
    sound = np.zeros(5 * 48_000, np.float32)
    for second in range(5):
        sound[48_000 * second + 4_800 :][:5_760] = tone(second)
    finder = ToneFinder()
    finder.feed(sound, 100.0)
    left = [(second, 100.0 + second) for second in range(5)]
    assert latencies(left, finder.heard) == pytest.approx([0.1] * 5, abs=0.006)


def test_percentiles_are_values_that_occurred():
    values = [float(value) for value in range(1, 21)]
    assert percentile(values, 0.5) == 10
    assert percentile(values, 0.95) == 19
    assert percentile(values, 0.99) == 20
