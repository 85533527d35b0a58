"""What an edge and the edge below it tell each other over the relay (docs/design.md, "Edge behind edge").

One WebSocket message each: kind u8 · name length u8 · name in ASCII · payload. Pure.
"""

import struct
from enum import IntEnum

from stentor.errors import MediaError

PATH = "/relay"
VERSION = "1"

_AFTER = struct.Struct(">q")


class Kind(IntEnum):
    """What a message is. Down: the first six; up: ALIVE, SUBSCRIBE, UNSUBSCRIBE, and MESSAGE for audience reports."""

    DOCUMENT = 1
    """Name: bucket/key. Payload: the document as JSON."""
    GONE = 2
    """Name: bucket/key of a document that is no longer there."""
    COMPLETE = 3
    """Every document has been said."""
    STATUS = 4
    """Once a second. Payload: why the upper edge is not ready, in UTF-8; empty when it is."""
    MESSAGE = 5
    """Name: a subject of the bus. Payload: the message."""
    CAUGHT_UP = 6
    """Name: a subscription's subject. What the upper edge held of it has been said; from now on it is live."""
    ALIVE = 7
    """The answer to STATUS."""
    SUBSCRIBE = 8
    """Name: a chunk subject. Payload: the last step that is held below (see ``pack_after``)."""
    UNSUBSCRIBE = 9
    """Name: a chunk subject."""


def pack(kind: Kind, name: str = "", payload: bytes = b"") -> bytes:
    """Return one message."""
    text = name.encode("ascii")
    return bytes((kind, len(text))) + text + payload


def unpack(message: bytes) -> tuple[Kind, str, bytes]:
    """Return (kind, name, payload); raises MediaError for anything else."""
    try:
        kind, end = Kind(message[0]), 2 + message[1]
        name = message[2:end].decode("ascii")
    except (IndexError, ValueError) as error:
        raise MediaError("A message of the relay is garbled.") from error
    if end > len(message):
        raise MediaError("A message of the relay is cut short.")
    return kind, name, message[end:]


def pack_after(step: int) -> bytes:
    """Return the payload of SUBSCRIBE: the last step that is held below, -1 for none."""
    return _AFTER.pack(step)


def unpack_after(payload: bytes) -> int:
    """Return the step in a SUBSCRIBE; raises MediaError."""
    try:
        (step,) = _AFTER.unpack(payload)
    except struct.error as error:
        raise MediaError("A subscription of the relay names no step.") from error
    return int(step)
