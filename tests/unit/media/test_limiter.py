"""The limiter: true peaks stay below the ceiling whatever comes, smoothly, and every row is equally late."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyebur128 import MeasurementMode, R128State, get_true_peak

from stentor.media.limiter import CEILING, CEILING_DBTP, DELAY_SAMPLES, RELEASE_DB_PER_S, Limiter

ONLY = np.array([0])


def limited(sound, limiter=None):
    """Return ``sound`` (samples,) through a limiter, as late as it comes."""
    limiter = limiter or Limiter()
    whole = np.concatenate([np.zeros(DELAY_SAMPLES), sound, np.zeros(-len(sound) % 960)]).astype(np.float32)
    ticks = range(0, len(whole) - DELAY_SAMPLES, 960)
    return np.concatenate([limiter.limit(ONLY, whole[None, at : at + DELAY_SAMPLES + 960])[0] for at in ticks])


def true_peak_dbtp(sound):
    state = R128State(1, 48_000, MeasurementMode.MODE_TRUE_PEAK)
    state.add_frames(np.ascontiguousarray(sound, np.float32), len(sound))
    return 20 * np.log10(max(get_true_peak(state, 0), 1e-9))


def steps(amplitudes):
    return np.repeat(np.array(amplitudes), 480)


AMPLITUDES = st.lists(st.floats(0, 8), min_size=2, max_size=24)


@settings(deadline=None)
@given(AMPLITUDES, st.floats(0.001, 3.1), st.sampled_from(["sine", "square", "noise", "impulses", "signs"]))
def test_no_true_peak_above_minus_one_whatever_comes(amplitudes, radians, kind):
    envelope = steps(amplitudes)
    at = np.arange(len(envelope))
    rng = np.random.default_rng(int(radians * 1e6))
    wave = {
        "sine": lambda: np.sin(radians * at),
        "square": lambda: np.sign(np.sin(radians * at)),
        "noise": lambda: rng.standard_normal(len(at)),
        "impulses": lambda: (rng.random(len(at)) < 0.01) * rng.standard_normal(len(at)),
        "signs": lambda: rng.choice([-1.0, 1.0], len(at)),
    }[kind]()
    out = limited(envelope * wave)
    assert np.max(np.abs(out)) <= CEILING * 1.0001
    assert true_peak_dbtp(out) <= CEILING_DBTP + 0.5
    assert true_peak_dbtp(out) <= -1


@pytest.mark.parametrize(
    ("hertz", "phase"),
    [(12_000, np.pi / 4), (6_000, np.pi / 8), (16_000, 0.3)],  # peaks that lie between the samples
)
def test_peaks_between_samples_are_seen(hertz, phase):
    sound = np.sin(2 * np.pi * hertz * np.arange(48_000) / 48_000 + phase) * np.minimum(1, np.arange(48_000) / 4_800)
    assert true_peak_dbtp(sound) == pytest.approx(0, abs=0.2)
    assert true_peak_dbtp(limited(sound)) == pytest.approx(CEILING_DBTP, abs=0.2)


def test_what_is_not_too_loud_is_only_late():
    quiet = 0.6 * np.sin(2 * np.pi * 500 * np.arange(4_800) / 48_000)
    out = limited(quiet)
    assert np.array_equal(out[DELAY_SAMPLES:], quiet[:-DELAY_SAMPLES].astype(np.float32))
    assert not out[:DELAY_SAMPLES].any()


def test_it_turns_down_before_the_peak_and_comes_back_slowly():
    sound = np.full(48_000, 0.1)
    sound[9_600] = 2.0
    gain = limited(sound)[DELAY_SAMPLES:] / sound[:-DELAY_SAMPLES]
    assert np.allclose(gain[: 9_600 - 240], 1)
    assert gain[9_600] * 2.0 <= CEILING
    assert np.max(np.abs(np.diff(gain))) < 0.01  # no step, not even at the peak
    down_db = -20 * np.log10(gain[9_600])
    back = 9_600 + int(48_000 * down_db / RELEASE_DB_PER_S)
    assert np.max(gain[9_600 : back - 480]) < 1
    assert np.allclose(gain[back + 480 :], 1)


def test_rows_do_not_touch_each_other_and_a_row_left_out_follows_the_program():
    limiter = Limiter()
    limiter.rearrange(np.array([-1, -1]))
    loud, quiet = np.full((1, DELAY_SAMPLES + 960), 2.0, np.float32), np.full((1, DELAY_SAMPLES + 960), 0.2, np.float32)
    out = limiter.limit(np.array([0, 1]), np.concatenate([loud, quiet]))
    assert np.array_equal(out[1:], quiet[:, :960])
    # Row 2 heard the program so far: its gain goes on from there, without a step.
    both = limiter.limit(np.array([0, 2]), np.concatenate([loud, loud]))
    assert np.array_equal(both[0], both[1])
    limiter.rearrange(np.array([1, -1]))
    again = limiter.limit(np.array([0, 1, 2]), np.concatenate([loud, loud, loud]))
    assert np.array_equal(again[0], again[2])
