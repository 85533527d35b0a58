"""The hash chain that shows a recording to be what was broadcast.

Each rendition has its own chain of 32-byte SHA-256 heads, one a chunk, going on from epoch to epoch. Anyone can
compute it again; this is the whole of it, byte for byte. All integers are big-endian; ``lp(x)`` is the length of
``x`` in bytes as u32, then ``x``; text is ASCII.

    init_hash = SHA-256(initialisation segment)                    MP3 has none: SHA-256 of nothing
    genesis   = SHA-256("stentor/proof/1/genesis" lp(room) lp(rendition) init_hash)
    units     = SHA-256(lp(unit 0) lp(unit 1) …)
    head      = SHA-256("stentor/proof/1/link" previous lp(room) lp(rendition) init_hash
                        epoch:u64 step:u64 first_sample:u64 units)

``previous`` is the head of the chunk before in this rendition, or ``genesis`` for the first chunk of the room.
``rendition`` is "opus", "aac" or "mp3"; ``step`` counts 0.24 s from the room's zero; ``first_sample`` is where the
first access unit starts, in samples at 48 kHz. Fields of fixed size carry no length, so every input is read in
only one way.
"""

import hashlib
import struct
from collections.abc import Iterable
from functools import cache

from stentor.media.chunk import Chunk
from stentor.media.fmp4 import init_segment
from stentor.media.grid import Samples, Step
from stentor.media.rendition import RENDITIONS, RenditionName

_GENESIS = b"stentor/proof/1/genesis"
_LINK = b"stentor/proof/1/link"
_LENGTH = struct.Struct(">I")
_PLACE = struct.Struct(">QQQ")


def genesis(room: str, rendition: RenditionName, init: bytes) -> bytes:
    """Return the head (32 bytes) that the first chunk of a room follows; ``init`` is the initialisation segment."""
    return _sha256(_GENESIS, _prefixed(room.encode("ascii")), _prefixed(rendition.encode("ascii")), _sha256(init))


def first_head(room: str, rendition: RenditionName) -> bytes:
    """Return the genesis of a room and rendition with the initialisation segment that we write."""
    return genesis(room, rendition, init_segment(RENDITIONS[rendition]))


def units_hash(units: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of the length-prefixed access units."""
    return _sha256(*(part for unit in units for part in (_LENGTH.pack(len(unit)), unit)))


@cache
def init_hash(rendition: RenditionName) -> bytes:
    """Return the SHA-256 of a rendition's initialisation segment."""
    return _sha256(init_segment(RENDITIONS[rendition]))


def link(previous: bytes, chunk: Chunk) -> bytes:
    """Return the head (32 bytes) of a chunk after ``previous``; the chunk's own ``head`` is not read."""
    return link_units(
        previous, chunk.room, chunk.rendition, (chunk.epoch, chunk.step, chunk.first_sample), units_hash(chunk.units)
    )


def link_units(
    previous: bytes, room: str, rendition: RenditionName, place: tuple[int, Step, Samples], units: bytes
) -> bytes:
    """Return the head for fields; ``place`` is (epoch, step, first sample), ``units`` the hash of the units."""
    return _sha256(
        _LINK,
        previous,
        _prefixed(room.encode("ascii")),
        _prefixed(rendition.encode("ascii")),
        init_hash(rendition),
        _PLACE.pack(*place),
        units,
    )


def follows(previous: bytes, chunk: Chunk) -> bool:
    """Return whether a chunk's head is the right one after ``previous``."""
    return link(previous, chunk) == chunk.head


def _prefixed(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _sha256(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
