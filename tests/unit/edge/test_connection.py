"""HTTP/1.1 on the wire: limits, deadlines, pipelining, and rubbish fed byte by byte."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.connection import Connection
from stentor.edge.http import Limits, Request, Response
from stentor.edge.metrics import REFUSED, Refusal
from stentor.errors import Conflict, StentorError


class Wire:
    """A line that remembers what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.owed: list[bytes | memoryview] = []
        self.closed = False
        self.aborted = False

    def send(self, *pieces: bytes) -> None:
        self.written += b"".join(pieces)

    def widen(self) -> None:
        pass

    def close(self, *, half: bool = False) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


class Desk:
    """A host that answers what it was asked; ``/hold`` is kept, ``/stream`` streams, ``/bad`` fails."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.draining = False
        self.timed: set[Connection] = set()
        self.asked: list[Request] = []
        self.work: list[Coroutine[object, object, None]] = []
        self.time_ns = 0

    def handle(self, connection: Connection, request: Request) -> Response | None:
        self.asked.append(request)
        if request.path == "/hold":
            return None
        if request.path == "/conflict":
            raise Conflict("No.")
        if request.path == "/bad":
            raise ZeroDivisionError
        if request.path == "/stream":
            return Response(200, {}, stream=pieces(), length=6)
        return Response(200, {"X-Path": request.path}, request.method.encode() + request.body)

    def now(self) -> MonotonicNs:
        return MonotonicNs(self.time_ns)

    def date_line(self) -> bytes:
        return b"Date: now\r\n"

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        self.work.append(work)

    def failed(self, connection: Connection, request: Request, error: Exception) -> StentorError:
        return StentorError("It has been written down.")

    def wait(self, seconds: float) -> None:
        """Let time pass and look at the deadlines."""
        self.time_ns += int(seconds * NS_PER_S)
        for connection in [each for each in self.timed if each.deadline <= self.time_ns]:
            connection.no_deadline()
            connection.on_deadline()


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"abc", b"def"):
        yield piece


def connect() -> tuple[Connection, Wire, Desk]:
    desk, wire = Desk(), Wire()
    connection = Connection(desk, wire, "192.0.2.1")  # type: ignore[arg-type]  # as much of a line as is used
    return connection, wire, desk


def statuses(written: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", written)]


GET = b"GET /a?x=1&y=%20 HTTP/1.1\r\nHost: h\r\nX: 1\r\nX: 2\r\n\r\n"


def test_answers_and_keeps_the_connection() -> None:
    connection, wire, desk = connect()
    connection.received(GET)
    assert wire.written == (
        b"HTTP/1.1 200 OK\r\nX-Path: /a\r\nContent-Length: 3\r\nDate: now\r\nConnection: keep-alive\r\n\r\nGET"
    )
    assert (desk.asked[0].query, desk.asked[0].headers["x"]) == ({"x": "1", "y": " "}, "1, 2")
    assert desk.asked[0].address == "192.0.2.1"
    assert not wire.closed


def test_byte_by_byte_is_the_same() -> None:
    connection, wire, _ = connect()
    data = GET + b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody" + GET
    for index in range(len(data)):
        connection.received(data[index : index + 1])
    other, other_wire, _ = connect()
    other.received(data)
    assert wire.written == other_wire.written
    assert statuses(wire.written) == [200, 200, 200]
    assert b"POSTbody" in wire.written


def test_head_has_the_length_and_no_body() -> None:
    connection, wire, _ = connect()
    connection.received(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"Content-Length: 4\r\n" in wire.written
    assert wire.written.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"],
)
def test_closes_when_the_client_wants_it(request_bytes: bytes) -> None:
    connection, wire, _ = connect()
    connection.received(request_bytes)
    assert b"Connection: close" in wire.written
    assert wire.closed


def test_a_draining_host_closes() -> None:
    connection, wire, desk = connect()
    desk.draining = True
    connection.received(GET)
    assert wire.closed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 65 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 17_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 30_000, 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + bytes(32_768) + b"\r\n"
         + b"8001\r\n" + bytes(32_769) + b"\r\n", 413),
        (b"GET /?" + b"a=1&" * 40 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_told_so_once_and_closed(data: bytes, status: int) -> None:
    connection, wire, desk = connect()
    connection.received(data)
    assert statuses(wire.written) == [status]
    assert b"application/problem+json" in wire.written
    assert wire.closed
    assert desk.asked == []
    connection.received(GET)
    assert desk.asked == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "silent"),
        (b"GET / HT", "head-late"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nx", "body-late"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 65 + b"\r\n", "head-too-large"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", "body-too-large"),
        (b"rubbish\r\n\r\n", "garbled"),
        (b"GET /hold HTTP/1.1\r\n\r\n" * 30, "pipelined"),
    ],
)
def test_who_is_refused_is_counted_by_reason(data: bytes, reason: str) -> None:
    def counts() -> dict[str, float]:
        return {each.value: REFUSED.labels(each.value)._value.get() for each in Refusal}

    before = counts()
    connection, wire, desk = connect()
    connection.received(data)
    desk.wait(11)
    assert wire.closed
    assert {name: count - before[name] for name, count in counts().items() if count != before[name]} == {reason: 1}


def test_who_does_not_read_its_answer_is_counted() -> None:
    before = REFUSED.labels("never-read")._value.get()
    connection, wire, _ = connect()
    connection.stalled()
    assert (wire.aborted, REFUSED.labels("never-read")._value.get()) == (True, before + 1)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_rubbish_never_raises(data: bytes, cut: int) -> None:
    for start in (b"", b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"):
        connection, wire, _ = connect()
        whole = start + data
        for at in range(0, len(whole), cut):
            connection.received(whole[at : at + cut])
        assert all(status in (200, 400, 413, 431) for status in statuses(wire.written))


@pytest.mark.timeout(10)
def test_a_body_in_pieces_of_a_byte_costs_no_more_than_its_size() -> None:
    """Adding up all pieces at each one took a minute, in which nobody heard anything."""
    connection, wire, desk = connect()
    body = bytes(desk.limits.body_bytes)
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n\0\r\n" * len(body)
    connection.received(data + b"0\r\n\r\n")
    assert desk.asked[0].body == body
    connection.received(data + b"1\r\n\0\r\n")
    assert statuses(wire.written) == [200, 413]


def test_errors_become_problem_documents() -> None:
    connection, wire, _ = connect()
    connection.received(b"GET /conflict HTTP/1.1\r\n\r\nGET /bad HTTP/1.1\r\n\r\n")
    assert statuses(wire.written) == [409, 500]
    assert b"ZeroDivision" not in wire.written


def test_pipelined_requests_wait_for_the_one_that_is_held() -> None:
    connection, wire, desk = connect()
    connection.received(b"GET /hold HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert (wire.written, len(desk.asked)) == (b"", 1)
    connection.respond(Response(200, {}, b"late"))
    assert statuses(wire.written) == [200, 200]
    assert wire.written.index(b"late") < wire.written.index(b"X-Path: /b")


def test_a_pipelined_request_waits_until_the_answer_before_it_is_read() -> None:
    connection, wire, desk = connect()
    wire.owed = [b"unread"]
    connection.received(GET + GET)
    assert desk.asked == []
    wire.owed = []
    connection.drained()
    assert statuses(wire.written) == [200, 200]


def test_too_many_pipelined_requests_end_the_connection() -> None:
    connection, wire, _ = connect()
    connection.received(b"GET /hold HTTP/1.1\r\n\r\n")
    connection.received(b"GET /hold HTTP/1.1\r\n\r\n" * 40)
    assert wire.aborted


@pytest.mark.parametrize(
    ("data", "seconds", "status"),
    [(b"GET / HTT", 5, 408), (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", 6, 408), (b"", 5, None)],
)
def test_the_slow_are_let_go(data: bytes, seconds: float, status: int | None) -> None:
    connection, wire, desk = connect()
    if data:
        connection.received(data)
    desk.wait(seconds - 1)
    assert not wire.closed
    desk.wait(1)
    assert statuses(wire.written) == ([] if status is None else [status])
    assert wire.closed
    connection.stalled()
    assert wire.aborted


def test_a_drip_of_bytes_gains_no_time() -> None:
    connection, wire, desk = connect()
    for byte in b"GET / HTTP":
        connection.received(bytes((byte,)))
        desk.wait(0.6)
    assert wire.closed


def test_an_idle_connection_is_closed_without_a_word() -> None:
    connection, wire, desk = connect()
    connection.received(GET)
    written = wire.written
    desk.wait(74)
    assert not wire.closed
    desk.wait(1)
    assert wire.closed
    assert wire.written == written


def test_continue_is_said_when_it_is_asked_for() -> None:
    connection, wire, _ = connect()
    connection.received(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert wire.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.received(b"ab")
    assert wire.written.endswith(b"POSTab")


def test_an_upgrade_that_nobody_takes_is_answered_and_closed() -> None:
    connection, wire, _ = connect()
    connection.received(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nrest")
    assert statuses(wire.written) == [200]
    assert wire.closed


async def test_a_stream_waits_for_the_client_and_can_be_left() -> None:
    connection, wire, desk = connect()
    connection.received(b"GET /stream HTTP/1.1\r\n\r\n")
    wire.owed = [b"unread"]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.work[0])
        await asyncio.sleep(0)
        assert not wire.written.endswith(b"abc")
        wire.owed = []
        connection.drained()
    assert wire.written.endswith(b"\r\n\r\nabcdef")
    assert b"Content-Length: 6" in wire.written
    connection.received(GET)
    assert statuses(wire.written) == [200, 200]


async def test_a_client_that_goes_ends_its_stream() -> None:
    connection, wire, desk = connect()
    connection.received(b"GET /stream HTTP/1.1\r\n\r\n")
    wire.owed = [b"unread"]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.work[0])
        await asyncio.sleep(0)
        connection.lost()
    assert not wire.written.endswith(b"abc")
    assert desk.timed == set()


def test_headers_cannot_be_split() -> None:
    head = Response(200, {"icy-name": "a\r\nSet-Cookie: x"}).head
    assert head.count(b"\r\n") == 3
    assert b"\r\nSet-Cookie" not in head
