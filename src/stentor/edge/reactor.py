"""The sockets of the audience port: one epoll of ours, nested into the event loop by its descriptor.

An edge owns its sockets whole. A ``Line`` is one client's socket and what is still owed to it, as references to
bytes that others share; no asyncio transport, task, queue or timer stands behind it. So a listener costs two small
objects, and writing a block to 8,000 of them is a loop over descriptors (edge/fanout).
"""

import resource
import select
import socket
from asyncio import AbstractEventLoop
from typing import Protocol

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.telemetry import logger

READ, WRITE = select.EPOLLIN | select.EPOLLRDHUP, select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR
_EVENTS_A_PASS = 64
"""Some 2 ms of requests; then it is the next block's turn, should one be due."""
RECEIVE_BYTES = 16_384
_PIECES_A_WRITE = 64
_DOWNLOAD_BYTES = 524_288
_PACE_BYTES = 4_096
"""What a client that is owed something reads at least in ``stall_s``."""
_OWN_DESCRIPTORS = 128
"""Kept for what the edge itself opens: a bus that has to be reached anew, the recordings, those who ask how it is."""
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""struct linger {on, 0 s}: closing drops what the kernel still holds for a client that does not read."""

log = logger("edge")


class Owner(Protocol):
    """Who a line belongs to."""

    def received(self, data: bytes) -> None:
        """Take bytes from the client."""
        ...

    def drained(self) -> None:
        """Go on: everything owed has been written."""
        ...

    def lost(self) -> None:
        """Let go: the line has gone, once, for whatever reason."""
        ...

    def stalled(self) -> None:
        """Decide what to do about a client that has not taken what is owed for ``stall_s``."""
        ...


class Visit(Protocol):
    """Who is told what becomes of a line: the shield's count of its address (edge/buckets)."""

    def listens(self, now: MonotonicNs) -> None:
        """Note that somebody listens by it from now on."""
        ...

    def over(self, now: MonotonicNs) -> None:
        """Note that it has gone."""
        ...


class Ready(Protocol):
    """What the reactor tells that something happened on a descriptor."""

    def ready(self, events: int) -> None:
        """Read, write or let go, as the events say."""
        ...


class Reactor:
    """One epoll for all sockets of an edge.

    ``stall_s``: how long a client may leave what it is owed unread. A line says ``patient`` when progress
    gives it new time (a download), others have to catch up whole (a listener).
    """

    def __init__(self, loop: AbstractEventLoop, clock: Clock, stall_s: float) -> None:
        self._loop = loop
        self.clock = clock
        self._stall_ns = int(stall_s * NS_PER_S)
        self._epoll = select.epoll()
        self._lines: list[Ready | None] = []
        self.behind: dict[Line, MonotonicNs] = {}
        self.open_lines = 0
        self.sent_bytes = 0
        """What lines have written by themselves, blocks of the fanout apart."""
        self.most_lines = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OWN_DESCRIPTORS)
        loop.add_reader(self._epoll.fileno(), self._poll)

    @property
    def full(self) -> bool:
        """Tell whether there are no descriptors for more lines."""
        return self.open_lines >= self.most_lines

    def now(self) -> MonotonicNs:
        """Return monotonic time."""
        return self.clock.monotonic_ns()

    def close(self) -> None:
        """Watch nothing any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def watch(self, fd: int, events: int, handler: Ready) -> None:
        """Tell a handler of a descriptor's events from now on."""
        while len(self._lines) <= fd:
            self._lines.extend([None] * 1_024)
        self._lines[fd] = handler
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Watch for other events."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more; call before it is closed."""
        self._lines[fd] = None
        self._epoll.unregister(fd)

    def line(self, fd: int) -> "Line | None":
        """Return the line that has a descriptor."""
        found = self._lines[fd]
        return found if isinstance(found, Line) else None

    def all(self) -> "list[Line]":
        """Return all open lines."""
        return [line for line in self._lines if isinstance(line, Line)]

    def fall_behind(self, line: "Line") -> None:
        """Note that a client owes us reading, unless that is noted already."""
        if line not in self.behind:
            self.behind[line] = self.clock.monotonic_ns()

    def look_at_stalled(self) -> None:
        """Have owners decide about the clients who have not read for too long; call once a second."""
        late = self.clock.monotonic_ns() - self._stall_ns
        for line in [line for line, since in self.behind.items() if since <= late]:
            if line in self.behind:
                line.owner.stalled()

    def _poll(self) -> None:
        lines = self._lines
        for fd, events in self._epoll.poll(0, _EVENTS_A_PASS):
            handler = lines[fd]
            if handler is None:
                continue
            try:
                handler.ready(events)
            except Exception as error:  # One client must not end the edge.
                log.error("line_failed", exc_info=error)
                if isinstance(handler, Line):
                    handler.abort()


