"""Loudness against libebur128, and the gains of speakers and program: slow, smooth, bounded, never on noise."""

import numpy as np
import pytest
from pyebur128 import MeasurementMode, R128State, get_loudness_global

from stentor.demo.speech import speak
from stentor.media.loudness import (
    MOST_GAIN_DB,
    PROGRAM_LUFS,
    SPEAKER_LUFS,
    ProgramGain,
    SpeakerGains,
    lufs,
    weighted,
)

NEW = np.array([-1])
QUIET_ROOM = np.array([-65.0])


def judged(sound):
    state = R128State(1, 48_000, MeasurementMode.MODE_I)
    state.add_frames(np.ascontiguousarray(sound, np.float32), len(sound))
    return get_loudness_global(state)


def mean_square(level_lufs):
    return 10 ** ((level_lufs + 0.691) / 10)


@pytest.mark.parametrize(
    ("hertz", "within_lu"),
    [(75, 1.2), (100, 0.1), (225, 0.2), (440, 0.1), (997, 0.02), (3_150, 0.02), (12_345, 0.02)],
)
def test_k_weighting_is_that_of_libebur128(hertz, within_lu):
    sound = (0.1 * np.sin(2 * np.pi * hertz * np.arange(96_000) / 48_000)).astype(np.float32)
    squares, _ = weighted(sound.reshape(-1, 960))
    assert lufs(squares.mean(keepdims=True))[0] == pytest.approx(judged(sound), abs=within_lu)


