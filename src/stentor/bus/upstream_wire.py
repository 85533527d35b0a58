"""What an edge and the edge below it tell each other over the relay (docs/design.md, "Edge behind edge").

One WebSocket message each: kind u8 · name length u8 · name in ASCII · payload. Pure.
"""

import struct
from enum import IntEnum

from stentor.errors import MediaError

PATH = "/relay"
VERSION = "1"

_AFTER = struct.Struct(">q")
_NUMBER = struct.Struct(">I")


class Kind(IntEnum):
    """What a message is. Down: the first six and ANSWER; up: the others, and MESSAGE for audience reports."""

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
    ASK = 10
    """Name: the subject of a request. Payload: its number (see ``pack_numbered``) and the request."""
    ANSWER = 11
    """Payload: the number of a request and its answer, which is empty if there was none."""


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


def pack_numbered(number: int, payload: bytes) -> bytes:
    """Return the payload of ASK or ANSWER: a number (u32) before what is asked or answered."""
    return _NUMBER.pack(number) + payload


def unpack_numbered(payload: bytes) -> tuple[int, bytes]:
    """Return number and content of an ASK or ANSWER; raises MediaError."""
    if len(payload) < _NUMBER.size:
        raise MediaError("A request of the relay has no number.")
    return int(_NUMBER.unpack_from(payload)[0]), payload[_NUMBER.size :]


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
