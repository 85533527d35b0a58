"""The mix: sums, what each hears, levels, and that nothing clips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.media.mixer import CEILING, LevelMeter, Limiter, Mixer, ProgramMeter, SpeakingDetector


def tone(amplitude, frequency=500, tick=0):
    time = (np.arange(960) + tick * 960) / 48_000
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[None]


SILENCE = np.zeros((1, 960), np.float32)


def test_everybody_hears_the_others_and_the_silent_hear_all():
    ana, ben = tone(0.2, 300), tone(0.1, 700)
    mix = Mixer().mix({"ana": ana, "ben": ben, "cem": SILENCE, "dua": SILENCE})
    assert np.allclose(mix.program, ana + ben, atol=1e-6)
    assert np.allclose(mix.heard_by("ana"), ben, atol=1e-6)
    assert np.allclose(mix.heard_by("ben"), ana, atol=1e-6)
    assert set(mix.minus) == {"ana", "ben"}
    assert mix.heard_by("cem") is mix.program
    assert mix.heard_by("dua") is mix.program


def test_an_empty_stage_is_silence():
    mix = Mixer().mix({})
    assert mix.program.shape == (1, 960)
    assert not mix.program.any()


def test_what_is_put_in_is_not_changed_and_nonsense_is_no_harm():
    bad = np.full((1, 960), np.nan, np.float32)
    mix = Mixer().mix({"ana": tone(0.2), "bad": bad})
    assert np.all(np.isfinite(mix.program))
    assert np.isnan(bad).all()


def test_levels_are_rms_of_the_last_200_ms():
    mixer = Mixer()
    for tick in range(10):
        voice = mixer.mix({"ana": tone(0.5, tick=tick)}).voices["ana"]
    assert voice.level_dbfs == pytest.approx(-9.03, abs=0.05)
    for _ in range(10):
        voice = mixer.mix({"ana": SILENCE}).voices["ana"]
    assert voice.level_dbfs == -90
    mixer.forget("ana")
    assert mixer.mix({"ana": SILENCE}).voices["ana"].speaking is False


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([-30] * 2, False),  # 40 ms: a click
        ([-30] * 3, True),
        ([-48] * 50, False),  # between the thresholds nothing changes
        ([-30] * 3 + [-48] * 50, True),
        ([-30] * 3 + [-60] * 24, True),  # a pause between words
        ([-30] * 3 + [-60] * 25, False),
        ([-30] * 3 + ([-60] * 24 + [-30]) * 3, True),
    ],
)
def test_speaking_has_hysteresis(levels, expected):
    detector = SpeakingDetector()
    for level in levels:
        detector.add(level, 20)
    assert detector.speaking is expected


def test_durations_are_arguments():
    by_ten, by_fifty = LevelMeter(), LevelMeter()
    for n in range(60):
        by_ten.add(0.01 if n < 50 else 0.04, 10)
    for n in range(12):
        by_fifty.add(0.01 if n < 10 else 0.04, 50)
    assert by_ten.level_dbfs == pytest.approx(by_fifty.level_dbfs)


def test_the_program_says_how_long_it_has_been_silent():
    meter = ProgramMeter()
    for _ in range(50):
        meter.add(1e-3, 20)
    assert meter.silent_s == 0
    for _ in range(5 * 50 + 20):
        meter.add(1e-6, 20)
    assert meter.silent_s == pytest.approx(5.0, abs=0.1)
    meter.add(1e-2, 20)
    assert meter.silent_s == 0


@given(st.lists(st.floats(0, 8), min_size=1, max_size=12), st.integers(50, 4000))
def test_nothing_clips(amplitudes, frequency):
    limiter = Limiter()
    for tick, amplitude in enumerate(amplitudes):
        assert np.max(np.abs(limiter.limit(tone(amplitude, frequency, tick)))) <= CEILING + 1e-5


def test_the_limiter_turns_down_smoothly_and_recovers():
    limiter = Limiter()
    quiet = tone(0.2)
    assert limiter.limit(quiet) is quiet
    loud = np.concatenate([limiter.limit(tone(1.5, 200, tick))[0] for tick in range(10)])
    original = np.concatenate([tone(1.5, 200, tick)[0] for tick in range(10)])
    audible = np.abs(original[960:]) > 0.1
    gain = loud[960:][audible] / original[960:][audible]
    assert np.max(np.abs(np.diff(gain))) < 0.05
    for tick in range(100):
        out = limiter.limit(tone(0.2, tick=tick))
    assert np.array_equal(out, tone(0.2, tick=99))
