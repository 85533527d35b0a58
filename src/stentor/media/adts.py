"""AAC access units as an ADTS stream (ISO/IEC 13818-7, 6.2), for progressive listening."""

from collections.abc import Iterable

from stentor.errors import MediaError

_HEADER_BYTES = 7
_MAX_FRAME_BYTES = (1 << 13) - 1
_SYNC_MPEG4_NO_CRC = 0xFFF1
_PROFILE_LC = 1
_INDEX_48_KHZ = 3
_ONE_CHANNEL = 1
_FULLNESS_VARIABLE = 0x7FF


def adts(units: Iterable[bytes]) -> bytes:
    """Return AAC-LC access units (48 kHz, mono), each behind its 7-byte ADTS header.

    Raises:
        MediaError: a unit is longer than the 13 bits of the frame length allow.
    """
    return b"".join(part for unit in units for part in (_header(len(unit)), unit))


def _header(unit_bytes: int) -> bytes:
    length = unit_bytes + _HEADER_BYTES
    if length > _MAX_FRAME_BYTES:
        raise MediaError("An AAC access unit is too long for ADTS.")
    bits = _SYNC_MPEG4_NO_CRC
    for value, width in (
        (_PROFILE_LC, 2),
        (_INDEX_48_KHZ, 4),
        (0, 1),  # private
        (_ONE_CHANNEL, 3),
        (0, 4),  # original, home, copyright identification and start
        (length, 13),
        (_FULLNESS_VARIABLE, 11),
        (0, 2),  # one raw data block
    ):
        bits = bits << width | value
    return bits.to_bytes(_HEADER_BYTES, "big")
