"""RED: an Opus packet that carries the one before it again (RFC 2198). Bytes in, blocks out."""

from typing import NamedTuple

from stentor.errors import MediaError

MAX_BLOCKS = 4
_MORE = 0x80
_HEADER_BYTES = 4


class Block(NamedTuple):
    """One frame: how many samples before the packet's timestamp it begins, and its payload (may be empty)."""

    before_samples: int
    payload: bytes


def parse(payload: bytes, opus_type: int) -> list[Block]:
    """Return the blocks, oldest first; the last one is the packet's own frame.

    Raises MediaError for a broken payload, for more than ``MAX_BLOCKS``, and for a block that is not Opus.
    """
    headers: list[tuple[int, int]] = []
    position = 0
    while position < len(payload) and payload[position] & _MORE:
        header = payload[position : position + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES or len(headers) + 1 >= MAX_BLOCKS or header[0] & 0x7F != opus_type:
            raise MediaError("The RED header is cut off, too long, or of another codec.")
        packed = int.from_bytes(header[1:], "big")
        headers.append((packed >> 10, packed & 0x3FF))
        position += _HEADER_BYTES
    if position >= len(payload) or payload[position] != opus_type:
        raise MediaError("The RED payload has no frame of its own.")
    position += 1
    blocks = []
    for before, length in headers:
        if position + length > len(payload):
            raise MediaError("A RED block is longer than its packet.")
        blocks.append(Block(before, payload[position : position + length]))
        position += length
    return [*blocks, Block(0, payload[position:])]
