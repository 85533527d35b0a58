import socket
import sys

import pytest
from aioice import stun

from stentor.origin.guard import MAX_DATAGRAM_BYTES
from stentor.origin.udp_filter import MAX_ADDRESSES, attach, dropped, program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the filter is the Linux kernel's")

TAG = b"Tag7"
FAMILIES = {"IPv4": (socket.AF_INET, "127.0.0.1"), "IPv6": (socket.AF_INET6, "::1")}


class Pair:
    """A socket with a filter, and a stranger who sends to it."""

    def __init__(self, family, host):
        self.version = 6 if family == socket.AF_INET6 else 4
        self.inside, self.stranger, self.speaker = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(3))
        for each in (self.inside, self.stranger, self.speaker):
            each.bind((host, 0))
        self.inside.setblocking(False)

    def address(self, sock):
        return sock.getsockname()[:2]

    def passes(self, data, *, sender=None):
        (sender or self.stranger).sendto(data, self.inside.getsockname())
        try:
            return self.inside.recv(4_096) == data
        except BlockingIOError:
            return False

    def close(self):
        for each in (self.inside, self.stranger, self.speaker):
            each.close()


@pytest.fixture(params=FAMILIES)
def pair(request):
    pair = Pair(*FAMILIES[request.param])
    yield pair
    pair.close()


def message(username, *, before=(), kind=stun.Class.REQUEST, transaction=None):
    made = stun.Message(stun.Method.BINDING, kind, transaction)
    for name, value in before:
        made.attributes[name] = value
    if username is not None:
        made.attributes["USERNAME"] = username
    made.attributes["PRIORITY"] = 1
    made.add_message_integrity(b"key")
    return bytes(made)


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        pytest.param(message("Tag7abcd:theirs"), True, id="our fragment"),
        pytest.param(message("Tag7:theirs", before=[("SOFTWARE", "x" * 9), ("PRIORITY", 1)]), True, id="later"),
        pytest.param(message("Tag8abcd:theirs"), False, id="another fragment"),
        pytest.param(message("xTag7abcd:theirs"), False, id="not at its beginning"),
        pytest.param(message(None, before=[("SOFTWARE", "Tag7")]), False, id="no user"),
        pytest.param(message("Tag7abcd:theirs")[:26], False, id="cut off"),
        pytest.param(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12) + b"\xff" * 60, False, id="endless attribute"),
        pytest.param(b"\x00\x01\x00\x00\x21\x12\xa4\x43" + message("Tag7")[8:], False, id="no cookie"),
        pytest.param(message(None, kind=stun.Class.RESPONSE, transaction=TAG + bytes(8)), True, id="our transaction"),
        pytest.param(message("Tag7", kind=stun.Class.ERROR, transaction=b"Tag8" + bytes(8)), False, id="another"),
        pytest.param(b"\x16" + bytes(50), False, id="DTLS"),
        pytest.param(b"\x80" + bytes(50), False, id="SRTP"),
        pytest.param(b"\x40" * 50, False, id="TURN channel"),
        pytest.param(b"\xff" * 50, False, id="nothing known"),
        pytest.param(b"\x00", False, id="one byte"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_of_a_stranger_only_stun_with_our_tag_passes(pair, data, passes):
    attach(pair.inside, program(pair.version, TAG, [pair.address(pair.speaker)]))
    assert pair.passes(data) is passes


@pytest.mark.parametrize("first", [20, 22, 63, 128, 144, 191])
def test_dtls_and_srtp_pass_from_known_addresses_alone(pair, first):
    data = bytes([first]) * 60
    others = [("192.0.2.1", 1) if pair.version == 4 else ("2001:db8::1", 1)] * 20
    attach(pair.inside, program(pair.version, TAG, [*others, pair.address(pair.speaker), *others]))
    assert pair.passes(data, sender=pair.speaker)
    assert not pair.passes(data)
    attach(pair.inside, program(pair.version, TAG, others))
    assert not pair.passes(data, sender=pair.speaker)


@pytest.mark.parametrize("first", [4, 19, 64, 127, 192])
def test_what_is_of_no_kind_does_not_even_pass_from_a_speaker(pair, first):
    attach(pair.inside, program(pair.version, TAG, [pair.address(pair.speaker)]))
    assert not pair.passes(bytes([first]) * 60, sender=pair.speaker)


def test_what_is_too_large_is_dropped(pair):
    attach(pair.inside, program(pair.version, TAG, [pair.address(pair.speaker)]))
    assert pair.passes(b"\x80" * MAX_DATAGRAM_BYTES, sender=pair.speaker)
    assert not pair.passes(b"\x80" * (MAX_DATAGRAM_BYTES + 1), sender=pair.speaker)


def test_so_many_addresses_fit_and_with_more_the_mux_decides_alone(pair):
    host = "192.0.2.1" if pair.version == 4 else "2001:db8::1"
    attach(pair.inside, program(pair.version, TAG, [(host, port) for port in range(1, MAX_ADDRESSES + 1)]))
    assert not pair.passes(b"\x80" * 50)
    attach(pair.inside, program(pair.version, TAG, [(host, port) for port in range(1, MAX_ADDRESSES + 2)]))
    assert pair.passes(b"\x80" * 50)
    assert not pair.passes(message("Tag8abcd:theirs"))


def test_what_the_kernel_drops_is_counted(pair):
    attach(pair.inside, program(pair.version, TAG, []))
    for _ in range(3):
        pair.passes(b"\x16" * 50)
    assert dropped(pair.inside) == 3
