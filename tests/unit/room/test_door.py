"""The small parts of the door: shuffling, packing, news, forecasts, shares."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.room.documents import Dials
from stentor.room.door import EARLY_GROUPS, NS_PER_S, Because, permutation
from stentor.room.door_forecast import forecast
from stentor.room.door_ledger import shares
from stentor.room.door_news import Item, Kind, Peer, decode, encode, is_after, millisecond, whole
from stentor.room.door_queue import Queue
from stentor.room.door_share import evenly, why_slower
from stentor.room.door_view import View
from stentor.room.door_words import DoorReport, DoorWord, pack, unpack

NOW = 1_790_000_000 * NS_PER_S


def test_the_shuffle_depends_on_the_salt_alone() -> None:
    one, other = permutation("00" * 16), permutation("01" * 16)
    assert sorted(one) == list(range(EARLY_GROUPS))
    assert one == permutation("00" * 16)
    same = sum(a == b for a, b in zip(one, other, strict=True))
    assert same < 10


@given(st.lists(st.integers(0, 1 << 40)))
def test_numbers_survive_packing(numbers: list[int]) -> None:
    assert unpack(pack(numbers)) == numbers


def test_a_line_of_an_hour_is_small() -> None:
    assert len(pack([277] * 3_600)) <= 7_200
    assert len(pack([0] * 10_000 + [1])) < 10


@pytest.mark.parametrize("text", ["é", " ", "~" + "o" * 6 + "?", "x" * (1 << 21)])
def test_what_is_not_packed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"packed|ascii"):
        unpack(text)


def test_news_survive_the_way() -> None:
    items = [
        whole(3),
        Item(Kind.INSIDE, b"holder-1", 12),
        Item(Kind.HELD, b"holder-2", 60),
        Item(Kind.GONE, b"holder-3"),
    ]
    assert list(decode(encode(items))) == items


def test_a_peer_keeps_places_for_a_while() -> None:
    peer = Peer()
    for item in (Item(Kind.INSIDE, b"\1older-1", 12), Item(Kind.HELD, b"\2older-2", 60)):
        peer.take(item, NOW)
    assert peer.since(b"\1older-1") == 12
    assert peer.keeps(b"\1older-1", NOW + 10**15)
    assert peer.keeps(b"\2older-2", NOW + 50 * NS_PER_S)
    assert not peer.keeps(b"\2older-2", NOW + 55 * NS_PER_S), "its word may be 5 s old"
    peer.take(whole(1), NOW)
    assert not peer.has(b"\1older-1"), "whoever is not in the slice is there no more"
    peer.take(Item(Kind.SPENT, b"\3older-3"), NOW)
    peer.take(Item(Kind.SPENT, b"\4older-4"), NOW + 31 * NS_PER_S)
    assert list(peer.spent) == [b"\4older-4"]


def test_milliseconds_go_round() -> None:
    late = millisecond(((1 << 32) - 1) * 1_000_000)
    assert is_after(millisecond(5_000_000), late)
    assert not is_after(late, millisecond(5_000_000))


def test_a_slot_of_whom_all_were_called_is_no_part_of_the_line() -> None:
    queue = Queue()
    groups = [0] * 64
    groups[10] = 1
    issued = {1_790_000_000: pack(groups), 1_790_000_001: pack(groups)}
    queue.take(DoorReport(room="demo", edge="e", started_ns=1, number=1, issued=issued))
    queue.count_to(1_790_000_005, early=True)
    mark, _ = next(queue.groups_ahead())
    queue.call(mark)
    line_from, line = queue.line()
    early = queue.early()
    view = View(word(watermark=queue.mark, line_from=line_from, line=line, early=early, is_open=True, salt="00" * 16))
    ahead = view.ahead((1_790_000_001, 10))
    assert ahead is not None
    assert int(ahead) == 0


def word(**fields: object) -> DoorWord:
    return DoorWord.model_validate({"room": "demo", "term": 1, "number": 1, "at_ns": NOW, "leader": "e"} | fields)


def test_a_forecast_by_rate() -> None:
    told = forecast(word(waiting=4_000, inside=100), Dials(cap=10_000, per_second=50), 0.0)
    assert (told.waiting, told.free) == (4_000, 9_900)
    assert told.last_enters_ns == NOW + 80 * NS_PER_S
    assert told.per_minute == (3_000, 1_000)


def test_a_forecast_by_places() -> None:
    told = forecast(word(waiting=700, inside=400, held=50, called=50), Dials(cap=600), 5.0)
    assert told.free == 100
    assert told.last_enters_ns == NOW + 120 * NS_PER_S
    assert sum(told.per_minute) == 700


def test_a_forecast_that_nobody_can_make() -> None:
    assert forecast(word(waiting=10, inside=5), Dials(cap=5), 0.0).last_enters_ns is None
    assert forecast(word(waiting=10), Dials(per_second=0), 5.0).last_enters_ns is None
    assert forecast(word(), Dials(), 0.0).last_enters_ns == NOW


def test_shares_never_promise_more_than_there_is() -> None:
    chance = random.Random(3)
    for _ in range(2_000):
        unused = [chance.randrange(20) for _ in range(chance.randrange(1, 6))]
        amount = sum(unused) + chance.randrange(30)
        given_to = shares(amount, [chance.choice([0.0, 3.0]) for _ in unused], unused)
        # What an edge has stays with it until it has heard that it has less.
        assert sum(max(now, before) for now, before in zip(given_to, unused, strict=True)) <= amount
        assert all(now >= 0 for now in given_to)


def test_places_flow_to_where_people_want_them() -> None:
    unused = [10, 0]
    for _ in range(4):
        unused = shares(10, [0.0, 5.0], unused)
    assert unused[1] >= 9


def test_a_rate_is_shared_evenly() -> None:
    assert evenly(100, {"a": 10, "b": 200, "c": 200}) == {"a": 10, "b": 45, "c": 45}
    assert evenly(100, {"a": 10, "b": 20}) == {"a": 10, "b": 20}


@pytest.mark.parametrize(
    ("before", "after", "because"),
    [
        (Dials(), Dials(cap=5), Because.CAP_LOWERED),
        (Dials(cap=5), Dials(cap=4), Because.CAP_LOWERED),
        (Dials(per_second=5), Dials(per_second=4), Because.RATE_LOWERED),
        (Dials(cap=4), Dials(cap=5), None),
        (Dials(cap=4), Dials(), None),
    ],
)
def test_why_it_goes_slower(before: Dials, after: Dials, because: Because | None) -> None:
    assert why_slower(before, after) is because
