"""ffprobe and ffmpeg, which no one here wrote, judge what we wrap."""

import json
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import MediaError
from stentor.media import fmp4, ogg
from stentor.media.adts import adts
from stentor.media.encoder import Encoder
from stentor.media.grid import Samples
from tests.unit.media.helpers import AAC, MP3, OPUS

DAY = 24 * 3600 * 48_000


@pytest.fixture(scope="module")
def tone():
    """Return the access units of 1.92 s of a tone, by rendition."""
    wave = (0.2 * np.sin(2 * np.pi * 440 * np.arange(96_000 + 9_600) / 48_000)).astype(np.float32)[None]
    return {r.name: Encoder(r).encode(wave)[: 92_160 // r.frame_samples] for r in (OPUS, AAC, MP3)}


def probe(path):
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_packets", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("rendition", [OPUS, AAC], ids=["opus", "aac"])
def test_ffprobe_reads_every_access_unit_and_its_time(tmp_path, tone, rendition):
    units, frame = tone[rendition.name], rendition.frame_samples
    half = len(units) // 2
    start = DAY // frame * frame
    path = tmp_path / "a.mp4"
    path.write_bytes(
        fmp4.init_segment(rendition)
        + fmp4.fragment(rendition, 1, Samples(start), units[:half])
        + fmp4.fragment(rendition, 2, Samples(start + half * frame), units[half:])
    )
    found = probe(path)
    stream = found["streams"][0]
    assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == (rendition.name, "48000", 1)
    assert stream["time_base"] == "1/48000"
    assert [int(p["size"]) for p in found["packets"]] == [len(unit) for unit in units]
    times = [int(p["pts"]) for p in found["packets"]]
    assert [t - times[0] for t in times] == [n * frame for n in range(len(units))]
    decoded = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-"], capture_output=True, check=True
    )
    pcm = np.frombuffer(decoded.stdout, np.float32)
    assert 0.12 < np.sqrt(np.mean(pcm[9600:-9600] ** 2)) < 0.16


def test_an_initialisation_segment_never_changes():
    assert fmp4.init_segment(OPUS) == fmp4.init_segment(OPUS)
    assert fmp4.init_segment(MP3) == b""
    assert b"dOps" in fmp4.init_segment(OPUS)
    assert b"\x05\x02" + fmp4.AUDIO_SPECIFIC_CONFIG in fmp4.init_segment(AAC)


def test_ffprobe_reads_adts(tmp_path, tone):
    path = tmp_path / "a.aac"
    path.write_bytes(adts(tone[AAC.name]))
    found = probe(path)
    assert found["streams"][0]["profile"] == "LC"
    assert [int(p["size"]) for p in found["packets"]] == [len(unit) + 7 for unit in tone[AAC.name]]
    with pytest.raises(MediaError):
        adts([bytes(8192)])


def test_ffprobe_reads_mp3_as_it_is(tmp_path, tone):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(tone[MP3.name]))
    assert len(probe(path)["packets"]) == len(tone[MP3.name])


def test_ffprobe_reads_ogg(tmp_path, tone):
    units = tone[OPUS.name]
    steps = [units[at : at + 12] for at in range(0, len(units), 12)]
    pages = [ogg.page(7, 2 + n, (n + 1) * 12 * 960, step, last=n == 7) for n, step in enumerate(steps)]
    path = tmp_path / "a.opus"
    path.write_bytes(ogg.headers(7) + b"".join(pages))
    found = probe(path)
    assert [int(p["size"]) for p in found["packets"]] == [len(unit) for unit in units]
    assert int(found["packets"][0]["pts"]) == -312  # the pre-skip is understood


@given(st.binary(max_size=600))
def test_the_checksum_is_that_of_rfc_3533(data):
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1
            value &= 0xFFFFFFFF
    assert ogg._crc(data) == value


def test_a_page_has_at_most_255_laces():
    with pytest.raises(MediaError):
        ogg.page(1, 2, 0, [bytes(255)] * 128)
