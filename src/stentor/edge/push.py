"""Push: chunks as fMP4 over WebSocket (docs/design.md, "Addresses on the audience port").

What came since a listener's last block is wrapped once for everybody who needs the same: one WebSocket frame with one
fragment. State goes out in front of the next block, in the same write; when no chunk comes, at the room's next tick.
"""

# mypy: disable-error-code="explicit-override"
# typing.override came with Python 3.12.

import json
import random
import struct
from collections import deque
from collections.abc import Sequence

from stentor.edge.cadence import Cadence, Change
from stentor.edge.connection import Connection
from stentor.edge.fanout import Fanout, Listener
from stentor.edge.http import Request
from stentor.edge.metrics import Leave
from stentor.edge.reactor import Line
from stentor.edge.tally import Tally
from stentor.edge.websocket import CloseCode, FrameError, FrameReader, Opcode, accept, close_frame, frame
from stentor.media.chunk import Chunk
from stentor.media.fmp4 import fragment, init_segment
from stentor.media.grid import SAMPLE_RATE_HZ, STEP_SAMPLES, Step
from stentor.media.rendition import Rendition

_HEADER = struct.Struct(">BBHIQ")
_VERSION, _INIT, _MEDIA = 1, 1, 2
RING_STEPS = 128
START_STEPS = 4
"""What a listener is given at once beyond the present block: enough to play until the next one comes."""
_PING = frame(Opcode.PING, b"")


class Push:
    """The WebSocket listeners of one rendition of a room, and the ring they resume from."""

    def __init__(self, rendition: Rendition, zero_ns: int, cadence: Cadence, tally: Tally) -> None:
        self._rendition = rendition
        self._init_mp4 = init_segment(rendition)
        self._cadence = cadence
        self._tally = tally
        self._ring: deque[Chunk] = deque(maxlen=RING_STEPS)
        self._blocks: dict[tuple[Step, Step], bytes] = {}
        self._starts: dict[tuple[Step, Step], bytes] = {}
        self._state = b""
        self._opening: Chunk | None = None
        self._caught_up = False
        self._early: dict[Listener, tuple[Step | None, Connection]] = {}
        self.listeners = Fanout("push", self, cadence, tally)
        self._hello = {
            "type": "hello",
            "rendition": str(rendition.name),
            "mime": f'audio/mp4; codecs="{rendition.codec}"',
            "step_s": STEP_SAMPLES / SAMPLE_RATE_HZ,
            "zero_ms": zero_ns // 1_000_000,
        }
        self._welcome = b""
        self._spread_s = 3.0
        self._coming: Change | None = None
        self._ping: int | None = None

    # Listeners.

    def join(
        self, connection: Connection, request: Request, after: Step | None, *, rehearsal: bool = False
    ) -> Listener:
        """Take a listener on and return them. Raises UpgradeRequired or BadRequest when the request is no handshake."""
        head = accept(request.headers)
        listener = _Client(connection, self.listeners, rehearsal=rehearsal)
        bucket = self.listeners.seat(fresh_only=after is not None)
        start = self._start(after, bucket.position) if self._caught_up else b""
        self.listeners.add(listener, bucket, head + self._greeting() + start)
        if not self._caught_up:
            self._early[listener] = (after, connection)
        elif start:
            self._tally.first_sound("push", connection.age_s())
        return listener

    def _greeting(self) -> bytes:
        """Return hello, state and a change that is coming, made once for all who join until one of them changes."""
        if not self._welcome:
            steps = self._cadence.at(self.listeners.step)
            hello = self._hello | {"block_steps": steps, "retry_spread_s": self._spread_s}
            self._welcome = frame(Opcode.TEXT, json.dumps(hello).encode()) + self._state
            if self._coming is not None and self._coming.from_step > self.listeners.step:
                self._welcome += _announcement(self._coming)
        return self._welcome

    def set_retry_spread(self, seconds: float) -> None:
        """Say over how many seconds listeners are to come back whose connection breaks without a word."""
        if round(seconds, 1) != self._spread_s:
            self._spread_s, self._welcome = round(seconds, 1), b""

    def _start(self, after: Step | None, upto: Step) -> bytes:
        """Return what a listener is given at once: the newest steps, or all after the one it had."""
        if not self._ring:
            return b""
        first = self._ring[0].step - 1
        if after is None:
            after = Step(upto - START_STEPS - self._cadence.at(self.listeners.step) + 1)
        after = Step(max(after, first))
        start = self._starts.get((after, upto))
        if start is None:
            begins = next((chunk for chunk in self._ring if chunk.step > after), self._ring[-1])
            init = self._frame(begins, _INIT, self._init_mp4)
            start = self._starts[after, upto] = init + self.block(after, upto)
        return start

    # Blocks.

    def take(self, chunk: Chunk) -> None:
        """Keep a chunk and send everybody whose turn it is their block."""
        if self._caught_up and not self._ring:
            self._opening = chunk
        self._ring.append(chunk)
        self._blocks.clear()
        self._starts.clear()
        if self._caught_up:
            if self._cadence.at(chunk.step) != self._cadence.at(self.listeners.step):
                self._welcome = b""
            self.listeners.advance(chunk.step)

    def block(self, after: Step, upto: Step) -> bytes:
        """Return frames with all chunks of (after, upto], one frame as long as they follow one another."""
        made = self._blocks.get((after, upto))
        if made is None:
            made = self._blocks[after, upto] = b"".join(self._frames(after, upto))
        return made

    def _frames(self, after: Step, upto: Step) -> list[bytes]:
        frames: list[bytes] = []
        run: list[Chunk] = []
        previous: Chunk | None = None
        for chunk in self._ring:
            if after < chunk.step <= upto:
                begins = chunk is self._opening or (previous is not None and chunk.epoch != previous.epoch)
                if run and (begins or chunk.step != run[-1].step + 1):
                    frames.append(self._merge(run))
                    run = []
                if begins:
                    frames.append(self._frame(chunk, _INIT, self._init_mp4))
                run.append(chunk)
            previous = chunk
        return [*frames, self._merge(run)] if run else frames

    def _merge(self, run: Sequence[Chunk]) -> bytes:
        last = run[-1]
        units = [unit for chunk in run for unit in chunk.units]
        return self._frame(last, _MEDIA, fragment(self._rendition, last.step, run[0].first_sample, units))

    @staticmethod
    def _frame(chunk: Chunk, kind: int, payload: bytes) -> bytes:
        head = _HEADER.pack(_VERSION, kind, chunk.discontinuity & 0xFFFF, chunk.epoch, chunk.step)
        return frame(Opcode.BINARY, head + payload)

    def ready(self) -> None:
        """Give whoever joined while the relay was catching up the start that they wait for."""
        self._caught_up = True
        early, self._early = self._early, {}
        if not self._ring:
            return
        step = self._ring[-1].step
        self.listeners.begin(step)
        for listener, (after, connection) in early.items():
            if listener.bucket is not None:
                listener.send(self._start(after, step))
                self._tally.first_sound("push", connection.age_s())

    def finish(self) -> None:
        """Close everybody after the last chunk."""
        if self._caught_up and self._ring:
            self.listeners.complete(self._ring[-1].step)
        self.close_all(CloseCode.NORMAL, "the program has ended", Leave.ROOM_ENDED)

    # What is said beside the sound.

    def set_state(self, state: bytes) -> None:
        """Have a new state.json sent (JSON of the text frame)."""
        self._state, self._welcome = frame(Opcode.TEXT, state), b""
        self.listeners.note("state", self._state)

    def announce(self, change: Change) -> None:
        """Tell everybody how long the blocks are going to be."""
        self._coming, self._welcome = change, b""
        self.listeners.note("cadence", _announcement(change))

    def ping(self) -> None:
        """Ask everybody whether they are there, with their next block."""
        self._ping = self.listeners.ask("ping", _PING)

    def cut_silent(self) -> None:
        """Cut who has not answered the last ping."""
        if self._ping is not None:
            for listener in self.listeners.unanswered(self._ping):
                self.listeners.cut(listener, Leave.NO_PONG)
            self._ping = None

    def close_all(self, code: CloseCode, reason: str, why: Leave) -> None:
        """Close every listener."""
        for listener in self.listeners:
            self.listeners.discard(listener, why)
            hang_up(listener.line, code, reason)

    def drain(self) -> None:
        """Send every listener elsewhere, each after another time, so that they do not all come at once."""
        for listener in self.listeners:
            self.listeners.discard(listener, Leave.SERVER_STOPS)
            wait = random.uniform(0.0, self._spread_s)  # noqa: S311 - spreads load, keeps no secret
            hang_up(listener.line, CloseCode.GOING_AWAY, f"retry={wait:.1f}")


