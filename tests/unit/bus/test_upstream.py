"""What edges say to each other: messages, the proof of the key, frames of a WebSocket's client, addresses."""

import pytest

from stentor.bus.upstream_http import UpstreamAddress
from stentor.bus.upstream_key import LIFETIME_S, Gate, answer, challenge, nonce_of
from stentor.bus.upstream_socket import MAX_MESSAGE_BYTES, HungUp, ServerFrames, masked_frame
from stentor.bus.upstream_wire import Kind, pack, pack_after, unpack, unpack_after
from stentor.bus.wire import encode_chunk, step_of
from stentor.clock import NS_PER_S, UnixNs
from stentor.edge.websocket import FrameReader, Opcode, frame
from stentor.errors import ConfigError, MediaError
from stentor.media.chunk import Chunk
from stentor.media.grid import Samples, Step
from stentor.media.rendition import RenditionName

KEY = "a key of some length"
NOW = UnixNs(1_800_000_000 * NS_PER_S)


def later(seconds: int) -> UnixNs:
    return UnixNs(NOW + seconds * NS_PER_S)


def test_messages_come_back_and_garbled_ones_do_not() -> None:
    assert unpack(pack(Kind.MESSAGE, "live.demo.stage", b"\0{}")) == (Kind.MESSAGE, "live.demo.stage", b"\0{}")
    assert unpack(pack(Kind.COMPLETE)) == (Kind.COMPLETE, "", b"")
    assert unpack_after(pack_after(-1)) == -1
    for bad in (b"", b"\x05", b"\x63\x00", b"\x05\x04abc", b"\x05\x01\xff"):
        with pytest.raises(MediaError):
            unpack(bad)
    with pytest.raises(MediaError):
        unpack_after(b"1234567")


def test_the_step_is_read_from_a_chunk_without_the_rest() -> None:
    chunk = Chunk("r", RenditionName.OPUS, 7, 6, Step(1234), Samples(0), (b"u",), bytes(32))
    assert step_of(encode_chunk(chunk)) == 1234
    with pytest.raises(MediaError):
        step_of(b"STC1")


def test_a_challenge_is_answered_once_and_in_time() -> None:
    gate = Gate(KEY)
    said = answer(KEY, challenge(KEY, NOW), 'edge "1"')
    assert gate.admits(said, later(LIFETIME_S)) == "edge _1_"
    assert gate.admits(said, later(LIFETIME_S)) is None
    assert Gate(KEY).admits(said, later(LIFETIME_S + 1)) is None


def test_another_key_an_own_nonce_or_another_name_prove_nothing() -> None:
    nonce = challenge(KEY, NOW)
    said = answer(KEY, nonce, "edge")
    for header in (
        "",
        "Bearer x",
        answer("another key of length", nonce, "edge"),
        answer(KEY, challenge("another key of length", NOW), "edge"),
        answer(KEY, "bm9uY2U=", "edge"),
        said.replace('edge="edge"', 'edge="other"'),
        said.replace('edge="edge", ', ""),
        said[:-3] + '0"',
    ):
        assert Gate(KEY).admits(header, NOW) is None
    assert Gate("").admits(answer("", challenge("", NOW), "edge"), NOW) is None
    assert Gate(KEY).admits(said, NOW) == "edge"


def test_the_nonce_is_found_in_the_challenge_alone() -> None:
    assert nonce_of('Stentor-Relay nonce="abc="') == "abc="
    assert nonce_of('Basic nonce="abc"') is None
    assert nonce_of("Stentor-Relay") is None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_go_both_ways(size: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    data = frame(Opcode.BINARY, payload) + frame(Opcode.PING, b"p")
    frames = ServerFrames()
    got = [message for at in range(0, len(data), 1_000) for message in frames.feed(data[at : at + 1_000])]
    assert got == [(2, payload), (9, b"p")]
    if size < 4_096:
        assert FrameReader().feed(masked_frame(2, payload, b"mask")) == [(Opcode.BINARY, payload)]


def test_fragments_are_joined() -> None:
    frames = ServerFrames()
    assert frames.feed(b"\x02\x02ab" + b"\x89\x00" + b"\x80\x01c") == [(9, b""), (2, b"abc")]


@pytest.mark.parametrize(
    "bad", [b"\x82\x81mask", b"\xc2\x01a", b"\x80\x01a", b"\x02\x01a\x82\x01a", b"\x82\x7f" + (1 << 40).to_bytes(8)]
)
def test_what_no_server_may_send_ends_it(bad: bytes) -> None:
    with pytest.raises(HungUp):
        ServerFrames().feed(bad)


def test_fragments_are_bounded_together() -> None:
    frames, eighth = ServerFrames(), MAX_MESSAGE_BYTES // 8
    for opcode in (2, *[0] * 7):
        assert frames.feed(bytes((opcode, 127)) + eighth.to_bytes(8) + bytes(eighth)) == []
    with pytest.raises(HungUp):
        frames.feed(b"\x00\x01a")


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "tls"),
    [
        ("https://radio.example.org", "radio.example.org", 443, "radio.example.org", True),
        ("http://10.0.0.1:8000/", "10.0.0.1", 8000, "10.0.0.1:8000", False),
        ("http://[2001:db8::1]:81", "2001:db8::1", 81, "[2001:db8::1]:81", False),
    ],
)
def test_addresses(url: str, host: str, port: int, authority: str, tls: bool) -> None:
    address = UpstreamAddress.parse(url)
    assert (address.host, address.port, address.authority, address.tls is not None) == (host, port, authority, tls)
    head = f"GET /relay HTTP/1.1\r\nHost: {authority}\r\n"
    assert address.request("GET", "/relay", {"A": "b"}).startswith(head.encode())


@pytest.mark.parametrize("url", ["nats://x", "https://", "http://a/b", "http://a:x", "//a"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match="--upstream"):
        UpstreamAddress.parse(url)
