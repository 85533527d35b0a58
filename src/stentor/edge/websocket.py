"""WebSocket frames as a server reads and writes them (RFC 6455): no extensions, no IO.

What comes from a listener is small and rare, so whole messages are gathered under a limit; what goes to listeners
is one unmasked frame, made once and written to all.
"""

import base64
import hashlib
import struct
from collections.abc import Mapping
from enum import IntEnum

from stentor.errors import BadRequest, StentorError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE_BYTES = 4_096
MAX_FRAMES = 32
"""What a listener may say at once, empty fragments too: it has nothing to say but an answer to a ping a minute."""


class Opcode(IntEnum):
    """RFC 6455, section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(IntEnum):
    """RFC 6455, section 7.4.1, and ours from 4000 up."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    BAD_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    NO_SUCH_ROOM = 4404
    ELSEWHERE = 4409
    NOT_OPEN = 4425
    DOOR = 4429


class FrameError(StentorError):
    """The peer broke RFC 6455, or says too much; close with ``code``."""

    status = 400
    slug = "websocket"

    def __init__(self, code: CloseCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class UpgradeRequired(BadRequest):
    """The address is for WebSocket only."""

    status = 426
    slug = "upgrade-required"


def accept(headers: Mapping[str, str]) -> bytes:
    """Return the head of the 101 answer to an opening handshake (section 4.2).

    Raises UpgradeRequired when the request is no handshake of version 13.
    """
    tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise UpgradeRequired("This address is a WebSocket: connect with ws:// or wss://.")
    if headers.get("sec-websocket-version") != "13":
        raise UpgradeRequired("Only version 13 of WebSocket is spoken here.")
    key = headers.get("sec-websocket-key", "")
    try:
        nonce = base64.b64decode(key, validate=True)
    except ValueError:
        nonce = b""
    if len(nonce) != 16:
        raise BadRequest("Sec-WebSocket-Key must be 16 bytes in Base64.")
    digest = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + digest
        + b"\r\n\r\n"
    )


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return one final, unmasked frame (section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return struct.pack(">BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, size) + payload


def close_frame(code: CloseCode | int, reason: str = "") -> bytes:
    """Return a close frame with a code and a short reason (at most 123 bytes)."""
    return frame(Opcode.CLOSE, struct.pack(">H", code) + reason.encode()[:123])


class FrameReader:
    """Turns the bytes of a client into messages.

    ``feed`` returns whole messages as (opcode, payload): TEXT, BINARY, CLOSE, PING or PONG. Raises FrameError, also
    for a message of more than ``most_bytes`` and for more than ``most_frames`` at once.
    """

    __slots__ = ("_at", "_buffer", "_kind", "_message", "_most_bytes", "_most_frames")

    def __init__(self, most_bytes: int = MAX_MESSAGE_BYTES, most_frames: int = MAX_FRAMES) -> None:
        self._most_bytes = most_bytes
        self._most_frames = most_frames
        self._buffer = b""
        self._at = 0
        self._kind: Opcode | None = None
        self._message = b""

    @property
    def pending(self) -> bool:
        """Tell whether a message has begun that is not complete."""
        return self._at < len(self._buffer) or self._kind is not None

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """Take the next bytes and return the messages that are complete with them."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        messages = []
        frames = 0
        while (taken := self._take_frame()) is not None:
            frames += 1
            if frames > self._most_frames:
                raise FrameError(CloseCode.POLICY, f"More than {self._most_frames} frames came at once.")
            opcode, final, payload = taken
            message = self._gather(opcode, payload, final=final)
            if message is not None:
                messages.append(message)
        return messages

    def _take_frame(self) -> tuple[Opcode, bool, bytes] | None:
        """Return (opcode, final, unmasked payload) of the first whole frame in the buffer, or None."""
        buffer, start = self._buffer, self._at
        if len(buffer) < start + 2:
            return None
        opcode, size = self._check_head(buffer[start], buffer[start + 1])
        at = start + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < at + width:
                return None
            size = int.from_bytes(buffer[at : at + width])
            at += width
        if size + len(self._message) > self._most_bytes:
            raise FrameError(CloseCode.TOO_BIG, f"A message may have {self._most_bytes} bytes at most.")
        if len(buffer) < at + 4 + size:
            return None
        mask, payload = buffer[at : at + 4], buffer[at + 4 : at + 4 + size]
        self._at = at + 4 + size
        return opcode, bool(buffer[start] & 0x80), _unmask(mask, payload)

    @staticmethod
    def _check_head(first: int, second: int) -> tuple[Opcode, int]:
        if first & 0x70:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "A reserved bit is set and no extension was agreed.")
        if not second & 0x80:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "A client's frames must be masked.")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "The opcode is not one of RFC 6455.") from None
        size = second & 0x7F
        if opcode >= Opcode.CLOSE and (size > 125 or not first & 0x80):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "A control frame must be whole and at most 125 bytes.")
        return opcode, size

    def _gather(self, opcode: Opcode, payload: bytes, *, final: bool) -> tuple[Opcode, bytes] | None:
        if opcode >= Opcode.CLOSE:
            return opcode, payload
        if (opcode is Opcode.CONTINUATION) != (self._kind is not None):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "A fragment is out of place.")
        kind = opcode if self._kind is None else self._kind
        self._kind, self._message = kind, self._message + payload
        if not final:
            return None
        message, self._kind, self._message = self._message, None, b""
        if kind is Opcode.TEXT:
            try:
                message.decode()
            except UnicodeDecodeError:
                raise FrameError(CloseCode.BAD_TEXT, "A text message is not UTF-8.") from None
        return kind, message


def _unmask(mask: bytes, payload: bytes) -> bytes:
    size = len(payload)
    if not size:
        return b""
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return (int.from_bytes(payload) ^ key).to_bytes(size)
