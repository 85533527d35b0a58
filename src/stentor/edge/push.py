"""Push: chunks as fMP4 over WebSocket (docs/design.md, "Addresses on the audience port").

Each chunk is wrapped once, as one WebSocket frame, and the same bytes are written to every listener. State goes out
in front of the next chunk, in the same write; when no chunk comes, at the room's next tick.
"""

import json
import random
import struct
from collections import deque
from dataclasses import dataclass

from stentor.edge.connection import Connection
from stentor.edge.fanout import Fanout
from stentor.edge.http import Limits, Request
from stentor.edge.websocket import CloseCode, FrameError, FrameReader, Opcode, accept, close_frame, frame
from stentor.media.chunk import Chunk
from stentor.media.fmp4 import fragment, init_segment
from stentor.media.grid import SAMPLE_RATE_HZ, STEP_SAMPLES, Step
from stentor.media.rendition import Rendition

_HEADER = struct.Struct(">BBHIQ")
_VERSION, _INIT, _MEDIA = 1, 1, 2
RING_STEPS = 128
START_STEPS = 4
_MAX_CONTROL = 32
PING = frame(Opcode.PING, b"")


@dataclass(frozen=True, slots=True)
class _Held:
    """One chunk in the ring: ``init`` is the frame that a listener needs who starts with it."""

    step: Step
    epoch: int
    init: bytes
    media: bytes


class Push:
    """The WebSocket listeners of one rendition of a room, and the ring they resume from."""

    def __init__(self, rendition: Rendition, zero_ns: int, limits: Limits) -> None:
        self._rendition = rendition
        self._init_mp4 = init_segment(rendition)
        self._limits = limits
        self._ring: deque[_Held] = deque(maxlen=RING_STEPS)
        self._init = b""
        self._state = b""
        self._state_sent = True
        self._caught_up = False
        self._early: dict[Connection, Step | None] = {}
        self.listeners = Fanout("push", limits.backlog_bytes, self._too_slow)
        hello = {
            "type": "hello",
            "rendition": str(rendition.name),
            "mime": f'audio/mp4; codecs="{rendition.codec}"',
            "step_s": STEP_SAMPLES / SAMPLE_RATE_HZ,
            "zero_ms": zero_ns // 1_000_000,
            "block_steps": 1,
        }
        self._hello = frame(Opcode.TEXT, json.dumps(hello).encode())

    def join(self, connection: Connection, request: Request, after: Step | None) -> None:
        """Take a listener on. Raises UpgradeRequired or BadRequest when the request is no handshake."""
        head = accept(request.headers)
        burst = self._burst(after) if self._caught_up else b""
        if not self._caught_up:
            self._early[connection] = after
        connection.burst_bytes = len(burst)
        connection.keep(head + self._hello + self._state + burst, lambda: self._lost(connection), Client(connection))
        self.listeners.add(connection)

    def _lost(self, connection: Connection) -> None:
        self.listeners.discard(connection)
        self._early.pop(connection, None)

    def _burst(self, after: Step | None) -> bytes:
        """Return what a listener is given at once: the newest steps, or all after the one it had."""
        held = list(self._ring)
        held = held[-START_STEPS:] if after is None else [entry for entry in held if entry.step > after]
        if not held:
            return self._init
        frames = [held[0].init]
        epoch = held[0].epoch
        for entry in held:
            if entry.epoch != epoch:
                frames.append(entry.init)
                epoch = entry.epoch
            frames.append(entry.media)
        return b"".join(frames)

    def take(self, chunk: Chunk) -> None:
        """Wrap a chunk and write it to everybody."""
        begins = not self._ring or self._ring[-1].epoch != chunk.epoch
        if begins:
            self._init = self._frame(chunk, _INIT, self._init_mp4)
        media = self._frame(chunk, _MEDIA, fragment(self._rendition, chunk.step, chunk.first_sample, chunk.units))
        self._ring.append(_Held(chunk.step, chunk.epoch, self._init, media))
        if not self._caught_up or not self.listeners:
            return
        self.listeners.send(self._unsent_state() + (self._init + media if begins else media))

    def ready(self) -> None:
        """Give whoever joined while the relay was catching up the start that they wait for."""
        self._caught_up = True
        early, self._early = self._early, {}
        for connection, after in early.items():
            burst = self._burst(after)
            connection.burst_bytes = len(burst)
            connection.transport.write(burst)

    def finish(self) -> None:
        """Close everybody after the last chunk."""
        self.close_all(CloseCode.NORMAL, "the program has ended")

    @staticmethod
    def _frame(chunk: Chunk, kind: int, payload: bytes) -> bytes:
        head = _HEADER.pack(_VERSION, kind, chunk.discontinuity & 0xFFFF, chunk.epoch, chunk.step)
        return frame(Opcode.BINARY, head + payload)

    def set_state(self, state: bytes) -> None:
        """Have a new state.json sent (JSON of the text frame)."""
        self._state = frame(Opcode.TEXT, state)
        self._state_sent = False

    def flush_state(self) -> None:
        """Send the state now if no chunk has taken it along."""
        if not self._state_sent:
            self.listeners.send(self._unsent_state())

    def _unsent_state(self) -> bytes:
        if self._state_sent:
            return b""
        self._state_sent = True
        return self._state

    def ping(self) -> None:
        """Ask everybody whether they are there: a dead peer's buffer fills, or its address is refused."""
        self.listeners.send(PING)

    def _too_slow(self, connection: Connection) -> None:
        hang_up(connection, CloseCode.TOO_SLOW, "too slow")

    def close_all(self, code: CloseCode, reason: str) -> None:
        """Close every listener."""
        for connection in self.listeners:
            self.listeners.discard(connection)
            hang_up(connection, code, reason)

    def drain(self, spread_s: float) -> None:
        """Send every listener elsewhere, each after another time, so that they do not all come at once."""
        for connection in self.listeners:
            self.listeners.discard(connection)
            wait = random.uniform(0.0, spread_s)  # noqa: S311 - spreads load, keeps no secret
            hang_up(connection, CloseCode.GOING_AWAY, f"retry={wait:.1f}")


class Client:
    """What a listener says: pings are answered, a close is returned, anything else is read and dropped."""

    __slots__ = ("_connection", "_reader")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader = FrameReader()

    def received(self, data: bytes) -> None:
        """Take bytes from the listener."""
        connection = self._connection
        if connection.transport.is_closing():
            return
        try:
            messages = self._reader.feed(data)
        except FrameError as error:
            hang_up(connection, error.code, error.detail)
            return
        if len(messages) > _MAX_CONTROL:
            connection.abort()
            return
        for opcode, payload in messages:
            if opcode is Opcode.CLOSE:
                connection.transport.write(frame(Opcode.CLOSE, payload[:2]))
                connection.close()
                return
            if opcode is Opcode.PING:
                connection.transport.write(frame(Opcode.PONG, payload))


def hang_up(connection: Connection, code: CloseCode, reason: str) -> None:
    """Say why and close; what is still owed is sent as far as the client reads it in time."""
    if connection.transport.is_closing():
        return
    connection.transport.write(close_frame(code, reason))
    connection.close()


def turn_away(connection: Connection, request: Request, code: CloseCode, reason: str) -> None:
    """Accept a handshake only to close it: a browser's page sees close codes, never an HTTP status."""
    connection.keep(accept(request.headers))
    hang_up(connection, code, reason)
