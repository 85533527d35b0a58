"""The crowd must see what comes, whatever pieces it comes in."""

import asyncio
import json
import struct
import time

import pytest

from bench.compiled import compiled
from bench.crowd import Spread, crowd
from stentor.edge.websocket import CloseCode, Opcode, close_frame, frame
from stentor.media import ogg

STEP_NS = 240_000_000


@pytest.fixture(autouse=True)
def _built():
    try:
        compiled("crowd")
    except SystemExit as why:
        pytest.skip(str(why))


def media(step):
    return frame(Opcode.BINARY, struct.pack(">BBHIQ", 1, 2, 0, 1, step) + bytes(1_000))


class Server:
    """Answers each connection with the same pieces, keeps what it is sent (so many bytes), and closes."""

    def __init__(self, pieces, *, answer_bytes=0):
        self.pieces = pieces
        self.answer_bytes = answer_bytes
        self.heard = []
        self.go = asyncio.Event()

    async def serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await self.go.wait()
        for piece in self.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        self.heard.append(await reader.readexactly(self.answer_bytes))
        writer.close()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()


async def until_all_gone(listeners):
    status = await listeners.status()
    while status["open"]:
        status = await listeners.status()
    return status


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


PONG = bytes([0x80 | 10, 0x80 | 6, 0, 0, 0, 0]) + b"there?"


@pytest.mark.parametrize("size", [1 << 20, 7, 64])
async def test_blocks_are_found_in_any_pieces(size):
    zero_ms = time.time_ns() // 1_000_000 - 10 * STEP_NS // 1_000_000
    hello = frame(Opcode.TEXT, json.dumps({"type": "hello", "zero_ms": zero_ms}).encode())
    said = SWITCH + hello + media(8) + frame(Opcode.PING, b"there?") + media(9)
    server = Server(cut(said, size), answer_bytes=len(PONG))
    async with server as port, crowd("push", port, 3, rest_us=500) as listeners:
        await listeners.open()
        server.go.set()
        arrived = await listeners.arrived(10)
        await until_all_gone(listeners)
        window = await listeners.close()
    assert arrived["handshaken"] == 3
    assert window.parts[0]["zero_ms"] == zero_ms
    assert window.spread("late_us").count == 6
    assert 0 < window.spread("lag_us").smallest < 10_000_000
    assert server.heard == [PONG] * 3


async def test_a_close_code_is_read_and_the_loss_counted():
    said = SWITCH + media(1) + close_frame(CloseCode.NOT_OPEN, "not open")
    server = Server([said])
    server.go.set()
    async with server as port, crowd("push", port, 2, rest_us=500) as listeners:
        await listeners.arrived(10)
        status = await until_all_gone(listeners)
    assert status.close_codes == {4425: 2}
    assert (status["dropped"], status["ended"], status["reset"]) == (2, 2, 0)


@pytest.mark.parametrize("size", [1 << 20, 11])
async def test_pages_are_found_from_the_middle_of_one_on(size):
    units = [bytes([80] * 80)] * 12
    pages = b"".join(ogg.page(1, number, number * 11_520, units) for number in range(1, 5))
    said = b"HTTP/1.0 200 OK\r\n\r\n" + pages[100:]
    server = Server(cut(said, size))
    async with server as port, crowd("ogg", port, 1, rest_us=500, zero_ms=1) as listeners:
        await listeners.open()
        server.go.set()
        await listeners.arrived(10)
        await until_all_gone(listeners)
        window = await listeners.close()
    assert window.spread("late_us").count == 3


async def test_who_is_refused_is_no_listener():
    server = Server([b"HTTP/1.1 503 Busy\r\n\r\nno"])
    server.go.set()
    async with server as port, crowd("push", port, 2, rest_us=500) as listeners:
        with pytest.raises(AssertionError, match="bad_status 2"):
            await listeners.arrived(10)


def test_distributions_of_processes_add_up():
    one = {"count": 3, "min": 1, "max": 9, "sum": 12, "histogram": [[1, 1], [2, 1], [9, 1]]}
    two = {"count": 1, "min": 0, "max": 0, "sum": 0, "histogram": [[0, 1]]}
    none = {"count": 0, "min": 0, "max": 0, "sum": 0, "histogram": []}
    both = Spread.of([one, two, none])
    assert (both.count, both.smallest, both.largest, both.total) == (4, 0, 9, 12)
    assert [both.at(share) for share in (0.25, 0.5, 0.75, 1.0)] == [0, 1, 2, 9]
    assert Spread.of([none]).at(0.99) == 0
