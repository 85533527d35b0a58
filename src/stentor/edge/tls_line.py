"""A client's socket with TLS in this process, for sites that put no front before their edges."""

# mypy: disable-error-code="explicit-override"
# typing.override came with Python 3.12.

import ssl

from stentor.edge.reactor import READ, RECEIVE_BYTES, WRITE, Line, Reactor


class TlsLine(Line):
    """A line over TLS in this process: OpenSSL writes to the descriptor itself, no buffer of ours in between."""

    __slots__ = ("_shaking",)

    def __init__(self, sock: ssl.SSLSocket, reactor: Reactor) -> None:
        super().__init__(sock, reactor)
        self._shaking = True

    def ready(self, events: int) -> None:
        """Shake hands first; TLS may want to write in order to read."""
        if self._shaking:
            self._shake()
        else:
            super().ready(events)

    def _shake(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101 - for the type checker
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._await_room(wanted=False)
            return
        except ssl.SSLWantWriteError:
            self._await_room(wanted=True)
            return
        except (OSError, ValueError):
            self._drop()
            return
        self._shaking = False
        self._await_room(wanted=False)
        self._read()

    def _await_room(self, *, wanted: bool) -> None:
        if self._writing is not wanted:
            self._writing = wanted
            self._reactor.change(self.fd, READ | WRITE if wanted else READ)

    def _read(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101 - for the type checker
        # Of one record what a read left over: epoll knows nothing of what OpenSSL has decrypted already. The next
        # record is another event's, or one client that never stops would keep all others waiting.
        more = True
        while more:
            try:
                data = self.sock.recv(RECEIVE_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            except (OSError, ValueError):
                data = b""
            if not data:
                self._drop()
                return
            if not self.closing:
                self.owner.received(data)
            more = not self.closed and self.sock.pending() > 0

    def _write(self, pieces: "tuple[bytes, ...] | list[bytes | memoryview]") -> int:
        # What OpenSSL could not write must be offered again from the same place: joined, it stays one piece.
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(pieces) > 1 and isinstance(pieces, list):
            pieces[:] = [data]
        try:
            return self.sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def _say_end(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101 - for the type checker
        try:
            self.sock.unwrap()  # Sends close_notify; its answer is not waited for.
        except (OSError, ValueError):
            return
