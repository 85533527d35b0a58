"""Periods taken out and put in: length, pitch, and no jump at the seam."""

import numpy as np
import pytest

from stentor.media.stretch import lengthen, shorten

AT = np.arange(4 * 1920) / 48_000


def hum(pitch_hz, samples=1920, start=0):
    at = (np.arange(samples) + start) / 48_000
    return (0.2 * sum(np.sin(2 * np.pi * k * pitch_hz * at) / k for k in range(1, 6))).astype(np.float32)[None]


def steepest(pcm):
    return float(np.abs(np.diff(pcm[0])).max())


@pytest.mark.parametrize("pitch_hz", [80, 110, 155, 220, 330])
def test_a_period_is_taken_out_unheard(pitch_hz):
    pcm = hum(pitch_hz)
    short = shorten(pcm, 1000)
    gone = pcm.shape[1] - short.shape[1]
    periods = gone * pitch_hz / 48_000
    assert gone > 0
    assert abs(periods - round(periods)) < 0.05 * max(1, round(periods))
    assert steepest(short) < 1.2 * steepest(pcm)


@pytest.mark.parametrize("pitch_hz", [80, 110, 155, 220, 330])
def test_a_period_is_put_in_unheard(pitch_hz):
    before, pcm = hum(pitch_hz, 960), hum(pitch_hz, 960, start=960)
    long = lengthen(before, pcm, 1000)
    assert 120 <= long.shape[1] - 960 <= 720
    joint = np.concatenate([before, long], axis=1)
    assert steepest(joint) < 1.2 * steepest(pcm)


def test_what_has_no_period_is_left_alone_unless_in_haste():
    noise = np.random.default_rng(2).normal(0, 0.1, (1, 1920)).astype(np.float32)
    assert shorten(noise, 1000) is noise
    assert lengthen(noise, noise, 1000) is noise


def test_of_silence_as_much_goes_as_may():
    silence = np.zeros((1, 1920), np.float32)
    assert shorten(silence, 500).shape[1] == 1920 - 500
    assert lengthen(silence, silence, 500).shape[1] == 1920 + 500


def test_no_more_goes_than_was_said():
    pcm = hum(80)  # a period of 600 samples
    assert shorten(pcm, 300) is pcm or pcm.shape[1] - shorten(pcm, 300).shape[1] <= 300
    assert shorten(pcm, 100) is pcm
