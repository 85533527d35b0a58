"""One edge that feeds itself from this one: its WebSocket, what it subscribes to, and how much it may owe."""

from typing import Protocol

from stentor.clock import MonotonicNs
from stentor.edge.connection import Connection
from stentor.edge.websocket import (
    MAX_MESSAGE_BYTES,
    CloseCode,
    FrameError,
    FrameReader,
    Opcode,
    close_frame,
    frame,
)
from stentor.errors import MediaError
from stentor.media.rendition import RenditionName

BACKLOG_BYTES = 2_097_152
MAX_BURST_BYTES = 16_777_216
MAX_PUBLIC_BURST_BYTES = 2_097_152
_MAX_FRAMES = 512
_MAX_REPORT_BYTES = 1_048_576


class Taken(Protocol):
    """Who takes what relays say."""

    def taken(self, relay: "Below", message: bytes) -> None:
        """Take one message; raises MediaError for what a relay may not say."""
        ...


class Below:
    """A relay. ``edge`` is the name that it proved the relay key with, None without; ``after`` what it has got.

    ``after`` maps each chunk stream that it subscribes to (room, rendition) to the last step that it held then.
    ``asking``: how many of its requests are under way.
    """

    def __init__(self, connection: Connection, above: Taken, edge: str | None, now: MonotonicNs) -> None:
        self.edge = edge
        self.after: dict[tuple[str, RenditionName], int] = {}
        self.heard_at = now
        self.asking = 0
        self._connection = connection
        self._above = above
        self._reader = FrameReader(MAX_MESSAGE_BYTES if edge is None else _MAX_REPORT_BYTES, _MAX_FRAMES)
        self._burst_bytes = 0

    @property
    def trusted(self) -> bool:
        """Tell whether it has proven the relay key."""
        return self.edge is not None

    def send(self, data: bytes, *, burst: bool = False) -> None:
        """Write frames; cut the relay when it owes more than 2 MB and the bursts that it asked for."""
        connection = self._connection
        owed = _owed_bytes(connection)
        if not owed:
            self._burst_bytes = 0
        if burst:
            most = MAX_BURST_BYTES if self.trusted else MAX_PUBLIC_BURST_BYTES
            self._burst_bytes = min(most, self._burst_bytes + len(data))
        if owed > BACKLOG_BYTES + self._burst_bytes:
            self.cut()
        elif data:
            connection.send(data)

    def cut(self) -> None:
        """Close at once: it does not read, or says nothing any more. It comes back by itself."""
        self._connection.abort()

    def hang_up(self, code: CloseCode, reason: str) -> None:
        """Say why and close."""
        self._connection.send(close_frame(code, reason))
        self._connection.close()

    def received(self, data: bytes) -> None:
        """Take bytes from the relay."""
        try:
            for opcode, payload in self._reader.feed(data):
                if opcode is Opcode.CLOSE:
                    self._connection.send(frame(Opcode.CLOSE, payload[:2]))
                    self._connection.close()
                    return
                if opcode is Opcode.PING:
                    self.send(frame(Opcode.PONG, payload))
                elif opcode is Opcode.BINARY:
                    self._above.taken(self, payload)
        except FrameError as error:
            self.hang_up(error.code, error.detail)
        except MediaError as error:
            self.hang_up(CloseCode.PROTOCOL_ERROR, error.detail)


def _owed_bytes(connection: Connection) -> int:
    return sum(map(len, connection.line.owed))
