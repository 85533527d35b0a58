"""The sockets of thousands of listeners: one epoll, nested into the event loop by its descriptor; one heap of times.

No asyncio transport, task or timer stands behind a listener, so that one process is a crowd: what a generator spends on
itself it cannot spend on coming.
"""

import errno
import heapq
import select
import socket
import ssl
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from stentor.clock import Clock, MonotonicNs
from stentor.rehearsal.histogram import Histogram

_READ = select.EPOLLIN | select.EPOLLRDHUP
_WRITE = select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR
_RECEIVE_BYTES = 65_536
_EVENTS_A_PASS = 256
_BEAT_NS = 10_000_000
_IP_BIND_ADDRESS_NO_PORT = 24
_BUSY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Owner(Protocol):
    """Who a wire belongs to."""

    def opened(self, wire: "Wire") -> None:
        """Go on: the connection stands, TLS included."""
        ...

    def received(self, wire: "Wire", data: bytes) -> None:
        """Take bytes."""
        ...

    def lost(self, wire: "Wire", why: str) -> None:
        """Let go: the wire has gone and it was not we who closed it. ``why`` is a word for counting."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where listeners go: the name in the URL, the addresses behind it, TLS if it has any.

    ``sources``: local addresses that they come from, in turn; none: the machine chooses.
    """

    host: str
    port: int
    addresses: tuple[tuple[socket.AddressFamily, str], ...]
    tls: ssl.SSLContext | None = None
    sources: tuple[str, ...] = ()

    @property
    def authority(self) -> str:
        """Return what stands in the Host header."""
        usual = 443 if self.tls else 80
        return self.host if self.port == usual else f"{self.host}:{self.port}"


