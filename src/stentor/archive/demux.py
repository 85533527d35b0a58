"""Takes a recording apart: its access units, byte for byte, whoever wrote the file around them."""

import hashlib
import mmap
import struct
from array import array
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

import av

from stentor.errors import MediaError
from stentor.media.rendition import RenditionName

_LENGTH = struct.Struct(">I")
_MP3_BITRATES_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_RATES_HZ = (44_100, 48_000, 32_000)
_FFMPEG_CODECS = {RenditionName.AAC: "aac", RenditionName.OPUS: "opus"}


class Units:
    """The access units of a recording in order, on disk rather than in memory, each with its length in front.

    ``config`` is the decoder's set-up in the file (AudioSpecificConfig or OpusHead), empty for MP3.
    """

    def __init__(self, rendition: RenditionName, config: bytes, units: Iterator[bytes]) -> None:
        self.rendition = rendition
        self.config = config
        self._file = TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._offsets = array("Q", [0])
        at = 0
        for unit in units:
            self._file.write(_LENGTH.pack(len(unit)))
            self._file.write(unit)
            at += len(unit) + _LENGTH.size
            self._offsets.append(at)
        self._file.flush()
        self._map = mmap.mmap(self._file.fileno(), at, access=mmap.ACCESS_READ) if at else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if isinstance(self._map, mmap.mmap):
            self._map.close()
        self._file.close()

    def __len__(self) -> int:
        """Return how many access units there are."""
        return len(self._offsets) - 1

    def hash(self, first: int, count: int) -> bytes:
        """Return the SHA-256 over ``count`` access units from ``first``, each with its length in front (u32)."""
        return hashlib.sha256(self._map[self._offsets[first] : self._offsets[first + count]]).digest()


def open_recording(path: Path) -> Units:
    """Return the access units of an m4a, Ogg Opus or MP3 file. Raises MediaError when it is none of these."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise MediaError(f"{path.name} cannot be read: {error.strerror}.") from error
    if start[:4] == b"OggS":
        return _by_ffmpeg(path, RenditionName.OPUS)
    if start[4:8] == b"ftyp":
        return _by_ffmpeg(path, RenditionName.AAC)
    if start[:3] == b"ID3" or (len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return Units(RenditionName.MP3, b"", _mp3_frames(data))
    raise MediaError(f"{path.name} is not a recording that we know: m4a, Ogg Opus or MP3.")


def decoder_config(init: bytes) -> bytes:
    """Return the decoder's set-up in an initialisation segment, as ``Units.config`` gives it for a file."""
    if not init:
        return b""
    with _opened(BytesIO(init)) as container:
        return bytes(container.streams.audio[0].codec_context.extradata or b"")


def _by_ffmpeg(path: Path, rendition: RenditionName) -> Units:
    try:
        with _opened(str(path)) as container:
            if not container.streams.audio:
                raise MediaError(f"{path.name} has no sound.")
            stream = container.streams.audio[0]
            if stream.codec_context.name.removeprefix("lib") != _FFMPEG_CODECS[rendition]:
                raise MediaError(f"{path.name} is {stream.codec_context.name}, not {rendition}.")
            config = bytes(stream.codec_context.extradata or b"")
            return Units(rendition, config, (bytes(packet) for packet in container.demux(stream) if packet.size))
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path.name} is damaged: {error}.") from error


def _opened(source: "str | BytesIO") -> "av.container.InputContainer":
    options = {"ignore_editlist": "1"} if isinstance(source, BytesIO) or source.endswith(("m4a", "mp4")) else {}
    return av.open(source, mode="r", options=options)


def _mp3_frames(data: mmap.mmap) -> Iterator[bytes]:
    """Yield the frames of an MPEG-1 Layer III stream (ISO/IEC 11172-3, 2.4.2.3), tags left out."""
    at = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        at = 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])
    first = True
    while at + 4 <= len(data):
        length = _mp3_frame_length(data, at)
        if length is None or at + length > len(data):
            at += 1
            continue
        frame = data[at : at + length]
        at += length
        tag = first and (b"Xing" in frame[:48] or b"Info" in frame[:48])
        first = False
        if not tag:
            yield frame


def _mp3_frame_length(data: mmap.mmap, at: int) -> int | None:
    """Return the length of the frame whose header stands at ``at``, or None when none does."""
    if data[at] != 0xFF or data[at + 1] & 0xFE != 0xFA:
        return None
    bitrate, rate = data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if bitrate in (0, 15) or rate == 3:
        return None
    padding = data[at + 2] >> 1 & 1
    return 144_000 * _MP3_BITRATES_KBPS[bitrate] // _MP3_RATES_HZ[rate] + padding
