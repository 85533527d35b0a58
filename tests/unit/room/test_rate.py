"""How often a name may do something."""

from stentor.room.rate import Rate

NS_PER_S = 1_000_000_000


def test_a_burst_and_then_so_many_a_second() -> None:
    rate = Rate(burst=3, per_s=2)
    taken = [rate.take("a", 0) for _ in range(5)]
    assert taken == [True, True, True, False, False]
    assert rate.take("b", 0)
    later = [rate.take("a", NS_PER_S) for _ in range(3)]
    assert later == [True, True, False]
    assert [rate.take("a", 100 * NS_PER_S) for _ in range(4)] == [True, True, True, False]


def test_names_without_end_are_bounded() -> None:
    rate = Rate(burst=1, per_s=1, most=10)
    for number in range(1_000):
        assert rate.take(str(number), 0)
    assert len(rate._due) == 10


def test_it_says_how_long_to_wait() -> None:
    rate = Rate(burst=1, per_s=0.5)
    assert rate.wait_s("a", 0) == 0
    assert rate.wait_s("a", NS_PER_S) == 1
    assert rate.wait_s("a", 2 * NS_PER_S) == 0