@dataclass(slots=True, eq=False)
class Wire:
    """One connection to an edge. ``session`` is the TLS session to resume, and then the newest that there is."""

    sock: socket.socket
    owner: Owner
    engine: "Engine"
    begun_ns: int
    fd: int
    session: ssl.SSLSession | None = None
    _out: bytearray = field(default_factory=bytearray)
    _state: str = "connecting"

    @property
    def closed(self) -> bool:
        """Tell whether it is gone."""
        return self._state == "closed"

    def ready(self, events: int) -> None:
        """Connect, shake hands, read or write, as the events say."""
        if self._state == "connecting":
            self._connected()
        elif self._state == "shaking":
            self._shake()
        else:
            if events & (_READ | _GONE):
                self._read()
            if events & _WRITE and not self.closed:
                self._flush()

    def send(self, data: bytes) -> None:
        """Write, now or as soon as the socket takes it."""
        self._out += data
        if self._state == "open":
            self._flush()

    def close(self) -> None:
        """Close without a word to the owner."""
        if not self.closed:
            self._state = "closed"
            self.engine.forget(self)

    def _connected(self) -> None:
        failed = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self._lose(errno.errorcode.get(failed, "connect"))
            return
        tls = self.engine.target.tls
        if tls is None:
            self._opened()
            return
        name = self.engine.target.host
        try:  # It keeps the descriptor.
            self.sock = tls.wrap_socket(
                self.sock, server_hostname=name, do_handshake_on_connect=False, session=self.session
            )
            self.engine.change(self, _READ)
        except (OSError, ValueError):
            self._lose("tls")
            return
        self._state = "shaking"
        self._shake()

    def _shake(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101 - for the type checker
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self.engine.change(self, _READ | _WRITE)
        except (OSError, ValueError):
            self._lose("tls")
        else:
            self._opened()

    def _opened(self) -> None:
        self._state = "open"
        self.engine.change(self, _READ)
        self.owner.opened(self)
        if not self.closed:
            self._flush()

    def _read(self) -> None:
        sock = self.sock
        while not self.closed:
            try:
                data = sock.recv(_RECEIVE_BYTES)
            except _BUSY:
                return
            except (OSError, ValueError):
                self._lose("reset")
                return
            if not data:
                self._lose("closed")
                return
            self.engine.received_bytes += len(data)
            self.owner.received(self, data)
            if not isinstance(sock, ssl.SSLSocket) and len(data) < _RECEIVE_BYTES:
                return

    def _flush(self) -> None:
        while self._out and not self.closed:
            try:
                sent = self.sock.send(self._out)
            except _BUSY:
                self.engine.change(self, _READ | _WRITE)
                return
            except (OSError, ValueError):
                self._lose("reset")
                return
            del self._out[:sent]
        if not self.closed:
            self.engine.change(self, _READ)

    def keep_session(self) -> ssl.SSLSession | None:
        """Return the TLS session to resume next time, if there is one."""
        if isinstance(self.sock, ssl.SSLSocket) and self._state == "open":
            self.session = self.sock.session or self.session
        return self.session

    def _lose(self, why: str) -> None:
        if not self.closed:
            self.close()
            self.owner.lost(self, why)


class Engine:
    """All wires and times of one process. Owner of the sockets: ``close`` closes what is open.

    ``late_ms`` is how late what was due came to its turn, by the generator's own fault.
    """

    def __init__(self, clock: Clock, loop: AbstractEventLoop, target: Target) -> None:
        self.target = target
        self.clock = clock
        self.received_bytes = 0
        self.refused = 0
        self.late_ms = Histogram()
        self._loop = loop
        self._epoll = select.epoll()
        self._wires: dict[int, Wire] = {}
        self._masks: dict[int, int] = {}
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._turn = 0
        loop.add_reader(self._epoll.fileno(), self._pass)

    def now(self) -> int:
        """Return monotonic nanoseconds."""
        return self.clock.monotonic_ns()

    @property
    def open_wires(self) -> int:
        """Return how many sockets are open."""
        return len(self._wires)

    # Times.

    def at(self, when_ns: int, call: Callable[[], None]) -> None:
        """Call at a monotonic time; there is no taking back, so what is called looks whether it still matters."""
        self._number += 1
        heapq.heappush(self._due, (when_ns, self._number, call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after so many seconds."""
        self.at(self.now() + int(seconds * 1e9), call)

    async def run(self) -> None:
        """Call what is due, for ever."""
        while True:
            self._call_due()
            now = self.now()
            next_ns = self._due[0][0] if self._due else now + _BEAT_NS
            await self.clock.sleep_until(MonotonicNs(min(max(next_ns, now + 1_000_000), now + _BEAT_NS)))

    def _call_due(self) -> None:
        while self._due and self._due[0][0] <= (now := self.now()):
            due_ns, _, call = heapq.heappop(self._due)
            self.late_ms.add((now - due_ns) / 1e6)
            call()

    # Sockets.

    def open(self, owner: Owner, session: ssl.SSLSession | None = None) -> Wire | None:
        """Begin to connect; None when this machine has no socket left (counted as ``refused``)."""
        self._turn += 1
        family, address = self.target.addresses[self._turn % len(self.target.addresses)]
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self.refused += 1
            return None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.target.sources:
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((self.target.sources[self._turn % len(self.target.sources)], 0))
            sock.connect((address, self.target.port))
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            self.refused += 1
            return None
        wire = Wire(sock, owner, self, self.now(), sock.fileno(), session)
        self._wires[wire.fd], self._masks[wire.fd] = wire, _WRITE
        self._epoll.register(wire.fd, _WRITE)
        return wire

    def change(self, wire: Wire, mask: int) -> None:
        """Look for something else on a wire's socket."""
        if self._masks.get(wire.fd) != mask:
            self._masks[wire.fd] = mask
            self._epoll.modify(wire.fd, mask)

    def forget(self, wire: Wire) -> None:
        """Close a wire's socket."""
        if self._wires.get(wire.fd) is wire:
            del self._wires[wire.fd], self._masks[wire.fd]
            with suppress(OSError):  # closed already, by TLS that failed
                self._epoll.unregister(wire.fd)
        wire.sock.close()

    def _pass(self) -> None:
        for fd, events in self._epoll.poll(0, _EVENTS_A_PASS):
            wire = self._wires.get(fd)
            if wire is not None:
                wire.ready(events)

    def close(self) -> None:
        """Close everything."""
        for wire in list(self._wires.values()):
            wire.close()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()


def resolve(host: str, port: int) -> tuple[tuple[socket.AddressFamily, str], ...]:
    """Return the addresses of a name (blocks: run it in a thread). Raises OSError."""
    found: Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]] = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    return tuple(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))
