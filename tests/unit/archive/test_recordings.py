"""Recordings: real programs read them, and their access units are those of the broadcast."""

import json
import subprocess
from pathlib import Path

import pytest

from stentor.archive.demux import open_recording
from stentor.archive.m4a import boxes
from stentor.media.rendition import RENDITIONS
from stentor.store.recording import RECORDINGS, duration_s
from tests.unit.archive import night
from tests.unit.archive.conftest import Published


@pytest.mark.parametrize("ending", RECORDINGS)
def test_ffmpeg_reads_it_without_a_complaint(published: Published, ending: str) -> None:
    file = published.recording(ending)
    probed = subprocess.run(
        ["ffprobe", "-v", "warning", "-of", "json", "-show_format", "-show_streams", str(file)],
        capture_output=True,
        check=True,
    )
    said = json.loads(probed.stdout)
    complaints = [c for c in probed.stderr.splitlines() if b"Estimating duration from bitrate" not in c]
    assert complaints == []
    assert float(said["format"]["duration"]) == pytest.approx(duration_s(published.index), abs=0.03)
    assert said["streams"][0]["sample_rate"] == "48000"
    decoded = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", str(file), "-f", "s16le", "-ac", "1", "-"], capture_output=True, check=True
    )
    assert len(decoded.stdout) / 2 / 48_000 == pytest.approx(duration_s(published.index), abs=0.05)
    assert [c for c in decoded.stderr.splitlines() if b"Estimating duration from bitrate" not in c] == []


@pytest.mark.parametrize("ending", RECORDINGS)
def test_its_access_units_are_those_of_the_broadcast(published: Published, ending: str) -> None:
    expected = night.on_air_units(RECORDINGS[ending])
    with open_recording(published.recording(ending)) as units:
        assert len(units) == len(expected)
        assert units._map[:] == b"".join(len(unit).to_bytes(4, "big") + unit for unit in expected)


def test_m4a_starts_before_it_is_whole(published: Published) -> None:
    assert [kind for kind, _ in boxes_of(published.recording("m4a"))] == [b"ftyp", b"moov", b"mdat"]


def boxes_of(file: Path) -> list[tuple[bytes, int]]:
    data = file.read_bytes()
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        found.append((data[at + 4 : at + 8], size))
        at += size
    assert at == len(data)
    return found


def test_boxes_are_read_strictly() -> None:
    assert dict(boxes(b"\0\0\0\x09free!")) == {b"free": b"!"}


def test_the_night_is_as_long_as_said(published: Published) -> None:
    longest = max(RENDITIONS.values(), key=lambda rendition: rendition.frame_samples).frame_samples
    assert abs(duration_s(published.index) - night.ON_AIR_STEPS * 0.24) * 48_000 <= 2 * longest
