"""What a listener's browser reads and writes, without IO: HTTP/1.1 responses, WebSocket frames of a server.

Only what Stentor's edges send is understood: bodies with a length (RFC 9112, 6.3), final unmasked frames (RFC 6455).
"""

import os
import struct
from dataclasses import dataclass

from stentor.errors import MediaError

_MAX_HEAD_BYTES = 32_768
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def keeps(self) -> bool:
        """Tell whether the connection may be used again."""
        return self.headers.get("connection", "").lower() != "close"


class AnswerReader:
    """Takes the bytes of one response after the other; bodies beyond ``most_bytes`` are counted and dropped."""

    __slots__ = ("_body", "_buffer", "_head", "_left", "received")

    def __init__(self) -> None:
        self._buffer = b""
        self._head: tuple[int, dict[str, str]] | None = None
        self._body: list[bytes] = []
        self._left = 0
        self.received = 0

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes; return the response once it is whole. Raises MediaError for what is none."""
        self.received += len(data)
        if self._head is None:
            self._buffer += data
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                if len(self._buffer) > _MAX_HEAD_BYTES:
                    raise MediaError("the head of a response has no end")
                return None
            self._head = _read_head(head)
            status, headers = self._head
            bodiless = status in (101, 204, 304)
            self._left = 0 if bodiless else _length(headers)
            self._buffer, data = b"", rest
        if len(data) < self._left:
            self._body.append(data)
            self._left -= len(data)
            return None
        self._body.append(data[: self._left])
        self._buffer = data[self._left :]
        answer = Answer(*self._head, b"".join(self._body))
        self._head, self._body, self._left = None, [], 0
        return answer

    @property
    def rest(self) -> bytes:
        """Return what came after the last response: frames after an upgrade."""
        return self._buffer


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        status = int(first.split(" ", 2)[1])
    except (IndexError, ValueError):
        raise MediaError("this is no HTTP response") from None
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return status, headers


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "")
    if not text.isdigit():
        raise MediaError("a response without a length")
    return int(text)


def request(method: str, path: str, host: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a request; the length of a body is said."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if body or method == "POST":
        headers = {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "c3RlbnRvci1yZWhlYXJzZQ==",
}
"""The opening handshake; its key guards caches against confusion and keeps no secret, so all may have the same."""


def client_frame(opcode: int, payload: bytes = b"") -> bytes:
    """Return a final, masked frame of at most 125 bytes (RFC 6455, section 5.3)."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return struct.pack(">BB", 0x80 | opcode, 0x80 | len(payload)) + mask + body


def frames(buffer: bytes) -> tuple[list[tuple[int, int, int]], int]:
    """Return where the whole frames of a server lie, (opcode, begin, end) of each payload, and where the rest begins.

    Raises MediaError for a masked or fragmented frame: edges send none.
    """
    found = []
    at, size = 0, len(buffer)
    while size - at >= 2:
        first, length = buffer[at], buffer[at + 1]
        if length > 127 or not first & 0x80:
            raise MediaError("a frame that no edge sends")
        begin = at + 2
        if length >= 126:
            width = 2 if length == 126 else 8
            if size < begin + width:
                break
            length = int.from_bytes(buffer[begin : begin + width])
            begin += width
        if size < begin + length:
            break
        at = begin + length
        found.append((first & 0x0F, begin, at))
    return found, at
