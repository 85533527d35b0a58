"""Writes access units as a plain MP4 file that starts playing before it is whole (moov before mdat).

ISO/IEC 14496-12. The sample description is taken over from the initialisation segment, so decoders are set up
exactly as they were live. Memory: four bytes an access unit.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from stentor.errors import MediaError
from stentor.media.grid import SAMPLE_RATE_HZ
from stentor.media.rendition import Rendition

_UNITS_PER_CHUNK = 50
_COPY_BYTES = 1 << 20
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


class M4aWriter:
    """Collects access units in a body file, then writes header and body. Duration and offsets are exact."""

    def __init__(self, rendition: Rendition, init: bytes, body: BinaryIO) -> None:
        """``body`` is an empty file open for writing and reading."""
        self._rendition = rendition
        self._description = find_box(init, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
        self._body = body
        self._sizes = array("I")

    def add(self, units: Iterable[bytes]) -> None:
        """Append access units."""
        for unit in units:
            self._body.write(unit)
            self._sizes.append(len(unit))

    def write(self, file: Path, *, title: str) -> None:
        """Write the whole recording to ``file``."""
        length = self._body.tell()
        kind = box(b"ftyp", b"M4A \x00\x00\x00\x00M4A isommp42")
        header_bytes = len(kind) + len(self._moov(title, 0)) + 16
        with file.open("wb") as out:
            out.write(kind)
            out.write(self._moov(title, header_bytes))
            out.write(struct.pack(">I4sQ", 1, b"mdat", length + 16))
            self._body.seek(0)
            while block := self._body.read(_COPY_BYTES):
                out.write(block)

    def _moov(self, title: str, offset: int) -> bytes:
        duration = len(self._sizes) * self._rendition.frame_samples
        mvhd = struct.pack(">QQIQIH10x", 0, 0, SAMPLE_RATE_HZ, duration, 0x10000, 0x100) + _MATRIX + bytes(24)
        tkhd = struct.pack(">QQIIQ8xHHHH", 0, 0, 1, 0, duration, 0, 0, 0x100, 0) + _MATRIX + bytes(8)
        mdhd = struct.pack(">QQIQHH", 0, 0, SAMPLE_RATE_HZ, duration, 0x55C4, 0)
        hdlr = struct.pack(">I4s12x", 0, b"soun") + b"Stentor\x00"
        data_here = full_box(b"dref", 0, struct.pack(">I", 1) + full_box(b"url ", 0, b"", flags=1))
        minf = box(b"minf", full_box(b"smhd", 0, bytes(4)) + box(b"dinf", data_here) + self._table(offset))
        mdia = box(b"mdia", full_box(b"mdhd", 1, mdhd) + full_box(b"hdlr", 0, hdlr) + minf)
        track = box(b"trak", full_box(b"tkhd", 1, tkhd, flags=7) + mdia)
        return box(b"moov", full_box(b"mvhd", 1, mvhd + struct.pack(">I", 2)) + track + _title(title))

    def _table(self, offset: int) -> bytes:
        count = len(self._sizes)
        whole, rest = divmod(count, _UNITS_PER_CHUNK)
        chunks = [(1, _UNITS_PER_CHUNK, 1)] if whole else []
        if rest:
            chunks.append((whole + 1, rest, 1))
        stsc = struct.pack(">I", len(chunks)) + b"".join(struct.pack(">III", *entry) for entry in chunks)
        offsets, at = array("Q"), offset
        for first in range(0, count, _UNITS_PER_CHUNK):
            offsets.append(at)
            at += sum(self._sizes[first : first + _UNITS_PER_CHUNK])
        times = [(count, self._rendition.frame_samples)] if count else []
        stts = struct.pack(">I", len(times)) + b"".join(struct.pack(">II", *entry) for entry in times)
        return box(
            b"stbl",
            box(b"stsd", self._description)
            + full_box(b"stts", 0, stts)
            + full_box(b"stsc", 0, stsc)
            + full_box(b"stsz", 0, struct.pack(">II", 0, count) + _big_endian(self._sizes))
            + full_box(b"co64", 0, struct.pack(">I", len(offsets)) + _big_endian(offsets)),
        )


def _title(title: str) -> bytes:
    """Return the user data with a title, as QuickTime and iTunes write it."""
    text = box(b"data", struct.pack(">II", 1, 0) + title.encode())
    items = box(b"ilst", box(b"\xa9nam", text))
    hdlr = full_box(b"hdlr", 0, struct.pack(">I4s4s9x", 0, b"mdir", b"appl"))
    return box(b"udta", full_box(b"meta", 0, hdlr + items)) if title else b""


def _big_endian(numbers: "array[int]") -> bytes:
    swapped = array(numbers.typecode, numbers)
    swapped.byteswap()
    return swapped.tobytes() if struct.pack("=H", 1) == struct.pack("<H", 1) else numbers.tobytes()


def box(kind: bytes, body: bytes) -> bytes:
    """Return an ISO base media box."""
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full_box(kind: bytes, version: int, body: bytes, *, flags: int = 0) -> bytes:
    """Return a box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags) + body)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes of a byte string as (kind, body); raises MediaError when they do not fill it."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise MediaError("A box is cut short.")
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            raise MediaError("A box has the wrong size.")
        yield kind, data[at + 8 : at + size]
        at += size


def find_box(data: bytes, *path: bytes) -> bytes:
    """Return the body of the first box under ``path``; raises MediaError when there is none."""
    for kind in path:
        found = next((body for name, body in boxes(data) if name == kind), None)
        if found is None:
            raise MediaError(f"There is no {kind.decode()} box.")
        data = found
    return data


def fragment_units(data: bytes) -> list[bytes]:
    """Return the access units of a segment as ``media/fmp4`` writes it: moof, mdat, and so on."""
    units: list[bytes] = []
    sizes: list[int] = []
    for kind, body in boxes(data):
        if kind == b"moof":
            sizes = _run_sizes(find_box(body, b"traf", b"trun"))
        elif kind == b"mdat":
            if sum(sizes) != len(body):
                raise MediaError("A segment's sizes do not add up to its data.")
            at = 0
            for size in sizes:
                units.append(body[at : at + size])
                at += size
    return units


def _run_sizes(trun: bytes) -> list[int]:
    """Return the sample sizes of a track run (14496-12, 8.8.8)."""
    flags, count = struct.unpack_from(">II", trun)
    skip = 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    fields = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
    if 0x200 not in fields or skip + 4 * count * len(fields) > len(trun):
        raise MediaError("A segment does not say how large its access units are.")
    numbers = struct.unpack_from(f">{count * len(fields)}I", trun, skip)
    return list(numbers[fields.index(0x200) :: len(fields)])
