"""Opus access units as an Ogg stream (RFC 3533, RFC 7845), for progressive listening and recordings."""

import struct
import zlib
from collections.abc import Sequence

from stentor.errors import MediaError
from stentor.media.grid import SAMPLE_RATE_HZ
from stentor.media.rendition import RENDITIONS, RenditionName

_PAGE = struct.Struct("<4sBBqIIIB")
_CRC_AT = 22
_FIRST, _LAST = 0x02, 0x04
_MAX_LACES = 255
_VENDOR = b"Stentor"
PRE_SKIP_SAMPLES = RENDITIONS[RenditionName.OPUS].priming_samples


def headers(serial: int, pre_skip: int = PRE_SKIP_SAMPLES) -> bytes:
    """Return the two header pages (sequence 0 and 1); media pages go on with sequence 2.

    ``pre_skip``: samples a player discards at the start (RFC 7845, 5.1). The program already skips the encoder's
    priming, so a stream that is joined midway may also say 0.
    """
    channels = RENDITIONS[RenditionName.OPUS].channels
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, channels, pre_skip, SAMPLE_RATE_HZ, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", 0)
    return _page(serial, 0, 0, [head], _FIRST) + _page(serial, 1, 0, [tags], 0)


def page(serial: int, sequence: int, granule: int, units: Sequence[bytes], *, last: bool = False) -> bytes:
    """Return one page with whole access units.

    ``granule``: the samples of the stream up to the end of the last unit, pre-skip included (RFC 7845, 4).

    Raises:
        MediaError: the units need more than 255 lacing values; a step of Opus needs far fewer.
    """
    return _page(serial, sequence, granule, units, _LAST if last else 0)


def _page(serial: int, sequence: int, granule: int, units: Sequence[bytes], flags: int) -> bytes:
    laces = b"".join(b"\xff" * (len(unit) // 255) + bytes((len(unit) % 255,)) for unit in units)
    if len(laces) > _MAX_LACES:
        raise MediaError("Too much for one Ogg page.")
    start = _PAGE.pack(b"OggS", 0, flags, granule, serial & 0xFFFFFFFF, sequence & 0xFFFFFFFF, 0, len(laces))
    whole = bytearray(b"".join((start, laces, *units)))
    struct.pack_into("<I", whole, _CRC_AT, _crc(whole))
    return bytes(whole)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _crc(data: bytes | bytearray) -> int:
    """Return the checksum of RFC 3533, 6: CRC-32 with polynomial 0x04C11DB7, unreflected, from zero.

    zlib has the same polynomial reflected, starting from all ones and inverted at the end; mirroring the bits of
    each byte and of the result turns one into the other, two orders faster than a table in Python.
    """
    reflected = zlib.crc32(bytes(data).translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")