def _announcement(change: Change) -> bytes:
    said = {
        "type": "cadence",
        "block_steps": change.block_steps,
        "from_step": change.from_step,
        "emergency": change.emergency,
    }
    return frame(Opcode.TEXT, json.dumps(said).encode())


class _Client(Listener):
    """A listener by WebSocket: pings are answered, a close is returned, anything else is read and dropped."""

    __slots__ = ("_reader",)

    def __init__(self, connection: Connection, fanout: Fanout, *, rehearsal: bool = False) -> None:
        self._reader: FrameReader | None = None
        super().__init__(connection, fanout, rehearsal=rehearsal)

    def received(self, data: bytes) -> None:
        """Take bytes from the listener."""
        if self._reader is None:
            self._reader = FrameReader()
        try:
            messages = self._reader.feed(data)
        except FrameError as error:
            too_much = error.code in (CloseCode.POLICY, CloseCode.TOO_BIG)
            self._part(error.code, error.detail, Leave.OVER_LIMIT if too_much else Leave.PROTOCOL)
            return
        if not self._reader.pending:
            self._reader = None
        for opcode, payload in messages:
            if opcode is Opcode.CLOSE:
                self._closed(int.from_bytes(payload[:2]) if len(payload) >= 2 else CloseCode.NORMAL)
                return
            if opcode is Opcode.PONG:
                self.answered = self.fanout.number
            elif opcode is Opcode.PING and not self.line.owed:  # Who does not read gets no answers piled up.
                self.send(frame(Opcode.PONG, payload))

    def _closed(self, code: int) -> None:
        """Return the close. A page that is left or loaded anew says "going away": it may be back in a moment."""
        self.fanout.discard(self, Leave.LEFT, by_will=code != CloseCode.GOING_AWAY)
        hang_up(self.line, code, "")

    def _part(self, code: CloseCode | int, reason: str, why: Leave) -> None:
        self.fanout.discard(self, why)
        hang_up(self.line, code, reason)


def hang_up(line: Line, code: CloseCode | int, reason: str) -> None:
    """Say why and close; what is still owed is sent as far as the client reads it in time."""
    line.send(close_frame(code, reason))
    line.close(half=True)


def turn_away(connection: Connection, request: Request, code: CloseCode, reason: str) -> None:
    """Accept a handshake only to close it: a browser's page sees close codes, never an HTTP status."""
    connection.keep(accept(request.headers))
    hang_up(connection.line, code, reason)
