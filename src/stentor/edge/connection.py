"""One client's connection: HTTP/1.1 on the wire, nothing of Stentor in it.

A connection reads requests, gives each to its ``Host`` and writes the answers in order. A handler that cannot answer
at once (a held reload) or that goes on for hours (a listener) returns None and keeps the connection: it is then
``busy`` until ``respond`` is called or it closes. No task, queue or timer belongs to a connection; deadlines are
looked at once a second for all of them (``Host.timed``), and who does not read is noticed by its line (edge/reactor).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Protocol

import httptools

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.http import HeadTooLarge, Limits, Request, RequestHead, Response, TooSlow, problem
from stentor.edge.metrics import REFUSED, Refusal
from stentor.edge.reactor import Line
from stentor.edge.refusal import refusal
from stentor.errors import BadRequest, StentorError, TooLarge

_SLICE_BYTES = 4_096
_JOINED_BYTES = 32_768
"""A small body is copied behind its head, a large one stays shared while it is owed."""
_REFUSALS = {
    HeadTooLarge.slug: Refusal.HEAD_TOO_LARGE,
    TooLarge.slug: Refusal.BODY_TOO_LARGE,
    "pipelined": Refusal.PIPELINED,
}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_KEEP, _CLOSE = b"Connection: keep-alive\r\n\r\n", b"Connection: close\r\n\r\n"


_NO_HEAD = RequestHead(Limits())
"""Stands where no request has begun."""


class Host(Protocol):
    """What a connection asks of the server that it belongs to."""

    limits: Limits
    draining: bool
    timed: set["Connection"]

    def handle(self, connection: "Connection", request: Request) -> Response | None:
        """Answer a request, or return None and keep the connection. Raises StentorError for a problem document."""
        ...

    def now(self) -> MonotonicNs:
        """Return monotonic time."""
        ...

    def date_line(self) -> bytes:
        """Return the Date header's line."""
        ...

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run work that may wait, in the server's task group."""
        ...

    def failed(self, connection: "Connection", request: Request, error: Exception) -> StentorError:
        """Report an error that nobody expected and return what the client is told."""
        ...


class Taker(Protocol):
    """Who reads the bytes of a connection after an upgrade."""

    def received(self, data: bytes) -> None:
        """Take the next bytes."""
        ...


