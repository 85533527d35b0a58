"""A sample in 2,000 more or less: count, purity, and rest."""

import numpy as np
import pytest

from stentor.media.resample import STEP, Resampler


def tone(hz, samples):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / 48_000)).astype(np.float32)


def through(sound, directions):
    resampler = Resampler()
    return np.concatenate(
        [
            resampler.process(tick[None], direction)[0]
            for tick, direction in zip(sound.reshape(-1, 960), directions, strict=True)
        ]
    )


def test_untouched_sound_is_the_same_8_samples_later():
    sound = tone(1000, 96_000)
    out = through(sound, [0] * 100)
    assert np.array_equal(out[8:], sound[:-8])


@pytest.mark.parametrize("direction", [1, -1])
def test_it_gains_or_loses_a_sample_in_2000(direction):
    out = through(tone(1000, 960_000), [direction] * 1000)
    assert len(out) == pytest.approx(960_000 * (1 - direction * STEP), abs=2)


@pytest.mark.parametrize("hz", [200, 1000, 4000, 7000, 12_000])
def test_a_tone_stays_a_tone(hz):
    out = through(tone(hz, 96_000), [1] * 100)[480:-480]
    at = np.arange(len(out))
    heard = 2 * np.pi * hz * (1 + STEP) / 48_000
    fitted = np.linalg.lstsq(np.stack([np.sin(heard * at), np.cos(heard * at)], axis=1), out, rcond=None)[0]
    rest = out - fitted @ np.stack([np.sin(heard * at), np.cos(heard * at)])
    assert 10 * np.log10(np.mean(rest**2) / np.mean(out**2)) < -45


def test_it_comes_to_rest_without_a_jump_and_then_leaves_sound_alone():
    sound = tone(997, 192_000)
    out = through(sound, [1] * 33 + [0] * 167)
    lost = len(sound) - len(out)
    assert 14 <= lost <= 18
    assert np.abs(np.diff(out[480:], 2)).max() < 1.05 * np.abs(np.diff(sound, 2)).max()
    assert np.array_equal(out[-9600:], sound[-9600 - 8 : -8])


def test_it_turns_round():
    out = through(tone(997, 960 * 300), ([1] * 50 + [-1] * 50) * 3)
    assert len(out) == pytest.approx(960 * 300, abs=60)
    assert np.abs(np.diff(out[480:], 2)).max() < 1.05 * np.abs(np.diff(tone(997, 4800), 2)).max()
