import asyncio
import socket
from functools import partial

import pytest
from aioice import stun
from prometheus_client import REGISTRY

from stentor.clock import SystemClock
from stentor.errors import ConfigError
from stentor.origin.guard import CHECKS_PER_S, MAX_DATAGRAM_BYTES, STRANGERS_CHECKS_PER_S
from stentor.origin.mux import UdpMux, host_addresses, local_ufrag

SOURCE = ("192.0.2.9", 5_000)


class Place:
    def __init__(self):
        self.stun = []
        self.media = []

    def stun_received(self, data, source):
        self.stun.append((data, source))

    def media_received(self, data):
        self.media.append(data)


@pytest.fixture
def mux():
    mux = UdpMux(["127.0.0.1", "127.0.0.2"])
    yield mux
    mux.close()


def check(username: str | None, kind=stun.Class.REQUEST) -> bytes:
    message = stun.Message(stun.Method.BINDING, kind)
    message.attributes["PRIORITY"] = 1
    if username is not None:
        message.attributes["USERNAME"] = username
    message.add_message_integrity(b"key")
    return bytes(message)


def test_every_address_has_the_same_port(mux):
    assert {sock.getsockname() for sock in mux.sockets} == {("127.0.0.1", mux.port), ("127.0.0.2", mux.port)}
    assert [each.port for each in mux.hosts] == [mux.port, mux.port]


def test_a_request_goes_to_the_session_whose_fragment_it_names(mux):
    ours, other = Place(), Place()
    mux.add_member(0, "ours", ours)
    mux.add_member(0, "other", other)
    for username in ("ours:theirs", "ours", "nobody:theirs", "our:s", "", None):
        mux.route(0, check(username), SOURCE)
    mux.route(1, check("ours:theirs"), SOURCE)
    assert ours.stun == [(check_data, SOURCE) for check_data, _ in ours.stun]
    assert len(ours.stun) == 2
    assert other.stun == []


def test_a_response_goes_to_who_asked_and_only_while_it_waits(mux):
    place, response = Place(), check(None, stun.Class.RESPONSE)
    mux.add_member(0, "ours", place)
    mux.route(0, response, SOURCE)
    mux.expect(response[8:20], place)
    mux.route(0, response, SOURCE)
    mux.unexpect(response[8:20])
    mux.route(0, response, SOURCE)
    assert place.stun == [(response, SOURCE)]


@pytest.mark.parametrize("data", [b"\x16" + bytes(40), b"\x80\x6f" + bytes(40), b"\xbf"])
def test_media_passes_only_from_a_validated_address_on_that_socket(mux, data):
    place, other = Place(), Place()
    mux.route(0, data, SOURCE)
    mux.validate(0, SOURCE, place)
    mux.route(0, data, SOURCE)
    mux.route(1, data, SOURCE)
    mux.route(0, data, ("192.0.2.9", 5_001))
    assert place.media == [data]
    mux.invalidate(0, SOURCE, other)
    mux.route(0, data, SOURCE)
    assert len(place.media) == 2
    mux.invalidate(0, SOURCE, place)
    mux.route(0, data, SOURCE)
    assert len(place.media) == 2


@pytest.mark.parametrize(
    "data", [b"", bytes([22]) * (MAX_DATAGRAM_BYTES + 1), b"\x05" * 20, b"\x40" * 20, b"\xff" * 20, b"\x00", bytes(20)]
)
def test_what_is_nothing_we_know_is_dropped(mux, data):
    place = Place()
    mux.validate(0, SOURCE, place)
    mux.add_member(0, "", place)
    mux.route(0, data, SOURCE)
    assert place.media == place.stun == []


def test_who_leaves_is_forgotten_everywhere(mux):
    place, other = Place(), Place()
    mux.add_member(0, "ours", place)
    mux.expect(b"1", place)
    mux.expect_from(0, ("192.0.2.8", 1), place)
    mux.validate(0, SOURCE, place)
    mux.validate(1, SOURCE, other)
    mux.remove_member(0, "ours", place)
    assert mux.sizes == {"members": 0, "transactions": 0, "known": 1, "routes": 1}


def test_who_sends_checks_without_end_is_capped_and_the_speaker_is_not(mux):
    place = Place()
    mux.add_member(0, "ours", place)
    mux.validate(0, SOURCE, place)
    for number in range(1_000):
        mux.route(0, check("ours:theirs"), ("192.0.2.66", number))
    assert 0 < len(place.stun) <= 2 * STRANGERS_CHECKS_PER_S
    place.stun.clear()
    mux.route(0, check("ours:theirs"), SOURCE)
    assert len(place.stun) == 1
    for _ in range(1_000):
        mux.route(0, check("ours:theirs"), SOURCE)
    assert len(place.stun) <= 2 * CHECKS_PER_S


