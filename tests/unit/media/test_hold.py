"""The hold sound: quiet, seamless, and the same after it was saved."""

import re
import subprocess

import numpy as np
import pytest

from stentor.errors import MediaError
from stentor.media.grid import Step, units_in
from stentor.media.hold import HOLD_SAMPLES, Loop, encode_loop, hold_sound, silence_loop
from stentor.media.rendition import RENDITIONS, RenditionName
from tests.unit.media.test_encoder import decode_units


def test_the_hold_sound_is_as_loud_as_it_says(tmp_path):
    sound = hold_sound()
    assert sound.shape == (1, HOLD_SAMPLES)
    assert np.max(np.abs(sound)) < 0.3
    assert np.max(np.abs(np.diff(sound[0], append=sound[0, 0]))) < 0.03  # no click, not at the seam either
    path = tmp_path / "hold.f32"
    sound.tofile(path)
    command = ["ffmpeg", "-nostats", "-f", "f32le", "-ar", "48000", "-ac", "1", "-i", str(path)]
    judged = subprocess.run([*command, "-af", "ebur128", "-f", "null", "-"], capture_output=True, text=True, check=True)
    loudness = float(re.findall(r"I:\s+(-[\d.]+) LUFS", judged.stderr)[-1])
    assert loudness == pytest.approx(-30, abs=0.5)


@pytest.mark.parametrize("name", list(RenditionName))
def test_a_loop_runs_into_itself_and_stands_where_it_should(name):
    rendition = RENDITIONS[name]
    samples = 92_160
    # 500 whole periods: a loop without a seam is a steady tone.
    sound = 0.3 * np.sin(2 * np.pi * 500 * np.arange(samples) / samples)
    loop = encode_loop(sound.astype(np.float32)[None])
    units = [unit for step in range(24) for unit in loop.step(rendition, Step(step))]
    assert len(units) == 3 * samples // rendition.frame_samples
    decoded = decode_units(rendition, units)
    middle = decoded[samples // 2 : samples * 5 // 2]
    expected = np.tile(sound, 3)[samples // 2 : samples * 5 // 2]
    assert np.max(np.abs(middle - expected)) < 0.06


def test_a_loop_is_saved_and_read_back():
    loop = silence_loop()
    saved = loop.to_bytes()
    assert Loop.from_bytes(saved) == loop
    for broken in (b"", b"STL2" + saved[4:], saved[:-1], saved + b"x", saved[:40]):
        with pytest.raises(MediaError):
            Loop.from_bytes(broken)
    for rendition in RENDITIONS.values():
        assert all(len(loop.step(rendition, Step(s))) == units_in(Step(s), rendition.frame_samples) for s in range(30))


def test_a_loop_must_fit_every_codec():
    with pytest.raises(MediaError):
        encode_loop(np.zeros((1, 960), np.float32))
