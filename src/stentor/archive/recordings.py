"""Makes the recordings that people download: the stored access units, unchanged, in one file.

Segments are read a few at a time and written to scratch files in a thread, so that a night of twelve hours needs no
more memory than a minute.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from stentor.archive.m4a import M4aWriter, fragment_units
from stentor.errors import StoreUnavailable
from stentor.media import ogg
from stentor.media.fmp4 import init_segment
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName
from stentor.store.object_port import Objects
from stentor.store.recording import RECORDINGS, RecordingIndex, recording_path, segment_path, segments

_SEGMENTS_AT_ONCE = 16
_UNITS_PER_PAGE = 50


class _Writer(Protocol):
    """Takes segments in order and makes a file of them; called in threads, never two at once."""

    def add(self, stored: list[bytes]) -> None:
        """Append segments as they are stored."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class _Mp3File:
    def __init__(self, file: Path) -> None:
        self._out = file.open("wb")

    def add(self, stored: list[bytes]) -> None:
        self._out.writelines(stored)

    def close(self) -> None:
        self._out.close()


class _OggFile:
    """Ogg Opus (RFC 7845): pages of one second; the last one says that it is the last."""

    def __init__(self, file: Path, rendition: Rendition, serial: int) -> None:
        self._out = file.open("wb")
        self._out.write(ogg.headers(serial))
        self._rendition = rendition
        self._serial = serial
        self._sequence = 2
        self._granule = 0
        self._waiting: list[bytes] = []

    def add(self, stored: list[bytes]) -> None:
        for segment in stored:
            self._waiting += fragment_units(segment)
            while len(self._waiting) > _UNITS_PER_PAGE:
                self._page(self._waiting[:_UNITS_PER_PAGE])
                del self._waiting[:_UNITS_PER_PAGE]

    def close(self) -> None:
        self._page(self._waiting, last=True)
        self._out.close()

    def _page(self, units: list[bytes], *, last: bool = False) -> None:
        self._granule += len(units) * self._rendition.frame_samples
        self._out.write(ogg.page(self._serial, self._sequence, self._granule, units, last=last))
        self._sequence += 1


class _M4aFile:
    def __init__(self, file: Path, rendition: Rendition, title: str) -> None:
        self._file = file
        self._title = title
        self._body = file.with_suffix(".body").open("w+b")
        self._writer = M4aWriter(rendition, init_segment(rendition), self._body)

    def add(self, stored: list[bytes]) -> None:
        for segment in stored:
            self._writer.add(fragment_units(segment))

    def close(self) -> None:
        self._writer.write(self._file, title=self._title)
        self._body.close()


async def make_recording(objects: Objects, index: RecordingIndex, ending: str, scratch: Path) -> None:
    """Make and store ``recording.{ending}``. Raises StoreUnavailable.

    Args:
        objects: where the segments are and the recording goes.
        index: the complete index of the room.
        ending: m4a, opus or mp3.
        scratch: a folder for files of up to twice the recording's size, emptied again.
    """
    name = RECORDINGS[ending]
    with TemporaryDirectory(dir=scratch, prefix="recording-") as folder:
        file = Path(folder) / f"recording.{ending}"
        writer = _writer(file, name, index)
        try:
            async for batch in _stored_segments(objects, index, name):
                await asyncio.to_thread(writer.add, batch)
        finally:
            await asyncio.to_thread(writer.close)
        await objects.put_file(recording_path(index.room, ending), file)


def _writer(file: Path, name: RenditionName, index: RecordingIndex) -> _Writer:
    if name is RenditionName.MP3:
        return _Mp3File(file)
    if name is RenditionName.OPUS:
        return _OggFile(file, RENDITIONS[name], zlib.crc32(index.room.encode()))
    return _M4aFile(file, RENDITIONS[name], index.title or index.room)


async def _stored_segments(objects: Objects, index: RecordingIndex, name: RenditionName) -> AsyncIterator[list[bytes]]:
    """Yield the segments of a rendition in order, a few at a time."""
    entries = segments(name, index.runs(name))
    while batch := list(islice(entries, _SEGMENTS_AT_ONCE)):
        async with asyncio.TaskGroup() as group:
            paths = [segment_path(index.room, name, entry.epoch, entry.number) for entry in batch]
            reads = [group.create_task(_read(objects, path)) for path in paths]
        yield [read.result() for read in reads]


async def _read(objects: Objects, path: str) -> bytes:
    data = await objects.get(path)
    if data is None:
        raise StoreUnavailable(f"The segment {path} is not in the object store, but its index says so.")
    return data
