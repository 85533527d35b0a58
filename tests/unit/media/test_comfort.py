"""Background noise: as loud and of the colour of what was heard, and nothing before that."""

import numpy as np

from stentor.media.comfort import Background


def hiss(count, level, low_hz=0, high_hz=24_000):
    sound = np.random.default_rng(4).normal(0, 1, count * 960)
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / 48_000)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    sound = np.fft.irfft(spectrum)
    return (sound * level / np.sqrt(np.mean(sound**2))).astype(np.float32).reshape(-1, 1, 960)


def rms(pcm):
    return float(np.sqrt(np.mean(pcm**2)))


def test_before_anything_was_heard_it_is_silent():
    assert not Background().noise(960).any()


def test_it_sounds_like_the_quiet_moments():
    background = Background()
    for tick in hiss(100, 0.001, 300, 2000):
        assert background.hear(tick)
    noise = background.noise(48_000)
    assert 0.0006 < rms(noise) < 0.0015
    power = np.abs(np.fft.rfft(noise[0])) ** 2
    assert power[300:2000].sum() > 0.95 * power.sum()


def test_a_voice_is_no_background():
    background = Background()
    for quiet, loud in zip(hiss(50, 0.0005), hiss(50, 0.1), strict=True):
        background.hear(quiet)
        assert not background.hear(loud)
    assert rms(background.noise(9600)) < 0.001


def test_noise_goes_on_from_call_to_call_whatever_the_length():
    background = Background()
    for tick in hiss(60, 0.001):
        background.hear(tick)
    pieces = np.concatenate([background.noise(n) for n in (960, 240, 1, 480, 5760)], axis=1)
    assert pieces.shape == (1, 960 + 240 + 1 + 480 + 5760)
    assert np.abs(pieces).max() < 0.01