def test_an_address_that_is_being_checked_is_no_route_yet(mux):
    place = Place()
    mux.add_member(0, "ours", place)
    mux.expect_from(0, SOURCE, place)
    mux.route(0, b"\x16" + bytes(40), SOURCE)
    assert place.media == []
    assert mux.sizes["known"] == 1
    mux.invalidate(0, SOURCE, place)
    assert mux.sizes["known"] == 0


async def test_the_kernel_lets_in_whom_a_session_knows_and_counts_the_others(mux):
    place, data = Place(), b"\x16" + bytes(40)
    mux.open()
    filtered = partial(REGISTRY.get_sample_value, "stentor_origin_datagrams_filtered")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        mux.validate(0, peer.getsockname(), place)
        await asyncio.sleep(0)  # the filter follows at the end of this turn
        peer.sendto(data, ("127.0.0.1", mux.port))
        while not place.media:  # noqa: ASYNC110  # the loop reads the socket
            await asyncio.sleep(0)
        assert filtered() == 0
        mux.invalidate(0, peer.getsockname(), place)
        await asyncio.sleep(0)
        peer.sendto(data, ("127.0.0.1", mux.port))
        assert filtered() == 1


async def test_where_the_kernel_has_no_filters_the_port_works_alone(mux, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr("stentor.origin.udp_filter.attach", refuse)
    place = Place()
    mux.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        mux.validate(0, peer.getsockname(), place)
        peer.sendto(b"\x16dtls", ("127.0.0.1", mux.port))
        while not place.media:  # noqa: ASYNC110  # the loop reads the socket
            await asyncio.sleep(0)


def test_a_datagram_is_as_old_as_the_kernel_says_however_late_it_is_read(mux):
    clock, place = SystemClock(), Place()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        mux.validate(0, sender.getsockname(), place)
        before = clock.monotonic_ns()
        sender.sendto(b"\x80voice", mux.sockets[0].getsockname())
        after = clock.monotonic_ns()
        while clock.monotonic_ns() < after + 10_000_000:
            pass  # the loop is busy with something else
        mux.read()
    assert place.media == [b"\x80voice"]
    assert before - 1_000_000 <= mux.arrived_ns <= after + 1_000_000


def test_a_username_is_found_and_a_broken_message_has_none():
    assert local_ufrag(check("ours:theirs")) == b"ours"
    data = check("ours:theirs")
    for length in range(20, len(data)):
        assert local_ufrag(data[:length]) in (b"", b"o", b"ou", b"our", b"ours")
    assert local_ufrag(data[:20] + b"\xff" * 40) == b""


async def test_datagrams_come_in_and_go_out(mux):
    mux.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(True)
        peer.settimeout(5)
        mux.send(0, b"hello", peer.getsockname())
        assert peer.recvfrom(100) == (b"hello", ("127.0.0.1", mux.port))
        mux.send(0, bytes(70_000), peer.getsockname())


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("203.0.113.7", "203.0.113.7", None),
        ("203.0.113.7:41000", "203.0.113.7", 41_000),
        ("2001:db8::7", "2001:db8::7", None),
        ("[2001:db8::7]:41000", "2001:db8::7", 41_000),
    ],
)
def test_advertised_addresses_are_read(text, host, port):
    mux = UdpMux(["127.0.0.1"], advertise=[text])
    mux.close()
    (reachable,) = mux.advertised
    assert (reachable.host, reachable.port) == (host, port or mux.port)


@pytest.mark.parametrize("text", ["", "example.org", "203.0.113.7:", "203.0.113.7:0", "203.0.113.7:70000", "1:2"])
def test_an_advertised_address_that_is_none_is_said_so(text):
    with pytest.raises(ConfigError, match="--advertise"):
        UdpMux(["127.0.0.1"], advertise=[text])


def test_a_port_that_is_taken_is_said_so(mux):
    with pytest.raises(ConfigError, match=f"UDP port {mux.port} cannot be opened"):
        UdpMux(["127.0.0.1"], mux.port)


def test_an_address_that_is_none_is_said_so():
    with pytest.raises(ConfigError, match="nowhere"):
        UdpMux(["nowhere"])


def test_an_address_of_another_machine_is_said_so():
    with pytest.raises(ConfigError, match="cannot be opened"):
        UdpMux(["203.0.113.7"])


def test_without_addresses_it_takes_all_of_the_machines():
    mux = UdpMux([])
    assert {each.host for each in mux.hosts} <= set(host_addresses())
    assert mux.hosts
    mux.close()


def test_a_machine_without_a_network_still_has_itself(monkeypatch):
    monkeypatch.setattr("stentor.origin.mux.get_host_addresses", lambda **_: [])
    mux = UdpMux([])
    assert [each.host for each in mux.hosts] == ["127.0.0.1"]
    mux.close()
