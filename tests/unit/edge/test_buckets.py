"""Budgets of addresses and networks, and that they forget nothing that says something."""

import time

import pytest

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.addresses import network_of, networks, wide_network
from stentor.edge.buckets import (
    BURST_S,
    DEEPEST,
    NETWORK_FACTOR,
    Ask,
    Buckets,
    NetworkSet,
    Rates,
    Source,
    Standing,
    Visit,
)

RATES = Rates(requests=10.0, pages=2.0)


def at(seconds: float) -> MonotonicNs:
    return MonotonicNs(int((1_000 + seconds) * NS_PER_S))


def buckets(most: int = 1_000) -> Buckets:
    return Buckets(RATES, lambda _address: Standing.ORDINARY, most)


def taken(all_of: Buckets, source: Source, seconds: float, tries: int, kind: Ask = Ask.REQUEST) -> int:
    return sum(all_of.take(source, kind, at(seconds)) for _ in range(tries))


def test_an_address_has_its_burst_at_once_and_then_its_rate() -> None:
    all_of = buckets()
    source = all_of.of("192.0.2.1", at(0))
    assert taken(all_of, source, 0, 500) == BURST_S * 10 + 1
    assert taken(all_of, source, 1, 500) == 10
    assert taken(all_of, source, 1_000, 500) == BURST_S * 10 + 1
    assert taken(all_of, source, 1_000, 500, Ask.PAGE) == BURST_S * 2 + 1, "each kind has its own"


def test_a_network_has_the_budget_of_32_addresses() -> None:
    all_of = buckets()
    got = sum(taken(all_of, all_of.of(f"192.0.2.{last}", at(0)), 0, 500) for last in range(1, 100))
    assert got == pytest.approx(BURST_S * 10 * NETWORK_FACTOR, abs=NETWORK_FACTOR + 1)
    assert all_of.take(all_of.of("192.0.3.1", at(0)), Ask.REQUEST, at(0)), "its neighbour is not held responsible"


def test_whoever_listens_earns_its_address_more() -> None:
    all_of = buckets()
    source = all_of.of("192.0.2.1", at(0))
    visits = [Visit(source) for _ in range(4)]
    for visit in visits:
        visit.asked()
        visit.listens(at(0))
    assert taken(all_of, source, 0, 1_000) == BURST_S * 20 + 1
    for visit in visits:
        visit.over(at(5))
    assert (source.open, source.heads, source.listening) == (0, 0, 0)
    assert taken(all_of, source, 6, 1_000) <= 6 * 20


def test_what_goes_on_being_asked_for_grows_to_a_bound() -> None:
    all_of = buckets()
    source = all_of.of("192.0.2.1", at(0))
    for _ in range(BURST_S * 10 * (DEEPEST + 4)):
        all_of.take(source, Ask.REQUEST, at(0), deep=True)
    assert all_of.excess(source, Ask.REQUEST, at(0)) == pytest.approx(DEEPEST - 1)
    assert all_of.excess(source, Ask.REQUEST, at(BURST_S * DEEPEST)) == 0


def test_budgets_shrink_and_come_back() -> None:
    all_of = buckets()
    all_of.tighten(4)
    source = all_of.of("192.0.2.1", at(0))
    assert taken(all_of, source, 0, 500) == BURST_S * 10 // 4 + 1
    all_of.tighten(1)
    assert 45 <= taken(all_of, source, 5, 500) <= 50


def test_memory_is_bounded_and_only_what_says_nothing_is_forgotten_first() -> None:
    all_of = buckets(most=100)
    over = all_of.of("203.0.113.1", at(0))
    taken(all_of, over, 0, 500)
    connected = all_of.of("203.0.113.2", at(0))
    Visit(connected)
    for number in range(10_000):
        all_of.of(f"10.{number % 200}.{number // 200}.1", at(1))
    assert len(all_of) <= 100
    assert all_of.of("203.0.113.2", at(1)) is connected
    assert all_of.of("203.0.113.1", at(1)) is over, "an empty bucket is no full one"


def test_who_comes_back_after_ten_minutes_has_arrived_anew() -> None:
    all_of = buckets()
    arrived: list[str] = []
    all_of.arrived = lambda source: arrived.append(source.name)
    for seconds in (0, 300, 650):
        all_of.tidy(at(seconds))
        all_of.of("192.0.2.1", at(seconds))
    assert arrived == ["192.0.2.1", "192.0.2.1"]


@pytest.mark.parametrize(
    ("address", "own", "wide"),
    [
        ("192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::", "fe80::/48"),
        ("", "", ""),
    ],
)
def test_an_address_counts_for_its_house_and_its_network(address: str, own: str, wide: str) -> None:
    assert network_of(address) == own
    assert wide_network(network_of(address)) == wide


def test_networks_are_found_whatever_their_size() -> None:
    known = NetworkSet(networks(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]))
    inside = [
        address for address in ("10.9.8.7", "192.0.2.7", "192.0.2.8", "2001:db8:5::", "::1", "") if address in known
    ]
    assert inside == ["10.9.8.7", "192.0.2.7", "2001:db8:5::"]


def test_rates_are_changed_by_words() -> None:
    assert Rates.of(["requests=50", "open=9"]) == Rates(requests=50, open=9)


def test_the_loudest_networks_are_told_once() -> None:
    all_of = buckets()
    for number in range(5):
        network = all_of.of(f"10.0.{number}.1", at(0)).network
        assert network is not None
        network.asked, network.refused = number, number // 2
    assert all_of.loudest(2) == [("10.0.4.0/24", 4, 2), ("10.0.3.0/24", 3, 1)]
    assert all_of.loudest(2) == []


def test_a_look_up_and_three_tokens_cost_next_to_nothing() -> None:
    """20 µs would be a tenth of a join; it takes about 2, and a slow machine is no fault."""
    all_of = buckets(most=65_536)
    addresses = [f"10.{number // 250 % 250}.{number % 250}.{number % 7}" for number in range(10_000)]
    for address in addresses:
        all_of.of(address, at(0))
    begun = time.thread_time_ns()
    for address in addresses:
        source = all_of.of(address, at(1))
        for kind in (Ask.CONNECTION, Ask.REQUEST, Ask.TICKET):
            all_of.take(source, kind, at(1))
    assert (time.thread_time_ns() - begun) / len(addresses) < 20_000
