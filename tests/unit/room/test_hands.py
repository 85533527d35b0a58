"""The line of raised hands: order, places, and when it is full."""

from dataclasses import replace

import pytest

from stentor.room import hands
from stentor.room.hands import Hand, HandState, Line


def hand(number: int, **more: object) -> Hand:
    return replace(Hand(f"h{number}", "demo", f"key-{number}", f"Name {number}", raised_ns=number), **more)  # type: ignore[arg-type]


def test_the_line_is_in_the_order_raised_whatever_order_it_was_read_in() -> None:
    line = Line([hand(3), hand(1), hand(2)])
    assert [each.hand for each in line.in_line()] == ["h1", "h2", "h3"]
    assert [line.position(each) for each in line.in_line()] == [1, 2, 3]


def test_who_is_called_leaves_the_line_and_the_others_move_up() -> None:
    line = Line([hand(1), hand(2), hand(3)])
    line.put(hand(1, state=HandState.INVITED, link="ln1"))
    line.remove(hand(2))
    assert [line.position(each) for each in line.in_line()] == [None, 1]
    assert line.invited_as("ln1") == line.of("key-1")
    line.put(hand(1, state=HandState.JOINED, link="ln1"))
    assert [each.hand for each in line.in_line()] == ["h3"]
    assert line.find("h1") is not None


def test_one_hand_a_key() -> None:
    line = Line([hand(1)])
    line.put(replace(hand(2), key="key-1"))
    assert [each.hand for each in line.in_line()] == ["h2"]


def test_a_place_is_behind_everybody_even_if_the_clock_went_back() -> None:
    line = Line([hand(100)])
    assert line.next_ns(50) == 101
    assert line.next_ns(500) == 500


def test_the_line_is_full_as_a_whole_and_for_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "MOST_HANDS", 3)
    monkeypatch.setattr(hands, "MOST_OF_A_SOURCE", 2)
    line = Line([hand(1, source="a"), hand(2, source="a", state=HandState.INVITED)])
    assert line.is_full("a")
    assert not line.is_full("b")
    assert not line.is_full("")
    line.put(hand(3, source="b"))
    assert line.is_full("c")
    line.put(hand(3, source="b", state=HandState.DECLINED))
    assert not line.is_full("c")


def test_lowered_hands_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "MOST_DECLINED", 2)
    line = Line([hand(1, state=HandState.DECLINED), hand(2)])
    assert line.too_old() == []
    for number in (3, 4):
        line.put(hand(number, state=HandState.DECLINED))
    assert [each.hand for each in line.too_old()] == ["h1"]
