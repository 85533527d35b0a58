"""Chunks as bytes: the one message format of LIVE, LOG, ring and spool.

Layout, big-endian: magic ``b"STC1"`` · flags u8 (bit 0: silent) · epoch u32 · discontinuity u32 · step u64 ·
first sample u64 · head 32 bytes · room length u8 + ASCII · rendition length u8 + ASCII · unit count u16 ·
each unit's length u16 · the units.
"""

import struct

from stentor.errors import MediaError
from stentor.media.chunk import Chunk
from stentor.media.grid import Samples, Step
from stentor.media.rendition import RenditionName

_MAGIC = b"STC1"
_FIXED = struct.Struct(">4sBIIQQ32s")
_SILENT = 1
MAX_CHUNK_BYTES = 65_536
_MAX_UNITS = 64


def encode_chunk(chunk: Chunk) -> bytes:
    """Return a chunk as one message."""
    room, rendition = chunk.room.encode("ascii"), chunk.rendition.encode("ascii")
    count = len(chunk.units)
    return b"".join(
        (
            _FIXED.pack(
                _MAGIC,
                _SILENT if chunk.silent else 0,
                chunk.epoch,
                chunk.discontinuity,
                chunk.step,
                chunk.first_sample,
                chunk.head,
            ),
            bytes((len(room),)),
            room,
            bytes((len(rendition),)),
            rendition,
            struct.pack(f">H{count}H", count, *map(len, chunk.units)),
            *chunk.units,
        )
    )


def decode_chunk(message: bytes) -> Chunk:
    """Return the chunk in a message; raises MediaError for anything that is not exactly one."""
    if len(message) > MAX_CHUNK_BYTES:
        raise MediaError("A chunk message is larger than 64 kB.")
    try:
        magic, flags, epoch, discontinuity, step, first_sample, head = _FIXED.unpack_from(message)
        room, at = _text(message, _FIXED.size)
        rendition, at = _text(message, at)
        (count,) = struct.unpack_from(">H", message, at)
        if magic != _MAGIC or count > _MAX_UNITS or flags > _SILENT:
            raise MediaError("A message on a chunk subject is not a chunk.")
        lengths = struct.unpack_from(f">{count}H", message, at + 2)
        at += 2 + 2 * count
        if at + sum(lengths) != len(message):
            raise MediaError("A chunk message has the wrong length.")
        units = []
        for length in lengths:
            units.append(message[at : at + length])
            at += length
        name = RenditionName(rendition)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise MediaError("A chunk message is cut short or garbled.") from error
    return Chunk(
        room, name, epoch, discontinuity, Step(step), Samples(first_sample), tuple(units), head, bool(flags & _SILENT)
    )


def step_of(message: bytes) -> int:
    """Return the step of a chunk message without reading the rest; raises MediaError."""
    try:
        return int(_FIXED.unpack_from(message)[4])
    except struct.error as error:
        raise MediaError("A chunk message is cut short.") from error


def _text(message: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + message[at]
    return message[at + 1 : end].decode("ascii"), end
