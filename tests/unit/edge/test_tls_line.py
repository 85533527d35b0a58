"""TLS in the process, against another implementation's client: its end, and one client that never stops."""

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stentor.edge.reactor import Reactor
from stentor.edge.tls_line import TlsLine
from tests.fakes.certificates import write_certificate
from tests.fakes.clock import VirtualClock

RECORD = 16_384


class Ours:
    """A line's owner that remembers."""

    def __init__(self, line: TlsLine) -> None:
        self.line = line
        self.pieces: list[bytes] = []
        self.gone = asyncio.Event()
        self.heard = asyncio.Event()

    def received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.heard.set()

    def drained(self) -> None:
        pass

    def lost(self) -> None:
        self.gone.set()

    def stalled(self) -> None:
        self.line.abort()


class Pair:
    """Our line and a client of asyncio's."""

    def __init__(
        self, ours: Ours, reactor: Reactor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.ours, self.reactor, self.reader, self.writer = ours, reactor, reader, writer


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    write_certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    client = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    reactor = Reactor(asyncio.get_running_loop(), VirtualClock(), 7.0)
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.settimeout(0)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40 * RECORD)
    line = TlsLine(server.wrap_socket(ours, server_side=True, do_handshake_on_connect=False), reactor)
    owner = Ours(line)
    line.open(owner)
    reader, writer = await asyncio.open_connection(sock=theirs, ssl=client, server_hostname="localhost")
    yield Pair(owner, reactor, reader, writer)
    line.abort()
    reactor.close()
    writer.transport.abort()
    await asyncio.sleep(0)


async def test_the_last_words_arrive_and_what_comes_after_them_is_dropped(pair: Pair) -> None:
    line = pair.ours.line
    line.send(b"goodbye")
    line.close(half=True)
    assert await pair.reader.read() == b"goodbye", "and then an end, not a reset"
    assert not line.closed, "the client closes first"
    pair.writer.write(b"but wait")
    pair.writer.close()
    await pair.ours.gone.wait()
    assert (line.closed, pair.ours.pieces, pair.reactor.open_lines) == (True, [], 0)


async def test_who_does_not_close_is_noticed(pair: Pair) -> None:
    line = pair.ours.line
    line.close(half=True)
    assert line in pair.reactor.behind
    line.owner.stalled()
    assert pair.ours.gone.is_set()


async def test_one_event_reads_one_record(pair: Pair) -> None:
    """Or a client that sends without end would be all that an edge looks at."""
    line, sent = pair.ours.line, bytes(10 * RECORD)
    pair.reactor.change(line.fd, 0)  # The loop leaves it alone.
    pair.writer.write(sent)
    await pair.writer.drain()
    for _ in range(20):
        line.ready(select.EPOLLIN)
        assert sum(map(len, pair.ours.pieces)) <= RECORD
        if pair.ours.pieces:
            break
    pair.ours.heard.clear()
    pair.reactor.change(line.fd, select.EPOLLIN)
    while sum(map(len, pair.ours.pieces)) < len(sent):
        await pair.ours.heard.wait()
        pair.ours.heard.clear()
    assert b"".join(pair.ours.pieces) == sent
