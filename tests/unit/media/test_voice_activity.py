"""Who speaks: against each microphone's own noise, with hysteresis."""

import numpy as np
import pytest

from stentor.demo.speech import speak
from stentor.media.loudness import weighted
from stentor.media.rows import level
from stentor.media.voice_activity import LEAST_FLOOR_DBFS, VoiceActivity


def people(count=1):
    activity = VoiceActivity()
    activity.rearrange(np.full(count, -1))
    return activity


def told(activity, levels):
    return [bool(activity.add(np.array([float(each)]))[0]) for each in levels]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([-30] * 2, False),  # 40 ms: a click
        ([-30] * 3, True),
        ([-58] * 50, False),
        ([-30] * 3 + [-90] * 24, True),  # a pause between words
        ([-30] * 3 + [-90] * 25, False),
        ([-30] * 3 + ([-90] * 24 + [-30]) * 3, True),
        ([-65] * 100 + [-50] * 3, True),  # a quiet voice in a quiet room
        ([-45] * 100 + [-40] * 50, False),  # a little louder than the fan
        ([-45] * 100 + [-33] * 3, True),
        ([-20] * 500, True),  # a held note
        ([-40] * 120, False),  # a fan is taken for a voice for 2 s at most
    ],
)
def test_speaking(levels, expected):
    assert told(people(), levels)[-1] is expected


def test_a_fan_of_any_loudness_is_no_speaker_and_a_voice_above_it_is():
    rng = np.random.default_rng(5)
    words = speak("This is said in a room where a fan runs all the time, and it is heard nevertheless.")
    words = words[: len(words) // 960 * 960]
    for noise_dbfs in (-70, -50, -42):
        activity = people()
        fan = 10 ** (noise_dbfs / 20) * rng.standard_normal(48_000 * 4)
        quiet, _ = told_of(activity, fan)
        assert not any(quiet[100:]), f"fan at {noise_dbfs}"
        spoken, floor = told_of(activity, words + fan.repeat(2)[: len(words)])
        assert np.mean(spoken) > 0.8, f"voice over a fan at {noise_dbfs}"
        assert floor < -45
        after, _ = told_of(activity, fan)
        assert not any(after[30:]), f"after the voice, fan at {noise_dbfs}"


def told_of(activity, sound):
    _, band = weighted(sound.astype(np.float32).reshape(-1, 960))
    spoken = told(activity, level(band, -90.0))
    return spoken, activity.floor_dbfs[0]


def test_digital_silence_tells_nothing_about_the_microphone():
    activity = people()
    told(activity, [-50] * 100)
    told(activity, [-90] * 500)  # muted
    assert activity.floor_dbfs[0] == pytest.approx(-50)
    assert told(activity, [-50] * 50) == [False] * 50


def test_the_floor_is_bounded():
    activity = people()
    told(activity, [-80] * 100)
    assert activity.floor_dbfs[0] == LEAST_FLOOR_DBFS


def test_a_row_stays_with_its_person():
    activity = people(2)
    for _ in range(10):
        activity.add(np.array([-30.0, -90.0]))
    activity.rearrange(np.array([1, -1, 0]))
    assert activity.speaking.tolist() == [False, False, True]


def test_more_than_noise_is_known_in_the_tick_it_comes():
    activity = people()
    told(activity, [-60] * 100)
    assert activity.voiced(np.array([-50.0])).tolist() == [True]
    assert activity.voiced(np.array([-55.0])).tolist() == [False]
