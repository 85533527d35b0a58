"""Replies to ``origin.{room}.ring``: several chunk messages in one, each with its length in front (u32)."""

import struct

from stentor.bus.wire import decode_chunk
from stentor.errors import MediaError
from stentor.media.chunk import Chunk

_LENGTH = struct.Struct(">I")


def pack_messages(messages: list[bytes]) -> bytes:
    """Return encoded chunks as one reply."""
    return b"".join(part for message in messages for part in (_LENGTH.pack(len(message)), message))


def unpack_chunks(reply: bytes) -> list[Chunk]:
    """Return the chunks in a reply, in order; raises MediaError when it is garbled."""
    chunks = []
    at = 0
    while at < len(reply):
        if at + _LENGTH.size > len(reply):
            raise MediaError("A ring reply is cut short.")
        (length,) = _LENGTH.unpack_from(reply, at)
        at += _LENGTH.size
        chunks.append(decode_chunk(reply[at : at + length]))
        at += length
    return chunks
