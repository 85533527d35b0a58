"""Whom a request counts for: fronts of ours are believed, strangers never."""

import pytest

from stentor.edge.addresses import MAX_HOPS, client_address, networks

OURS = networks(("127.0.0.1", "10.0.0.0/8", "::1", "2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("198.51.100.7", "203.0.113.1", "198.51.100.7"),  # a stranger's word
        ("127.0.0.1", "203.0.113.1, 198.51.100.7", "198.51.100.7"),  # the left one is the client's own invention
        ("127.0.0.1", "203.0.113.1, 198.51.100.7, 10.1.2.3", "198.51.100.7"),  # two fronts of ours
        ("127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9"),  # a client on our own network
        ("127.0.0.1", "198.51.100.7, unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7, unknown, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "198.51.100.7,", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7:40000", "198.51.100.7"),
        ("127.0.0.1", "[2001:db8::7]:40000", "2001:db8::7"),
        ("127.0.0.1", "2001:DB8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1::5", "198.51.100.7", "198.51.100.7"),
        ("", "198.51.100.7", ""),
    ],
)
def test_from_the_right_past_our_fronts(peer: str, header: str, client: str) -> None:
    assert client_address(peer, header, OURS) == client


def test_nobody_is_believed_by_default() -> None:
    assert client_address("127.0.0.1", "198.51.100.7", ()) == "127.0.0.1"


def test_a_header_without_end_is_not_read_to_its_end() -> None:
    header = ", ".join(["198.51.100.7"] + ["10.0.0.1"] * (MAX_HOPS + 5))
    assert client_address("127.0.0.1", header, OURS) == "10.0.0.1"


@pytest.mark.parametrize("word", ["example.org", "10.0.0.0/40", ""])
def test_what_is_no_network_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="network"):
        networks((word,))
