"""The client's side of a WebSocket (RFC 6455): what an edge speaks with the edge above. No extensions."""

import asyncio
import base64
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from stentor.bus.upstream_http import UpstreamAddress, opened
from stentor.errors import StentorError, Unauthenticated, Unavailable

MAX_MESSAGE_BYTES = 1_048_576
_OPEN_S = 5.0
_MAX_UNSENT_BYTES = 1_048_576
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10


class HungUp(Unavailable):
    """The other side closed the WebSocket, or broke its rules."""

    slug = "hung-up"


class ServerFrames:
    """Turns the bytes of a server into frames: ``feed`` returns whole messages as (opcode, payload)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._kind: int | None = None
        self._message = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes; raises HungUp for what RFC 6455 does not allow a server."""
        self._buffer += data
        messages: list[tuple[int, bytes]] = []
        at = 0
        while (found := self._frame(at)) is not None:
            first, start, end = found
            payload = bytes(self._buffer[start:end])
            at = end
            message = self._gather(first & 0x0F, payload, final=bool(first & 0x80))
            if message is not None:
                messages.append(message)
        del self._buffer[:at]
        return messages

    def _frame(self, at: int) -> tuple[int, int, int] | None:
        """Return (first byte, start and end of the payload) of the whole frame at ``at``, or None."""
        buffer = self._buffer
        if len(buffer) < at + 2:
            return None
        first, size, start = buffer[at], buffer[at + 1], at + 2
        if first & 0x70 or size & 0x80:
            raise HungUp("The edge above sent a frame that no server may send.")
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < start + width:
                return None
            size, start = int.from_bytes(buffer[start : start + width]), start + width
        if size + len(self._message) > MAX_MESSAGE_BYTES:
            raise HungUp("The edge above sent a message that is too large.")
        return (first, start, start + size) if len(buffer) >= start + size else None

    def _gather(self, opcode: int, payload: bytes, *, final: bool) -> tuple[int, bytes] | None:
        if opcode >= _CLOSE:
            return opcode, payload
        if (opcode == _CONTINUATION) != (self._kind is not None):
            raise HungUp("The edge above sent a fragment out of place.")
        if final and self._kind is None:
            return opcode, payload
        self._kind = opcode if self._kind is None else self._kind
        self._message += payload
        if not final:
            return None
        message, kind = bytes(self._message), self._kind
        self._message.clear()
        self._kind = None
        return kind, message


class UpstreamSocket:
    """An open WebSocket to the edge above."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = ServerFrames()

    async def receive(self, within_s: float) -> list[bytes]:
        """Return the next binary messages, perhaps none; raises HungUp, and TimeoutError when nothing comes."""
        async with asyncio.timeout(within_s):
            data = await self._reader.read(65_536)
        if not data:
            raise HungUp("The edge above has gone.")
        messages = []
        for opcode, payload in self._frames.feed(data):
            if opcode == _BINARY:
                messages.append(payload)
            elif opcode == _PING:
                self._write(_PONG, payload)
            elif opcode == _CLOSE:
                raise HungUp(f"The edge above hung up ({_close_reason(payload)}).")
        return messages

    def send(self, payload: bytes) -> bool:
        """Send a binary message; False when so much is unsent that it was dropped."""
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            return False
        self._write(_BINARY, payload)
        return True

    def _write(self, opcode: int, payload: bytes) -> None:
        self._writer.write(masked_frame(opcode, payload, os.urandom(4)))


def masked_frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """Return one final frame as a client sends it (section 5.3)."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
    elif size < 65_536:
        head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return head + mask + (int.from_bytes(payload) ^ key).to_bytes(size)


@asynccontextmanager
async def upgraded(address: UpstreamAddress, target: str, headers: Mapping[str, str]) -> AsyncIterator[UpstreamSocket]:
    """Hold a WebSocket inside the context.

    Raises Unauthenticated when the other side answers 401, Unavailable for any other answer but 101.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        **headers,
    }
    async with asyncio.timeout(_OPEN_S) as deadline, opened(address) as (reader, writer):
        writer.write(address.request("GET", target, handshake))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        _check(head, key)
        deadline.reschedule(None)
        yield UpstreamSocket(reader, writer)


def _check(head: str, key: str) -> None:
    status, *lines = head.split("\r\n")
    code = status.split(" ")[1:2]
    if code == ["401"]:
        raise Unauthenticated("The edge above refuses our relay key.")
    if code != ["101"]:
        raise Unavailable(f"The edge above does not open a relay ({status.partition(' ')[2] or 'no HTTP'}).")
    accepted = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if fields.get("sec-websocket-accept") != accepted:
        raise StentorError("What answers at the address of the edge above speaks no WebSocket.")


def _close_reason(payload: bytes) -> str:
    if len(payload) < 2:
        return "without a word"
    return f"{int.from_bytes(payload[:2])} {payload[2:].decode(errors='replace')}".strip()