def test_speech_is_as_loud_as_libebur128_says():
    sound = speak("Good evening, and welcome. This room runs on a server of your own, and every word goes over it.")
    squares, _ = weighted(sound[: len(sound) // 960 * 960].reshape(-1, 960))
    blocks = np.convolve(squares, np.ones(20) / 20, "valid")[::5]  # 400 ms every 100 ms, gated twice (BS.1770-4, 5.1)
    blocks = blocks[lufs(blocks) > -70]
    blocks = blocks[blocks > blocks.mean() / 10]
    assert lufs(blocks.mean(keepdims=True))[0] == pytest.approx(judged(sound), abs=0.1)


def test_a_full_scale_sine_at_997_hz_is_minus_3_01():  # BS.1770-4, 2.7
    sound = np.sin(2 * np.pi * 997 * np.arange(48_000) / 48_000).astype(np.float32)
    assert lufs(weighted(sound.reshape(-1, 960))[0].mean(keepdims=True))[0] == pytest.approx(-3.01, abs=0.02)


def test_the_band_of_voices():
    at = np.arange(960) / 48_000
    _, band = weighted(np.stack([np.sin(2 * np.pi * hertz * at) for hertz in (50, 500, 8_000)]).astype(np.float32))
    assert band == pytest.approx([0, 0.5, 0], abs=1e-4)


def test_speech_comes_to_minus_18_within_seconds_wherever_it_begins():
    words = speak("Good evening, and welcome. This room runs on a server of your own, and every word goes over it.")
    sound = np.tile(words, 3)[: 12 * 48_000]
    for level in (-35.0, -26.0, -18.0, -10.0):
        squares, _ = weighted((sound * 10 ** ((level - judged(sound)) / 20)).astype(np.float32).reshape(-1, 960))
        gains = SpeakerGains()
        gains.rearrange(NEW)
        for square in squares:
            gains.knots(square[None], np.array([True]), QUIET_ROOM)
        assert level + gains.gain_db[0] == pytest.approx(SPEAKER_LUFS, abs=1.0), f"from {level} LUFS"


@pytest.mark.parametrize(
    ("level", "speaking", "floor_dbfs", "seconds", "expected_db"),
    [
        (-28, True, -65, 10, 10),
        (-45, True, -65, 30, MOST_GAIN_DB),  # bounded
        (5, True, -65, 30, -MOST_GAIN_DB),
        (-35, True, -48, 60, 8),  # the room's noise is not raised above -40 dBFS
        (-35, True, -37, 60, 0),
        (-35, False, -65, 60, 0),  # noise, however long
        (-28, True, -65, 0.2, 0),  # too little to know
    ],
)
def test_where_the_gain_ends(level, speaking, floor_dbfs, seconds, expected_db):
    gains = SpeakerGains()
    gains.rearrange(NEW)
    for _ in range(int(seconds * 50)):
        gains.knots(np.array([mean_square(level)]), np.array([speaking]), np.array([floor_dbfs]))
    assert gains.gain_db[0] == pytest.approx(expected_db, abs=0.3)


def test_the_gain_is_continuous_and_slow():
    gains = SpeakerGains()
    gains.rearrange(NEW)
    last, after = 0.0, []
    for tick in range(2_500):
        level = -30 if tick < 1_000 else -22
        knots = gains.knots(np.array([mean_square(level)]), np.array([True]), QUIET_ROOM)[0]
        assert knots[0] == pytest.approx(last)
        last = knots[-1]
        if tick >= 300:
            after.append(np.max(np.abs(np.diff(knots))) * 4 * 50)
    assert max(after) <= 6.01  # dB a second, once known
    assert gains.gain_db[0] == pytest.approx(SPEAKER_LUFS + 22, abs=1)


def test_a_sudden_shout_is_turned_down_within_half_a_second():
    gains = SpeakerGains()
    gains.rearrange(NEW)
    for _ in range(500):
        gains.knots(np.array([mean_square(-35)]), np.array([True]), QUIET_ROOM)
    assert gains.gain_db[0] == pytest.approx(17, abs=0.3)
    for _ in range(25):
        gains.knots(np.array([mean_square(-15)]), np.array([True]), QUIET_ROOM)
    assert -15 + gains.gain_db[0] < SPEAKER_LUFS + 9


@pytest.mark.parametrize(
    ("other", "lost_db", "expected_db"),
    [
        (-70, 0, 4),
        (-70, 0.7, 4.7),
        (-70, 9, 4 + SpeakerGains.MOST_LOSS_DB),  # bounded
        (-22, 2, 4),  # two at once: nobody knows whose peaks they were
    ],
)
def test_what_the_limiter_takes_from_somebody_is_given_back(other, lost_db, expected_db):
    gains = SpeakerGains()
    gains.rearrange(np.array([-1, -1]))
    came = mean_square(np.array([-22.0, other]))
    speaking = np.array([True, other > -70])
    for _ in range(30 * 50):
        gains.knots(came, speaking, np.repeat(QUIET_ROOM, 2))
        gains.hear(float(np.sum(came * 10 ** (gains.gain_db / 10)) * 10 ** (-lost_db / 10)))
    assert gains.gain_db[0] == pytest.approx(expected_db, abs=0.3)


def test_a_person_keeps_their_gain_when_others_come_and_go():
    gains = SpeakerGains()
    gains.rearrange(np.array([-1, -1]))
    for _ in range(500):
        gains.knots(mean_square(np.array([-28.0, -14.0])), np.array([True, True]), np.repeat(QUIET_ROOM, 2))
    ana, ben = gains.gain_db
    gains.rearrange(np.array([1, -1, 0]))
    assert gains.gain_db.tolist() == [ben, 0.0, ana]


@pytest.mark.parametrize(
    ("level", "expected_db"),
    [(SPEAKER_LUFS, 2), (-21, 5), (-14, -2), (-30, ProgramGain.MOST_DB), (-5, ProgramGain.LEAST_DB)],
)
def test_the_program_comes_to_minus_16(level, expected_db):
    gain = ProgramGain()
    assert gain.gain_db == PROGRAM_LUFS - SPEAKER_LUFS
    for _ in range(60 * 50):
        gain.knots(mean_square(level + gain.gain_db))
    assert gain.gain_db == pytest.approx(expected_db, abs=0.2)


def test_a_pause_does_not_move_the_program():
    gain = ProgramGain()
    for _ in range(20 * 50):
        gain.knots(mean_square(SPEAKER_LUFS + gain.gain_db))
    before = gain.gain_db
    for level in (-80, -45):
        for _ in range(60 * 50):
            gain.knots(mean_square(level))
    assert gain.gain_db == pytest.approx(before, abs=0.3)
