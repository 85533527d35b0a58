"""A listener who takes the push: one WebSocket, blocks as they come."""

import json
import struct

from stentor.errors import MediaError
from stentor.media.grid import STEP_NS
from stentor.rehearsal.engine import Wire
from stentor.rehearsal.listener import Listener
from stentor.rehearsal.sound import MS, Ear
from stentor.rehearsal.wire import BINARY, CLOSE, PING, PONG, TEXT, UPGRADE, AnswerReader, client_frame, frames, request

_HEADER = struct.Struct(">BBHIQ")
_MEDIA = 2
_DOOR = 4429
"""Close code: the door wants an admitted ticket."""
_LATENCY_EVERY = 16
"""Each listener's latency is counted at every 16th block."""


class PushPlayer:
    """Takes frames and knows how they would sound."""

    transport = "push"

    def __init__(self, listener: Listener) -> None:
        self.ear = Ear()
        self._listener = listener
        self._crowd = listener.crowd
        self._wire: Wire | None = None
        self._reader: AnswerReader | None = None
        self._rest = b""
        self._zero_ns = 0
        self._step: int | None = None
        self._block_steps = 1
        self._blocks = 0
        self._close: tuple[int, str] | None = None
        self._path = ""

    def begin(self, ticket: str) -> None:
        """Open the WebSocket, to go on after the last step that came."""
        after = "" if self._step is None else f"&after={self._step}"
        self._path = f"{self._crowd.base}/push?rendition=opus&ticket={ticket}{after}"
        self._reader, self._rest, self._close = AnswerReader(), b"", None
        self._wire = self._crowd.engine.open(self)
        if self._wire is None:
            self._crowd.tally.sums["failed.no-socket"] += 1
            self._listener.return_in(1.0)

    def cut(self) -> None:
        """Break the connection."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def opened(self, wire: Wire) -> None:
        """Shake hands."""
        tally = self._crowd.tally
        tally.spreads["connect_ms"].add((self._crowd.engine.now() - wire.begun_ns) / 1e6)
        tally.sums["requests"] += 1
        headers = self._crowd.headers() | UPGRADE
        wire.send(request("GET", self._path, self._crowd.engine.target.authority, headers))

    def received(self, _wire: Wire, data: bytes) -> None:
        """Take frames, after the answer to the handshake."""
        try:
            if self._reader is not None:
                answer = self._reader.feed(data)
                if answer is None:
                    return
                self._crowd.tally.sums[f"status.{answer.status}"] += 1
                if answer.status != 101:
                    self._end(f"status-{answer.status}")
                    return
                data, self._reader = self._reader.rest, None
            self._take(self._rest + data if self._rest else data)
        except MediaError:
            self._end("garbled")

    def _take(self, data: bytes) -> None:
        found, at = frames(data)
        self._rest = data[at:]
        for opcode, begin, end in found:
            if opcode == BINARY:
                self._media(data, begin)
            elif opcode == TEXT:
                self._told(data[begin:end])
            elif opcode == PING and self._wire is not None:
                self._wire.send(client_frame(PONG, data[begin:end]))
            elif opcode == CLOSE:
                code = int.from_bytes(data[begin : begin + 2]) if end - begin >= 2 else 1005
                self._close = (code, data[begin + 2 : end].decode("utf-8", "replace"))
                self._end("told")
                return

    def _told(self, text: bytes) -> None:
        if text.startswith(b'{"type": "hello"'):
            hello = json.loads(text)
            self._zero_ns = int(hello["zero_ms"]) * MS
            self._block_steps = int(hello["block_steps"])
            self._crowd.retry_spread_s = float(hello.get("retry_spread_s", 3.0))
            self._listener.connected()
        elif text.startswith(b'{"type": "cadence"'):
            steps = int(json.loads(text)["block_steps"])
            self.ear.brace((steps - self._block_steps) * STEP_NS)
            self._block_steps = steps

    def _media(self, data: bytes, at: int) -> None:
        _version, kind, _discontinuity, _epoch, step = _HEADER.unpack_from(data, at)
        if kind != _MEDIA:
            return
        now = self._crowd.engine.now()
        last, self._step = self._step, step
        at_once = self._block_steps + 3  # What comes first; who comes back skips what is older.
        steps = at_once if last is None or step <= last else step - last
        self.ear.take(now, steps * STEP_NS, most_ns=at_once * STEP_NS)
        self._crowd.tally.sums["blocks"] += 1
        self._blocks += 1
        if self._blocks % _LATENCY_EVERY == 4:
            newest_ns = self._zero_ns + (step + 1) * STEP_NS
            behind = self.ear.behind_ns(now, self._crowd.engine.clock.wall_ns(), newest_ns)
            self._crowd.tally.spreads["latency_push_ms"].add(behind / 1e6)
        if not self._listener.plays:
            self._listener.heard()

    def lost(self, wire: Wire, why: str) -> None:
        """Take note that the connection has gone."""
        if wire is self._wire:
            self._end(why)

    def _end(self, why: str) -> None:
        """Do what our player does when its connection has ended (docs/design.md, the table of close codes)."""
        self.cut()
        if self._crowd.over:
            return
        was_inside = self._listener.inside
        self._listener.silent()
        tally = self._crowd.tally
        if self._close is None:
            tally.sums[f"failed.{why}"] += 1
            spread = self._crowd.retry_spread_s if was_inside else 2.0
            self._listener.return_in(self._crowd.random.uniform(0.3, spread))
            return
        code, reason = self._close
        tally.sums[f"close.{code}"] += 1
        told_s = _seconds(reason.partition("retry=")[2])
        if code == _DOOR:
            self._listener.ask_anew(told_s)
        elif code == 1001:
            self._listener.return_in(told_s)
        else:
            self._listener.return_in(2.0)


def _seconds(text: str) -> float:
    try:
        return min(60.0, max(0.0, float(text)))
    except ValueError:
        return 2.0
