"""One UDP port for all sessions of a room's process, one socket for each local address.

A STUN request finds its session by the username fragment in it, a STUN response by its transaction, and anything
else by a source address that ICE has validated for that session (RFC 7983 tells them apart by the first byte).
What finds no session is dropped and counted, most of it by the kernel already (udp_filter).
"""

import asyncio
import contextlib
import errno
import ipaddress
import secrets
import socket
import string
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aioice.ice import get_host_addresses
from prometheus_client import Gauge

from stentor.clock import NS_PER_S, Clock, MonotonicNs, SystemClock
from stentor.errors import ConfigError
from stentor.origin import udp_filter
from stentor.origin.guard import MAX_DATAGRAM_BYTES, CheckCaps, drop
from stentor.telemetry import logger

Address = tuple[str, int]

SOCKET_BUFFER_BYTES = 1 << 20
_BATCH = 64
_PORT_TRIES = 20
_STUN_HEADER_BYTES = 20
_SO_TIMESTAMPNS = 35  # Linux, asm-generic; Python has no name for it
_EXPEDITED = 46 << 2
"""DSCP EF (RFC 3246, RFC 8837): speakers' sound goes before a crowd's, where the networks heed it."""
_STAMP = struct.Struct("@ll")
_STAMP_ROOM_BYTES = socket.CMSG_SPACE(_STAMP.size)
_MOST_WAITED_NS = NS_PER_S
_STUN_COOKIE = b"\x21\x12\xa4\x42"
_STUN_USERNAME = 6
_STUN_CLASS_BITS = 0x0110
_LETTERS = string.ascii_letters + string.digits

_FILTERED = Gauge(
    "stentor_origin_datagrams_filtered", "Datagrams that the kernel kept from the media port since the room opened"
)
_log = logger("origin")


class Member(Protocol):
    """The place of one session on one socket."""

    def stun_received(self, data: bytes, source: Address) -> None:
        """Take a STUN message meant for this session. Must not raise."""
        ...

    def media_received(self, data: bytes) -> None:
        """Take DTLS, SRTP or SRTCP from a validated address. Must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class Reachable:
    """An address and port at which peers may reach us, for a candidate line."""

    host: str
    port: int


def host_addresses() -> list[str]:
    """Return this machine's addresses, or 127.0.0.1 where it has no other."""
    return [str(address) for address in get_host_addresses(use_ipv4=True, use_ipv6=True)] or ["127.0.0.1"]