class Connection:
    """A client that speaks HTTP/1.1. Owner of its line until that is handed to somebody else (``hand_over``)."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_can_write",
        "_head",
        "_host",
        "_in_head",
        "_parser",
        "_pending",
        "_raw_bytes",
        "accepted_at",
        "address",
        "busy",
        "closed",
        "current",
        "deadline",
        "line",
        "on_deadline",
        "on_lost",
        "taker",
    )

    def __init__(self, host: Host, line: Line, address: str) -> None:
        self._host = host
        self.line = line
        self.address = address
        self.accepted_at = host.now()
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._head = _NO_HEAD
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._in_head = True
        self._raw_bytes = 0
        self._pending: list[Request] = []
        self._can_write: asyncio.Event | None = None
        self.busy = False
        self.closed = False
        self.current: Request | None = None
        self.deadline = MonotonicNs(0)
        self.on_deadline: Callable[[], None] = self._head_late
        self.on_lost: Callable[[], None] | None = None
        self.taker: Taker | None = None

        self.set_deadline(host.limits.head_s, self._head_late)

    # The line's side (reactor.Owner).

    def lost(self) -> None:
        """Let go of everything."""
        self.closed = True
        self._host.timed.discard(self)
        self._pending.clear()
        self._parser = None
        if self._can_write is not None:
            self._can_write.set()
        if self.on_lost is not None:
            self.on_lost()

    def drained(self) -> None:
        """Go on: the client has read what it was owed."""
        if self._can_write is not None:
            self._can_write.set()
        elif not self.busy:
            self._advance()

    def stalled(self) -> None:
        """Give up: the client does not read."""
        REFUSED.labels(Refusal.NEVER_READ.value).inc()
        self.abort()

    def received(self, data: bytes) -> None:
        """Read what has come. In small slices, so that a head is never much over its limit before it is refused."""
        if self.taker is not None:
            self.taker.received(data)
            return
        for at in range(0, len(data), _SLICE_BYTES):
            if self._parser is None or self.closed:
                return
            piece = data if len(data) <= _SLICE_BYTES else data[at : at + _SLICE_BYTES]
            try:
                self._parser.feed_data(piece)
                self._count_raw(len(piece))
            except httptools.HttpParserUpgrade as upgrade:
                self._advance()
                self._after_upgrade(piece[upgrade.args[0] :] + data[at + _SLICE_BYTES :])
                return
            except httptools.HttpParserCallbackError as wrapped:
                cause = wrapped.__context__
                self._refuse(cause if isinstance(cause, StentorError) else BadRequest("The request is garbled."))
                return
            except httptools.HttpParserError:
                self._refuse(BadRequest("This is not HTTP/1.1."))
                return
            except StentorError as error:
                self._refuse(error)
                return
        self._advance()

    def _count_raw(self, size_bytes: int) -> None:
        if not self._in_head:
            self._raw_bytes = 0
            return
        self._raw_bytes += size_bytes
        if self._raw_bytes > self._host.limits.head_bytes + _SLICE_BYTES:
            raise HeadTooLarge(f"The head of a request may have {self._host.limits.head_bytes} bytes at most.")

    def _after_upgrade(self, rest: bytes) -> None:
        if self.taker is not None:
            self._parser = None
            if rest:
                self.taker.received(rest)
        elif self.busy:
            self._parser = None
        else:
            self.close()

    # The parser's side (llhttp calls these while it reads).

    def on_message_begin(self) -> None:
        """Begin a request; whoever was idle now has the time for a head."""
        self._in_head, self._raw_bytes = True, 0
        self._head, self._body, self._body_bytes = RequestHead(self._host.limits), [], 0
        if not self.busy and self.is_idle:  # A new connection has its deadline from the moment it was accepted.
            self.set_deadline(self._host.limits.head_s, self._head_late)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._head.add_target(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._head.add_header(name, value or b"")

    def on_headers_complete(self) -> None:
        """Refuse a body that is announced too large; begin its deadline."""
        self._in_head = False
        length = self._head.headers.get("content-length", "0")
        if not length.isdigit() or int(length[:12]) > self._host.limits.body_bytes:
            raise TooLarge(f"A body may have {self._host.limits.body_bytes} bytes at most.")
        if not self.busy:
            self.set_deadline(self._host.limits.body_s, self._head_late)
        if self._head.headers.get("expect", "").lower() == "100-continue" and not self.busy:
            self.line.send(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > self._host.limits.body_bytes:
            raise TooLarge(f"A body may have {self._host.limits.body_bytes} bytes at most.")

    def on_message_complete(self) -> None:
        """Put the request in line."""
        if self._parser is None:
            return
        path, query = self._head.split_target()
        self._in_head, self._raw_bytes = True, 0
        if len(self._pending) >= self._host.limits.pipelined:
            raise BadRequest("Too many requests were sent without waiting for an answer.", slug="pipelined")
        method = self._parser.get_method().decode("ascii")
        keep_alive = self._parser.should_keep_alive()
        self._pending.append(
            Request(method, path, query, self._head.headers, self.address, keep_alive, b"".join(self._body))
        )
        self._head = _NO_HEAD

    # Answers.

    def _advance(self) -> None:
        while self._pending and not self.busy and not self.closed and not self.line.owed:
            request = self._pending.pop(0)
            self.current, self.busy = request, True
            self.no_deadline()
            try:
                response = self._host.handle(self, request)
            except StentorError as error:
                response = refusal(request, error)
            except Exception as error:  # noqa: BLE001 - one bad request must not end the process
                response = refusal(request, self._host.failed(self, request, error))
            if response is not None:
                self.respond(response)

    def respond(self, response: Response) -> None:
        """Write the answer to the request in hand, and go on with the next one."""
        if self.closed or self.current is None:
            return
        request, self.current = self.current, None
        keep_alive = request.keep_alive and not self._host.draining and response.length is not None
        keep_alive = keep_alive and self._parser is not None and "upgrade" not in request.headers
        connection_line = _KEEP if keep_alive else _CLOSE
        date_line = self._host.date_line()
        if request.method != "HEAD" and response.stream is None and len(response.body) <= _JOINED_BYTES:
            self.line.send(response.whole(date_line, connection_line))
            self._done(keep_alive=keep_alive)
            return
        head = response.head + date_line + connection_line
        if response.stream is not None and request.method != "HEAD":
            self.line.widen()
            self.line.send(head)
            self._can_write = asyncio.Event()
            self._host.spawn(self._pump(response, keep_alive=keep_alive))
            return
        if request.method == "HEAD":
            self.line.send(head)
        else:
            self.line.send(head, response.body)
        self._done(keep_alive=keep_alive)

    def _done(self, *, keep_alive: bool) -> None:
        self.busy = False
        if not keep_alive:
            self.close()
            return
        if self._head is not _NO_HEAD:  # The next request has begun meanwhile.
            self.set_deadline(self._host.limits.head_s, self._head_late)
        else:
            self.set_deadline(self._host.limits.idle_s, self.close)
        self._advance()

    async def _pump(self, response: Response, *, keep_alive: bool) -> None:
        """Write a stream as fast as the client reads it."""
        assert response.stream is not None and self._can_write is not None  # noqa: S101, PT018 - for the type checker
        try:
            async for piece in response.stream:
                if self.line.owed:
                    self._can_write.clear()
                    await self._can_write.wait()
                if self.closed:
                    return
                self.line.send(piece)
        except BaseException:
            self.abort()  # The head is out: only a broken end can say that the body is not whole.
            raise
        finally:
            if isinstance(response.stream, AsyncGenerator):
                await response.stream.aclose()
        self._can_write = None
        self._done(keep_alive=keep_alive)

    def keep(self, head: bytes, on_lost: Callable[[], None] | None = None, taker: Taker | None = None) -> None:
        """Turn the connection into somebody's own: write ``head``; from now on the caller writes with ``send``.

        ``on_lost`` is called once when the connection has gone.
        """
        self.busy, self.on_lost, self.taker = True, on_lost, taker
        self.current, self._parser = None, None
        self.no_deadline()
        self.send(head)

    def age_s(self) -> float:
        """Return how long ago the client was accepted, in seconds."""
        return (self._host.now() - self.accepted_at) / NS_PER_S

    def send(self, data: bytes) -> None:
        """Write to a connection that is kept."""
        self.line.send(data)

    def hand_over(self, taker: Taker) -> Line:
        """Give the line to a listener; this connection is over. ``taker`` gets what came behind the request."""
        self.busy, self.taker = True, taker
        self.current, self._parser = None, None
        self.no_deadline()
        if self.line.visit is not None:
            self.line.visit.listens(self._host.now())
        return self.line

    def _refuse(self, error: StentorError) -> None:
        """Answer what cannot be understood, once, and close."""
        late = Refusal.HEAD_LATE if self._in_head else Refusal.BODY_LATE
        reason = late if isinstance(error, TooSlow) else _REFUSALS.get(error.kind, Refusal.GARBLED)
        REFUSED.labels(reason.value).inc()
        self._parser = None
        if self.busy:
            self.abort()
            return
        answer = problem(error)
        self.line.send(answer.head + self._host.date_line() + b"Connection: close\r\n\r\n" + answer.body)
        self.busy = True
        self.no_deadline()
        self.line.close(half=not isinstance(error, TooSlow))  # Who is late has sent nothing that is unread.

    # Deadlines and the end.

    def set_deadline(self, seconds: float, then: Callable[[], None]) -> None:
        """Call ``then`` if the connection is still in this state after ``seconds`` (looked at once a second)."""
        self.deadline = MonotonicNs(self._host.now() + int(seconds * NS_PER_S))
        self.on_deadline = then
        self._host.timed.add(self)

    @property
    def is_idle(self) -> bool:
        """Tell whether the client was answered and has asked for nothing since."""
        return self.on_deadline == self.close

    def idle_since(self) -> MonotonicNs:
        """Return since when an idle connection is idle."""
        return MonotonicNs(self.deadline - int(self._host.limits.idle_s * NS_PER_S))

    def no_deadline(self) -> None:
        """Wait as long as it takes."""
        self._host.timed.discard(self)

    def _head_late(self) -> None:
        if self._raw_bytes or not self._in_head:
            self._refuse(TooSlow("The request did not come in time."))
        else:
            REFUSED.labels(Refusal.SILENT.value).inc()
            self.close()

    def close(self) -> None:
        """Close once everything is written, or once the client has had its time to read it."""
        self.busy = True
        self.no_deadline()
        self.line.close()

    def abort(self) -> None:
        """Close at once."""
        self.no_deadline()
        self.line.abort()
