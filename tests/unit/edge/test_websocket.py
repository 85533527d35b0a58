"""WebSocket framing against rubbish, and against a library that nobody here wrote."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode
from websockets.utils import accept_key

from stentor.edge.websocket import (
    MAX_MESSAGE_BYTES,
    CloseCode,
    FrameError,
    FrameReader,
    Opcode,
    UpgradeRequired,
    accept,
    close_frame,
    frame,
)
from stentor.errors import BadRequest

HANDSHAKE = {
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
FRAME = st.tuples(
    st.sampled_from([TheirOpcode.TEXT, TheirOpcode.BINARY, TheirOpcode.PING, TheirOpcode.PONG]),
    st.text(max_size=30).map(str.encode),
)


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(TheirOpcode(opcode), payload, fin=fin).serialize(mask=True)


def test_accepts_the_handshake_of_the_specification() -> None:
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accept(HANDSHAKE)
    assert accept_key(HANDSHAKE["sec-websocket-key"]).encode() in accept(HANDSHAKE)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("upgrade", "h2c", UpgradeRequired),
        ("connection", "close", UpgradeRequired),
        ("sec-websocket-version", "8", UpgradeRequired),
        ("sec-websocket-key", "short", BadRequest),
        ("sec-websocket-key", "é" * 24, BadRequest),
        ("sec-websocket-key", "", BadRequest),
    ],
)
def test_refuses_what_is_no_handshake(name: str, value: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        accept(HANDSHAKE | {name: value})


@given(st.lists(FRAME, max_size=12), st.lists(st.integers(1, 40), min_size=1))
def test_reads_frames_however_they_are_cut(frames: list[tuple[TheirOpcode, bytes]], cuts: list[int]) -> None:
    data = b"".join(masked(opcode, payload) for opcode, payload in frames)
    reader, got, at, turn = FrameReader(), [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        got += reader.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert got == [(Opcode(opcode), payload) for opcode, payload in frames]


@given(st.binary(max_size=600))
def test_rubbish_is_a_frame_error_or_waits(data: bytes) -> None:
    whole, single = FrameReader(), FrameReader()
    outcomes: list[tuple[object, list[tuple[Opcode, bytes]]]] = []
    for reader, pieces in ((whole, [data]), (single, [data[i : i + 1] for i in range(len(data))])):
        messages: list[tuple[Opcode, bytes]] = []
        try:
            for piece in pieces:
                messages += reader.feed(piece)
            outcomes.append(("ok", messages))
        except FrameError as error:
            outcomes.append((error.code, []))
    assert outcomes[0] == outcomes[1] or outcomes[0][0] != "ok"


def test_gathers_fragments_with_a_ping_between() -> None:
    data = masked(1, "é".encode()[:1], fin=False) + masked(9, b"!") + masked(0, "é".encode()[1:])
    assert FrameReader().feed(data) == [(Opcode.PING, b"!"), (Opcode.TEXT, "é".encode())]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(Opcode.TEXT, b"unmasked"), CloseCode.PROTOCOL_ERROR),
        (b"\xc1\x80" + bytes(4), CloseCode.PROTOCOL_ERROR),
        (b"\x83\x80" + bytes(4), CloseCode.PROTOCOL_ERROR),
        (b"\x09\x80" + bytes(4), CloseCode.PROTOCOL_ERROR),
        (b"\x89\xfe\x00\x7e", CloseCode.PROTOCOL_ERROR),
        (masked(0, b"stray"), CloseCode.PROTOCOL_ERROR),
        (masked(1, b"a", fin=False) + masked(1, b"b"), CloseCode.PROTOCOL_ERROR),
        (masked(1, b"\xff"), CloseCode.BAD_TEXT),
        (masked(2, bytes(MAX_MESSAGE_BYTES + 1)), CloseCode.TOO_BIG),
        (b"\x82\xff" + b"\xff" * 8, CloseCode.TOO_BIG),
        (masked(2, bytes(3_000), fin=False) + masked(0, bytes(3_000)), CloseCode.TOO_BIG),
    ],
)
def test_breaches_have_their_close_code(data: bytes, code: CloseCode) -> None:
    with pytest.raises(FrameError) as raised:
        FrameReader().feed(data)
    assert raised.value.code == code


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_writes_what_others_read(size: int) -> None:
    payload = os.urandom(size)
    assert frame(Opcode.BINARY, payload) == Frame(TheirOpcode.BINARY, payload).serialize(mask=False)
    assert close_frame(CloseCode.NOT_OPEN, "x" * 200)[:4] == b"\x88\x7d\x11\x49"