class UdpMux:
    """The port.

    Args:
        addresses: local addresses to receive on; empty for all that the machine has at this moment.
        port: the same on each address; 0 for any that is free.
        advertise: addresses (``host`` or ``host:port``) that a NAT in front maps to us.
        clock: what rates are measured by.

    Every username fragment of a session begins with ``tag``, and so does every transaction that a session starts: it
    is what the kernel's filter knows them by.

    Raises ConfigError if an address is none, or if the port cannot be had.
    """

    def __init__(
        self, addresses: Sequence[str], port: int = 0, *, advertise: Sequence[str] = (), clock: Clock | None = None
    ) -> None:
        self.tag = "".join(secrets.choice(_LETTERS) for _ in range(udp_filter.TAG_BYTES))
        self.arrived_ns = MonotonicNs(0)
        """When the datagram that is being handed out came, by the kernel's account."""
        self._clock = clock or SystemClock()
        self._members: dict[tuple[int, bytes], Member] = {}
        self._caps: dict[Member, CheckCaps] = {}
        self._transactions: dict[bytes, Member] = {}
        self._known: dict[tuple[int, Address], Member] = {}
        self._routes: dict[tuple[int, Address], Member] = {}
        self._filters = False
        self._stale: set[int] = set()
        self.sockets = _bind(addresses, port)
        self.port = int(self.sockets[0].getsockname()[1])
        try:
            self._advertised = [_reachable(text, self.port) for text in advertise]
        except ConfigError:
            self.close()
            raise

    def open(self) -> None:
        """Begin to read; call it on the running event loop."""
        loop = asyncio.get_running_loop()
        self._filters = True
        self._stale = set(range(len(self.sockets)))
        self._put_filters()
        _FILTERED.set_function(self._filtered)
        for index, sock in enumerate(self.sockets):
            loop.add_reader(sock.fileno(), self._read, index, sock)

    def close(self) -> None:
        """Stop reading and give the port back. Sessions must have been closed before."""
        if self._filters:
            _FILTERED.set_function(lambda: 0)
        self._filters = False
        for sock in self.sockets:
            if sock.fileno() >= 0:
                with contextlib.suppress(RuntimeError):  # no loop runs any more, so nothing reads
                    asyncio.get_running_loop().remove_reader(sock.fileno())
                sock.close()

    @property
    def hosts(self) -> list[Reachable]:
        """Return our own addresses, in the order of the sockets."""
        return [Reachable(str(sock.getsockname()[0]), self.port) for sock in self.sockets]

    @property
    def advertised(self) -> list[Reachable]:
        """Return the addresses that were given to us."""
        return list(self._advertised)

    @property
    def sizes(self) -> dict[str, int]:
        """Return how many places, transactions and routes are held; all zero when no session is."""
        return {
            "members": len(self._members),
            "transactions": len(self._transactions),
            "known": len(self._known),
            "routes": len(self._routes),
        }

    def send(self, index: int, data: bytes, target: Address) -> None:
        """Send from one socket at once; what the kernel has no room for is dropped and counted."""
        try:
            self.sockets[index].sendto(data, target)
        except BlockingIOError:
            drop("send_full")
        except OSError:
            drop("send_error")

    def add_member(self, index: int, ufrag: str, member: Member) -> None:
        """Give a session its place on a socket."""
        self._members[index, ufrag.encode()] = member
        self._caps[member] = CheckCaps()

    def remove_member(self, index: int, ufrag: str, member: Member) -> None:
        """Forget a session on a socket, with all addresses and transactions of its."""
        self._members.pop((index, ufrag.encode()), None)
        self._caps.pop(member, None)
        for key in [key for key, owner in self._known.items() if owner is member]:
            self._forget(*key)
        for transaction in [key for key, owner in self._transactions.items() if owner is member]:
            del self._transactions[transaction]

    def expect(self, transaction: bytes, member: Member) -> None:
        """Send the response to this transaction to ``member``."""
        self._transactions[transaction] = member

    def unexpect(self, transaction: bytes) -> None:
        """Expect no response to this transaction any more."""
        self._transactions.pop(transaction, None)

    def expect_from(self, index: int, source: Address, member: Member) -> None:
        """Let the kernel pass what ``source`` sends: its pair is being checked, and the peer may be done first."""
        if self._known.setdefault((index, source), member) is member:
            self._filter_again(index)

    def validate(self, index: int, source: Address, member: Member) -> None:
        """Let datagrams from ``source`` reach ``member``: ICE has validated the pair."""
        self._known[index, source] = self._routes[index, source] = member
        self._filter_again(index)

    def invalidate(self, index: int, source: Address, member: Member) -> None:
        """Take the address away again."""
        if self._known.get((index, source)) is member:
            self._forget(index, source)

    def _forget(self, index: int, source: Address) -> None:
        del self._known[index, source]
        self._routes.pop((index, source), None)
        self._filter_again(index)

    def _filter_again(self, index: int) -> None:
        """Have the socket's filter follow, once for all that changes in this turn of the loop."""
        if self._filters and not self._stale:
            asyncio.get_running_loop().call_soon(self._put_filters)
        self._stale.add(index)

    def _put_filters(self) -> None:
        stale, self._stale = self._stale, set()
        if not self._filters:
            return
        try:
            for index in stale:
                sock, version = self.sockets[index], 6 if self.sockets[index].family == socket.AF_INET6 else 4
                known = [source for at, source in self._known if at == index]
                udp_filter.attach(sock, udp_filter.program(version, self.tag.encode(), known))
        except OSError as error:
            self._filters = False
            _log.warning("no_udp_filter", reason=str(error), meaning="a flood may drown speakers")

    def _filtered(self) -> float:
        return sum(udp_filter.dropped(sock) for sock in self.sockets if sock.fileno() >= 0)

    def read(self) -> None:
        """Take what lies in the sockets, without waiting for the loop to see it."""
        for index, sock in enumerate(self.sockets):
            self._read(index, sock)

    def _read(self, index: int, sock: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                data, notes, _, source = sock.recvmsg(MAX_DATAGRAM_BYTES + 1, _STAMP_ROOM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                drop("receive_error")
                return
            self.arrived_ns = self._arrival(notes)
            self.route(index, data, (source[0], source[1]))

    def _arrival(self, notes: Sequence[tuple[int, int, bytes]]) -> MonotonicNs:
        """Return when the kernel took a datagram (socket(7), SO_TIMESTAMPNS); now, where it does not say."""
        now_ns = self._clock.monotonic_ns()
        for _, kind, stamp in notes:
            if kind == _SO_TIMESTAMPNS and len(stamp) >= _STAMP.size:
                seconds, nanoseconds = _STAMP.unpack_from(stamp)
                waited_ns = self._clock.wall_ns() - (seconds * NS_PER_S + nanoseconds)
                # The wall clock may have been set meanwhile.
                return MonotonicNs(now_ns - min(max(0, waited_ns), _MOST_WAITED_NS))
        return now_ns

    def route(self, index: int, data: bytes, source: Address) -> None:
        """Hand one datagram to its session, or drop it."""
        if not data:
            drop("empty")
        elif len(data) > MAX_DATAGRAM_BYTES:
            drop("oversize")
        elif data[0] < 4:
            member = self._stun_member(index, data)
            if member is None:
                drop("stun_unknown")
            elif self._admits_stun(index, source, member):
                member.stun_received(data, source)
            else:
                drop("stun_flood")
        elif 19 < data[0] < 64 or 127 < data[0] < 192:
            member = self._routes.get((index, source))
            if member is None:
                drop("unvalidated")
            else:
                member.media_received(data)
        else:
            drop("unknown_kind")

    def _admits_stun(self, index: int, source: Address, member: Member) -> bool:
        caps = self._caps.get(member)
        known = self._known.get((index, source)) is member
        return caps is not None and caps.admits(self._clock.monotonic_ns(), known=known)

    def _stun_member(self, index: int, data: bytes) -> Member | None:
        if len(data) < _STUN_HEADER_BYTES or data[4:8] != _STUN_COOKIE:
            return None
        if int.from_bytes(data[:2], "big") & _STUN_CLASS_BITS:
            return self._transactions.get(data[8:20])
        return self._members.get((index, local_ufrag(data)))


def local_ufrag(request: bytes) -> bytes:
    """Return our username fragment in a STUN request (USERNAME is ``ours:theirs``), or b"" if there is none."""
    position = _STUN_HEADER_BYTES
    while position + 4 <= len(request):
        kind = int.from_bytes(request[position : position + 2], "big")
        length = int.from_bytes(request[position + 2 : position + 4], "big")
        if kind == _STUN_USERNAME:
            return request[position + 4 : position + 4 + length].partition(b":")[0]
        position += 4 + (length + 3 & ~3)
    return b""


def _bind(addresses: Sequence[str], port: int) -> list[socket.socket]:
    found = addresses or _bindable(host_addresses())
    wanted = [(address, _version(address)) for address in found]
    for attempt in range(_PORT_TRIES):
        bound: list[socket.socket] = []
        try:
            for address, version in wanted:
                bound.append(_socket(address, version, port or (bound[0].getsockname()[1] if bound else 0)))
        except OSError as error:
            for sock in bound:
                sock.close()
            # Any free port will do, and the one we were given on the first address is taken on another: try again.
            if port == 0 and bound and error.errno == errno.EADDRINUSE and attempt + 1 < _PORT_TRIES:
                continue
            raise ConfigError(f"UDP port {port} cannot be opened ({error}); choose another media port.") from error
        return bound
    raise AssertionError("unreachable: the last attempt returns or raises")


def _bindable(addresses: Sequence[str]) -> list[str]:
    """Leave out addresses that an interface shows and the kernel does not give (IPv6 that is still tentative)."""
    kept = []
    for address in addresses:
        with contextlib.suppress(OSError):
            _socket(address, _version(address), 0).close()
            kept.append(address)
    return kept or ["127.0.0.1"]


def _version(address: str) -> int:
    try:
        return ipaddress.ip_address(address).version
    except ValueError as error:
        raise ConfigError(f"{address!r} is not an IP address.") from error


def _socket(address: str, version: int, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        with contextlib.suppress(OSError):
            level, option = (
                (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if version == 6 else (socket.IPPROTO_IP, socket.IP_TOS)
            )
            sock.setsockopt(level, option, _EXPEDITED)
        if version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _reachable(text: str, port: int) -> Reachable:
    """Read ``192.0.2.1``, ``192.0.2.1:40000``, ``2001:db8::1`` or ``[2001:db8::1]:40000``."""
    host, colon, number = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, number = text, str(port)
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
        given = int(number)
    except ValueError as error:
        raise ConfigError(f"--advertise {text!r} is not an IP address, with or without a port.") from error
    if not 0 < given < 65_536:
        raise ConfigError(f"--advertise {text!r}: the port is not between 1 and 65535.")
    return Reachable(address, given)
