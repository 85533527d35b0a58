"""The listening socket of an edge, which it may share with others."""

import asyncio
import errno
import select
import socket
import ssl
from collections.abc import Callable

from stentor.clock import Clock
from stentor.edge.balance import Balance
from stentor.edge.load import accept_queue
from stentor.edge.metrics import EXHAUSTED
from stentor.edge.reactor import Line, Reactor, Visit
from stentor.edge.tls_line import TlsLine
from stentor.telemetry import RateLimitedLog, logger

_ACCEPTS_A_PASS = 64
_ACCEPTS_A_NOTE = 4
_LOOK_AGAIN_S = 0.01
_SAY_AGAIN_S = 60.0
_MAPPED = "::ffff:"
"""How a socket for IPv6 and IPv4 tells an address of IPv4 (RFC 4291, section 2.5.5.2)."""
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""struct linger {on, 0 s}: nothing of what is cut stays behind, no TIME_WAIT either."""

log = logger("edge")


class Acceptor:
    """Takes clients from a listening socket that several edges may share (EPOLLEXCLUSIVE: one of them wakes)."""

    def __init__(
        self,
        listening: socket.socket,
        reactor: Reactor,
        balance: Balance,
        welcome: Callable[[Line, str], None],
        tls: ssl.SSLContext | None = None,
        admit: Callable[[str, int], Visit | None] | None = None,
    ) -> None:
        """``listening`` listens and does not block; ``welcome`` is told each client's line and address.

        ``admit`` is asked by address and free descriptors before anything is read, TLS included; None: cut.
        """
        self._listening = listening
        self._reactor = reactor
        self._balance = balance
        self._welcome = welcome
        self._tls = tls
        self._admit = admit
        self._accepting = self._stopped = False
        self._others_turn = asyncio.Event()
        self._exhausted = RateLimitedLog(log, "edge_full", reactor.clock, period_s=_SAY_AGAIN_S)
        self.resume()

    def resume(self) -> None:
        """Accept if that is allowed now; call once in a while.

        It looks into the queue itself: of an arrival the kernel wakes one edge alone, and if that one pauses before
        it has come to it, nobody else is told.
        """
        if self._stopped:
            return
        if not self._accepting and self._balance.may_accept():
            self._accepting = True
            self._reactor.watch(self._listening.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE, self)
        elif self._accepting and self._balance.shared:
            self.ready(select.EPOLLIN)

    def pause(self) -> None:
        """Leave new clients to the others, or in the queue."""
        if self._accepting:
            self._accepting = False
            self._reactor.forget(self._listening.fileno())

    def stop(self) -> None:
        """Accept nobody any more, whoever's turn it is; the listening socket may be closed."""
        self.pause()
        self._stopped = True

    def queued(self) -> int:
        """Return how many clients wait to be accepted here; those left to other edges are not ours to count."""
        return accept_queue(self._listening) if self._accepting else 0

    def ready(self, _events: int) -> None:
        """Accept some; the rest of the queue wakes us, or another edge, again."""
        self._accept()
        if not self._our_turn():
            self.pause()
            self._others_turn.set()

    async def take_turns(self, clock: Clock) -> None:
        """Look often, for ever, whether it is our turn again: in a rush the others are full within moments."""
        while True:
            await self._others_turn.wait()
            await clock.sleep(_LOOK_AGAIN_S)
            if self._stopped:
                return
            if self._our_turn():
                self._others_turn.clear()
                self.resume()

    def _our_turn(self) -> bool:
        self._balance.note(self._reactor.open_lines, self._reactor.now())
        return self._balance.may_accept()

    def _accept(self) -> None:
        for count in range(1, _ACCEPTS_A_PASS + 1):
            if count % _ACCEPTS_A_NOTE == 0 and not self._our_turn():
                return
            if self._reactor.full:
                self._leave_waiting("all descriptors are in use; raise `ulimit -n` (LimitNOFILE), or start more edges")
                return
            try:
                sock, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._leave_waiting(error)
                return
            self._take_on(sock, str(peer[0]).removeprefix(_MAPPED) if isinstance(peer, tuple) else "")

    def _take_on(self, sock: socket.socket, address: str) -> None:
        visit = None
        if self._admit is not None:
            visit = self._admit(address, self._reactor.most_lines - self._reactor.open_lines)
            if visit is None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                sock.close()
                return
        sock.settimeout(0)
        line = self._line(sock)
        if line is not None:
            line.visit = visit
            self._welcome(line, address)
        elif visit is not None:
            visit.over(self._reactor.now())

    def _leave_waiting(self, why: object) -> None:
        """Accept nobody for a moment: those in the queue wait for another edge, or until somebody has left."""
        EXHAUSTED.inc()
        self._exhausted.note(why, connections=self._reactor.open_lines)
        self.pause()

    def _line(self, sock: socket.socket) -> Line | None:
        if self._tls is None:
            return Line(sock, self._reactor)
        try:
            secure = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError):  # It has gone already.
            sock.close()
            return None
        return TlsLine(secure, self._reactor)