class Line:
    """One client's socket.

    ``owed`` are the pieces that the kernel has not taken yet, first one first; ``closing`` is set when the line ends
    as soon as they are written, ``half`` when it waits for the client to close first. ``patient``: 4 kB that
    are read give new time.
    """

    __slots__ = (
        *("_given", "_reactor", "_writing", "closed", "closing", "fd", "half", "owed", "owner", "patient", "sock"),
        "visit",
    )

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.owed: list[bytes | memoryview] = []
        self.closed = self.closing = self.half = self._writing = False
        self.patient = True
        self._reactor = reactor
        self._given = 0
        self.owner: Owner
        self.visit: Visit | None = None

    def open(self, owner: Owner) -> None:
        """Begin to read for an owner."""
        self.owner = owner
        self._reactor.open_lines += 1
        self._reactor.watch(self.fd, READ, self)

    def ready(self, events: int) -> None:
        """Read or write, as epoll says."""
        if events & (READ | _GONE):
            self._read()
        if events & WRITE and not self.closed:
            self._flush()

    def _read(self) -> None:
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
        elif not self.closing:
            self.owner.received(data)

    def send(self, *pieces: bytes) -> None:
        """Write, or owe what the kernel does not take. Nothing happens on a line that is closing."""
        if self.closed or self.closing:
            return
        if self.owed:
            self.owed.extend(pieces)
            return
        try:
            sent = self._write(pieces)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._drop()
            return
        self._reactor.sent_bytes += sent
        self.owe(pieces, sent)

    def _write(self, pieces: "tuple[bytes, ...] | list[bytes | memoryview]") -> int:
        if len(pieces) == 1:
            return self.sock.send(pieces[0])
        return self.sock.sendmsg(pieces[:_PIECES_A_WRITE])

    def owe(self, pieces: "tuple[bytes, ...] | list[bytes | memoryview]", sent: int) -> None:
        """Keep what is left of the pieces after ``sent`` bytes, and write it as the client reads."""
        left: list[bytes | memoryview] = []
        for piece in pieces:
            if sent >= len(piece):
                sent -= len(piece)
            else:
                left.append(memoryview(piece)[sent:] if sent else piece)
                sent = 0
        self.owed = left
        if left:
            self._reactor.fall_behind(self)
            if not self._writing:
                self._writing = True
                self._reactor.change(self.fd, READ | WRITE)

    def _flush(self) -> None:
        while self.owed:
            try:
                sent = self._write(self.owed)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._drop()
                return
            self._reactor.sent_bytes += sent
            self.owe(self.owed, sent)
            if self.patient and sent:
                self._progress(sent)
        if self.closing:
            self._finish()
            return
        self.owner.drained()
        if not self.owed and not self.closed:
            self._reactor.behind.pop(self, None)
            if self._writing:
                self._writing = False
                self._reactor.change(self.fd, READ)

    def _progress(self, sent: int) -> None:
        """Give new time to a client that reads at the least pace of a download, and not to one that only sips."""
        self._given += sent
        if self._given >= _PACE_BYTES or not self.owed:
            self._given = 0
            self._reactor.behind.pop(self, None)
            if self.owed:
                self._reactor.fall_behind(self)

    def widen(self) -> None:
        """Let the kernel hold more for a client that downloads: what bounds a listener slows a long line down."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _DOWNLOAD_BYTES)

    def close(self, *, half: bool = False) -> None:
        """Close once everything owed is written.

        ``half``: then say so and wait for the client to close, up to ``stall_s``, dropping what it still sends. A plain
        close with unread bytes is a reset, and that may take the last words away from a client.
        """
        if self.closed or self.closing:
            return
        self.closing, self.half, self.patient = True, half, False
        self._reactor.fall_behind(self)
        if not self.owed:
            self._finish()

    def _finish(self) -> None:
        if not self.half:
            self._say_end()
            self._drop()
            return
        if self._writing:
            self._writing = False
            self._reactor.change(self.fd, READ)
        try:
            self._say_end()
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop()

    def _say_end(self) -> None:
        """Say below HTTP that this was all."""

    def abort(self) -> None:
        """Close at once and have the kernel forget what the client has not read."""
        if not self.closed:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._drop()

    def _drop(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._reactor.open_lines -= 1
        self._reactor.behind.pop(self, None)
        self._reactor.forget(self.fd)
        self.owed = []
        self.sock.close()
        if self.visit is not None:
            self.visit.over(self._reactor.now())
        self.owner.lost()
