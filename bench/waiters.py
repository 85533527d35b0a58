"""A crowd that stands in line, as one process: ``python -m bench.waiters PORT ROOM --arrivals 20000 --over 10 …``.

Each arrival asks for a ticket, asks again when it was told to, comes in by push when it is admitted, and leaves after a
while. Requests go over kept connections that many share; whoever is inside has a connection of their own. What
happened is written as JSON to standard output at the end, what is the case meanwhile to standard error.
"""

# mypy: disable-error-code="explicit-override"
# typing.override came with Python 3.12.

import argparse
import asyncio
import json
import os
import random
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import cast

_SAMPLE_S = 0.1
_AGAIN_S = 2.0
_PING, _PONG = b"\x89\x00", b"\x8a\x80\x00\x00\x00\x00"


@dataclass(slots=True, eq=False)
class Waiter:
    """One who came: what they were told, and when they got in. Times in seconds of the loop's clock."""

    came: float
    ticket: str | None = None
    position: int | None = None
    told: list[tuple[float, float]] = field(default_factory=list)
    asks: int = 0
    admitted: float = 0.0
    entered: float = 0.0


class Asker(asyncio.Protocol):
    """A kept connection on which one after the other asks."""

    def __init__(self, crowd: "Waiters") -> None:
        self._crowd = crowd
        self._transport: asyncio.Transport | None = None
        self._waiter: Waiter | None = None
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be there for whoever asks."""
        self._transport = cast(asyncio.Transport, transport)
        self._crowd.free(self)

    def ask(self, waiter: Waiter) -> None:
        """Ask for one who has waited."""
        assert self._transport is not None
        self._waiter = waiter
        body = b"{}" if waiter.ticket is None else b'{"ticket":"%s"}' % waiter.ticket.encode()
        self._transport.write(self._crowd.post + b"%d\r\n\r\n" % len(body) + body)

    def data_received(self, data: bytes) -> None:
        """Take an answer."""
        self._heard += data
        head, end, body = self._heard.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n", 1)[0] or 0)
        if len(body) < length or self._waiter is None:
            return
        waiter, self._waiter, self._heard = self._waiter, None, b""
        self._crowd.answered(waiter, int(head[9:12]), body)
        self._crowd.free(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Have another connection opened."""
        self._crowd.lost(self, self._waiter)


