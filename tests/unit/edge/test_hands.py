"""What an address and a page may ask about hands, and who counts as one address."""

import pytest

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge import hands
from stentor.edge.addresses import network_of
from stentor.edge.hands import Rate


def test_a_burst_and_then_so_many_a_second() -> None:
    rate = Rate(burst=3, per_s=2)
    taken = [rate.take("a", MonotonicNs(0)) for _ in range(5)]
    assert taken == [True, True, True, False, False]
    assert rate.take("b", MonotonicNs(0))
    later = [rate.take("a", MonotonicNs(NS_PER_S)) for _ in range(3)]
    assert later == [True, True, False]
    assert [rate.take("a", MonotonicNs(100 * NS_PER_S)) for _ in range(4)] == [True, True, True, False]


def test_names_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "_MOST_REMEMBERED", 10)
    rate = Rate(burst=1, per_s=1)
    for number in range(1_000):
        assert rate.take(str(number), MonotonicNs(0))
    assert len(rate._buckets) == 10


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_house_is_one_address(one: str, other: str, *, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same
