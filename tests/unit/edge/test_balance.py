"""Edges that share a socket stay within ten per cent of one another, whatever the kernel prefers."""

import random
from pathlib import Path

import pytest

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.balance import DEAD_NS, FRESH_NS, Balance, retry_spread_s

START = MonotonicNs(1_000 * NS_PER_S)


def at(seconds: float) -> MonotonicNs:
    return MonotonicNs(START + int(seconds * NS_PER_S))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "edges"


def edges(file: Path, count: int) -> list[Balance]:
    return [Balance.open(file, slot, 4) for slot in range(count)]


def test_who_is_above_the_mean_pauses_until_it_is_not(file: Path) -> None:
    full, empty = edges(file, 2)
    empty.note(100, at(0))
    full.note(200, at(0))
    assert not full.may_accept()
    empty.note(199, at(0.1))
    full.note(200, at(0.1))
    assert not full.may_accept(), "it waits for the mean, or it would flap"
    empty.note(200, at(0.2))
    full.note(200, at(0.2))
    assert full.may_accept()
    assert empty.may_accept()


def test_a_few_more_are_no_reason(file: Path) -> None:
    one, other = edges(file, 2)
    one.note(1_000, at(0))
    other.note(1_050, at(0))
    assert other.may_accept()
    one.note(3, at(0.1))
    other.note(0, at(0.1))
    one.note(3, at(0.1))
    assert one.may_accept()


def test_the_dead_count_for_nothing(file: Path) -> None:
    one, other = edges(file, 2)
    other.note(0, at(0))
    one.note(500, at(0.1))
    assert not one.may_accept()
    one.note(500, MonotonicNs(at(0) + DEAD_NS))
    assert one.may_accept()


def test_one_that_hangs_is_not_waited_for(file: Path) -> None:
    one, other = edges(file, 2)
    other.note(0, at(0))
    one.note(500, MonotonicNs(at(0) + FRESH_NS))
    assert one.may_accept(), "whoever said nothing for half a second may not be accepting"


def test_one_that_left_is_forgotten_at_once(file: Path) -> None:
    one, other = edges(file, 2)
    other.note(0, at(0))
    other.leave()
    one.note(500, at(0.01))
    assert one.may_accept()


def test_a_file_of_another_boot_is_no_reason(file: Path) -> None:
    one, other = edges(file, 2)
    other.note(0, at(9_999))
    one.note(500, at(0))
    assert one.may_accept()


def test_after_a_round_of_notes_somebody_accepts(file: Path) -> None:
    four = edges(file, 4)
    counts = [100, 200, 300, 400]
    draw = random.Random(3)
    for step in range(400):
        which = draw.randrange(4)
        counts[which] = max(0, counts[which] + draw.randint(-60, 60))
        for edge, count in zip(four, counts, strict=True):
            edge.note(count, at(step / 1_000))
        assert any(each.may_accept() for each in four)


def test_without_a_file_it_accepts(tmp_path: Path) -> None:
    (tmp_path / "no-folder").touch()
    for balance in (Balance(), Balance.open(tmp_path / "no-folder" / "edges", 0, 2)):
        balance.note(10_000, at(0))
        balance.leave()
        assert balance.may_accept()


def test_a_smaller_file_of_an_earlier_start_grows(file: Path) -> None:
    few = Balance.open(file, 0, 2)
    many = Balance.open(file, 7, 8)
    few.note(0, at(0))
    many.note(500, at(0))
    assert not many.may_accept()


def preferred(draw: random.Random, willing: list[int]) -> int:
    """Return who is woken: nearly always the same one, as with EPOLLEXCLUSIVE on an idle machine."""
    return willing[0] if draw.random() < 0.9 else draw.choice(willing)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("every", [1, 16])
def test_within_a_tenth_after_a_restart(file: Path, count: int, every: int) -> None:
    """Arrivals and departures, ticks of 10 ms, the kernel's preference for one; one edge restarted half-way."""
    draw = random.Random(count * every)
    those = edges(file, count)
    held = [0] * count
    now = 0.0

    def arrive(number: int, per_s: float) -> None:
        nonlocal now
        ticked = now
        for _ in range(number):
            now += 1 / per_s
            while now - ticked >= 0.01 or not any(edge.may_accept() for edge in those):
                ticked = now = max(now, ticked + 0.01)
                for slot, edge in enumerate(those):
                    edge.note(held[slot], at(now))
            if draw.random() < 0.3:
                leaver = draw.choices(range(count), weights=[each + 1 for each in held])[0]
                held[leaver] = max(0, held[leaver] - 1)
            slot = preferred(draw, [slot for slot, edge in enumerate(those) if edge.may_accept()])
            held[slot] += 1
            if held[slot] % every == 0:
                those[slot].note(held[slot], at(now))

    def imbalance() -> float:
        mean = sum(held) / count
        return max(abs(each - mean) for each in held) / mean

    arrive(4_000 * count, 3_000)
    assert imbalance() <= 0.1
    lost, held[1] = held[1], 0
    those[1] = Balance.open(file, 1, 4)
    those[1].note(0, at(now))
    arrive(int(lost * 1.6), 2_000)
    assert imbalance() <= 0.1


def test_listeners_come_back_two_thousand_a_second() -> None:
    assert retry_spread_s(0) == 3.0
    assert retry_spread_s(20_000) == 10.0
    assert retry_spread_s(1_000_000) == 60.0