class Listener(asyncio.Protocol):
    """One who is let in, by push. What comes is counted and dropped."""

    def __init__(self, crowd: "Waiters", waiter: Waiter) -> None:
        self._crowd = crowd
        self.waiter = waiter
        self._transport: asyncio.Transport | None = None
        self._head: bytes | None = b""
        self.inside = False
        self.left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to come in."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._crowd.upgrade % (self.waiter.ticket or "").encode())

    def data_received(self, data: bytes) -> None:
        """See whether this is the program."""
        if self._head is None:
            if _PING in data and self._transport is not None:
                self._transport.write(_PONG)
            return
        self._head += data
        head, end, frames = self._head.partition(b"\r\n\r\n")
        if not end or len(frames) < 4:
            return
        self._head = None
        if head[9:12] != b"101":
            self._crowd.refused[head[9:12].decode()] += 1
        elif frames[0] == 0x81:
            self.inside = True
            self._crowd.entered(self)
        else:
            self._crowd.turned_away(self.waiter, struct.unpack(">H", frames[2:4])[0])

    def leave(self) -> None:
        """Say goodbye, as a page does whose listener presses stop."""
        if self._transport is not None and self.inside:
            self.left = True
            self._transport.write(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
            self._crowd.gone(self)
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Count who is cut off."""
        if self.inside and not self.left:
            self._crowd.dropped += 1
            self._crowd.gone(self)


class _Counts(dict[str, int]):
    def __missing__(self, _key: str) -> int:
        return 0


class Waiters:
    """The whole crowd."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        path = f"/r/{options.room}/ticket"
        self.post = f"POST {path} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: ".encode()
        self.upgrade = (
            f"GET /r/{options.room}/push?rendition=opus&ticket=%s HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        self.waiters: list[Waiter] = []
        self._free: list[Asker] = []
        self._due: deque[Waiter] = deque()
        self._pending = 0
        self.inside = self.most_inside = self.above = self.samples = self.dropped = 0
        self.refused, self.statuses, self.because = _Counts(), _Counts(), _Counts()
        self.worse = self.turned = self.in_line = 0
        self.asked_at: list[float] = []
        self._random = random.Random(7)
        self._late = 0.0
        self._coming: set[asyncio.Task[None]] = set()

    # Asking.

    def free(self, asker: Asker) -> None:
        """Give a connection to whoever waits for one."""
        if self._due:
            asker.ask(self._due.popleft())
        else:
            self._free.append(asker)

    def ask(self, waiter: Waiter) -> None:
        """Have somebody ask now."""
        waiter.asks += 1
        self.asked_at.append(self._loop.time())
        if self._free:
            self._free.pop().ask(waiter)
        else:
            self._due.append(waiter)

    def lost(self, asker: Asker, waiter: Waiter | None) -> None:
        """Open another connection where one broke."""
        if asker in self._free:
            self._free.remove(asker)
        if waiter is not None:
            self.refused["broken"] += 1
            self._due.append(waiter)
        self._pending += 1

    def answered(self, waiter: Waiter, status: int, body: bytes) -> None:
        """Do what somebody is told."""
        now = self._loop.time()
        self.statuses[str(status)] += 1
        if status != 200:
            self._loop.call_later(_AGAIN_S, self.ask, waiter)
            return
        said = json.loads(body)
        if said["admitted"]:
            waiter.ticket = said["ticket"]
            waiter.admitted = waiter.admitted or now
            coming = self._loop.create_task(self._come_in(waiter))
            self._coming.add(coming)
            coming.add_done_callback(self._coming.discard)
            return
        because = said["because"]
        self.because[str(because)] += 1
        if said["ticket"] != waiter.ticket:
            waiter.ticket, waiter.position = said["ticket"], None
        position = said["position"]
        if position is not None:
            self.worse += waiter.position is not None and position > waiter.position
            waiter.position = position
        if said["wait_s"] is not None and position is not None:
            low, high = said["wait_s"]
            waiter.told.append((now, (low + high) / 2))
        self._loop.call_later(said["retry_after_s"], self.ask, waiter)

    # Coming in.

    async def _come_in(self, waiter: Waiter) -> None:
        await self._loop.create_connection(lambda: Listener(self, waiter), "127.0.0.1", self._options.port)

    def entered(self, listener: Listener) -> None:
        """Count somebody who hears the program, and have them leave in time."""
        self.inside += 1
        listener.waiter.entered = listener.waiter.entered or self._loop.time()
        self._loop.call_later(self._random.expovariate(1 / self._options.stay), listener.leave)

    def turned_away(self, waiter: Waiter, code: int) -> None:
        """Ask again after a close."""
        self.turned += 1
        self.refused[str(code)] += 1
        self._loop.call_later(_AGAIN_S, self.ask, waiter)

    def gone(self, listener: Listener) -> None:
        """Count somebody out."""
        listener.inside = False
        self.inside -= 1

    # The whole.

    async def run(self) -> dict[str, object]:
        """Let everybody come, and return what happened once all were in, or when the time is up."""
        options, loop = self._options, self._loop
        for _ in range(options.connections):
            await loop.create_connection(lambda: Asker(self), "127.0.0.1", options.port)
        begun = loop.time()
        for number in range(options.arrivals):
            waiter = Waiter(begun + options.over * number / options.arrivals)
            self.waiters.append(waiter)
            loop.call_at(waiter.came, self.ask, waiter)
        due = begun
        while loop.time() < begun + options.limit and not all(waiter.entered for waiter in self.waiters):
            due += _SAMPLE_S
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._late = max(self._late, loop.time() - due - _SAMPLE_S)
            self.samples += 1
            self.most_inside = max(self.most_inside, self.inside)
            self.above += self.inside > options.cap
            if self.samples % 50 == 0:
                entered = sum(1 for waiter in self.waiters if waiter.entered)
                sys.stderr.write(f"{loop.time() - begun:6.1f} s: {self.inside} inside, {entered} were let in\n")
            while self._pending:
                self._pending -= 1
                await loop.create_connection(lambda: Asker(self), "127.0.0.1", options.port)
        return self._told(begun)

    def _told(self, begun: float) -> dict[str, object]:
        errors = [
            abs(wait - (waiter.entered - at)) / (waiter.entered - at)
            for waiter in self.waiters
            if waiter.entered
            for at, wait in waiter.told
            if waiter.entered - at >= self._options.near
        ]
        entered = sorted(waiter.entered - begun for waiter in self.waiters if waiter.entered)
        seconds = [0] * (int(max((at - begun for at in self.asked_at), default=0)) + 1)
        for at in self.asked_at:
            seconds[int(at - begun)] += 1
        return {
            "begun_unix": time.time() - (self._loop.time() - begun),
            "arrivals": len(self.waiters),
            "entered": len(entered),
            "entered_at_s": entered,
            "most_inside": self.most_inside,
            "samples": self.samples,
            "above": self.above,
            "worse": self.worse,
            "turned_away": self.turned,
            "dropped": self.dropped,
            "statuses": dict(self.statuses),
            "refused": dict(self.refused),
            "because": dict(self.because),
            "asks": sum(waiter.asks for waiter in self.waiters),
            "asks_each_s": seconds,
            "estimates": len(errors),
            "estimate_error": median(errors) if errors else 1.0,
            "late_s": self._late,
            "cpu_s": time.process_time(),
        }


async def _main(options: argparse.Namespace) -> None:
    told = await Waiters(options).run()
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os._exit(0)  # thousands of connections need no goodbye


def main() -> None:
    """Read the arguments and run the crowd."""
    parser = argparse.ArgumentParser(description="A crowd that stands in line.")
    parser.add_argument("port", type=int)
    parser.add_argument("room")
    parser.add_argument("--arrivals", type=int, default=20_000)
    parser.add_argument("--over", type=float, default=10.0, help="seconds in which they come")
    parser.add_argument("--cap", type=int, default=5_000)
    parser.add_argument("--stay", type=float, default=30.0, help="mean seconds for which each stays")
    parser.add_argument("--near", type=float, default=5.0, help="estimates of less than these seconds do not count")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds after which it is over")
    parser.add_argument("--connections", type=int, default=100, help="kept connections that all ask on")
    import uvloop

    uvloop.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
