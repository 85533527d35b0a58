"""Beacons: what is taken, what is refused, and how many from one address."""

import json

import pytest

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.beacons import BEACON_BYTES, Beacon, BeaconRate, TooManyBeaconsError, read_beacon
from stentor.errors import BadRequest, TooLarge

GOOD: dict[str, object] = {
    "player": "0123456789abcdef",
    "ticket": None,
    "transport": "push",
    "join_ms": 300,
    "stalls": 0,
    "stall_ms": 0,
    "played_ms": 30_000,
    "latency_ms": 900,
}


def beacon(**changes: object) -> Beacon:
    return read_beacon(json.dumps({**GOOD, **changes}).encode())


def test_a_beacon_is_read_and_what_is_unknown_is_left() -> None:
    said = beacon(ticket="t", bye=True, colour="blue")
    assert (said.transport, said.join_ms, said.ticket, said.bye) == ("push", 300, "t", True)
    assert beacon(join_ms=None, latency_ms=None).join_ms is None


@pytest.mark.parametrize(
    "changes",
    [
        {"player": "xyz"},
        {"player": "0" * 17},
        {"player": "0" * 15 + "\n"},
        {"player": None},
        {"ticket": "x" * 65},
        {"ticket": 7},
        {"transport": "carrier pigeon"},
        {"transport": None},
        {"join_ms": -1},
        {"join_ms": 600_001},
        {"join_ms": 1.5},
        {"join_ms": "300"},
        {"stalls": 10**30},
        {"stalls": True},
        {"stall_ms": None},
        {"played_ms": -1},
        {"played_ms": 10**9},
        {"latency_ms": float("nan")},
        {"bye": "yes"},
    ],
)
def test_what_breaks_a_bound_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        beacon(**changes)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"{}", b"[" * 1_000])
def test_rubbish_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_beacon(body)


def test_more_than_a_kilobyte_is_refused() -> None:
    with pytest.raises(TooLarge):
        read_beacon(b" " * (BEACON_BYTES + 1))


def at(seconds: float) -> MonotonicNs:
    return MonotonicNs(int(seconds * NS_PER_S))


def taken(rate: BeaconRate, address: str, seconds: float, tries: int) -> int:
    done = 0
    for _ in range(tries):
        try:
            rate.take(address, at(seconds))
        except TooManyBeaconsError:
            continue
        done += 1
    return done


def test_an_address_has_a_burst_and_then_ten_a_second() -> None:
    rate = BeaconRate()
    assert taken(rate, "192.0.2.1", 0, 400) == 300
    assert taken(rate, "192.0.2.2", 0, 5) == 5
    assert taken(rate, "192.0.2.1", 1, 50) == 10
    assert taken(rate, "192.0.2.1", 1_000, 400) == 300


def test_all_of_a_64_bit_network_is_one_address() -> None:
    rate = BeaconRate()
    assert sum(taken(rate, f"2001:db8::{number:x}", 0, 1) for number in range(400)) == 300
    assert taken(rate, "2001:db8:0:1::1", 0, 1) == 1
    assert taken(rate, "fe80::1%eth0", 0, 1) == 1
