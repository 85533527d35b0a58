"""Tickets: good for their room, their time and their edges' secret, and for nobody who changes a bit of them."""

import base64

import pytest

from stentor.clock import NS_PER_S, UnixNs
from stentor.edge.tickets import LIFETIME_S, MAX_CHARS, PERIOD_S, Tickets, new_holder
from stentor.room.door import EARLY, EARLY_GROUPS, Place, Ticket

NOW = UnixNs(1_795_000_000 * NS_PER_S)
NOW_S = NOW // NS_PER_S


def later(seconds: int) -> UnixNs:
    return UnixNs(NOW + seconds * NS_PER_S)


def a_ticket(*, admitted: bool = False, rehearsal: bool = False) -> Ticket:
    return Ticket(Place(NOW_S - 7, 63), new_holder(), NOW_S, admitted, rehearsal)


@pytest.mark.parametrize("admitted", [False, True])
@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_ticket_says_its_place_at_every_edge_that_has_the_secret(*, admitted: bool, rehearsal: bool) -> None:
    ticket = a_ticket(admitted=admitted, rehearsal=rehearsal)
    text = Tickets(b"k" * 32).text("demo", ticket)
    assert len(text) <= MAX_CHARS
    assert text.replace("-", "a").replace("_", "a").isalnum(), "it stands in addresses as it is"
    assert Tickets(b"k" * 32).read("demo", text, NOW) == ticket


def test_a_place_before_the_doors_open_has_a_group_of_its_own_range() -> None:
    tickets = Tickets(b"k" * 32)
    ticket = Ticket(Place(EARLY, EARLY_GROUPS - 1), new_holder(), NOW_S)
    assert tickets.read("demo", tickets.text("demo", ticket), NOW) == ticket


def test_a_ticket_is_nothing_in_another_room_or_with_another_secret() -> None:
    text = Tickets(b"k" * 32).text("demo", a_ticket())
    assert Tickets(b"k" * 32).read("other", text, NOW) is None
    assert Tickets(b"x" * 32).read("demo", text, NOW) is None


def test_a_ticket_is_good_for_half_a_day_over_every_change_of_the_key() -> None:
    tickets = Tickets(b"k" * 32)
    ticket = a_ticket()
    text = tickets.text("demo", ticket)
    assert LIFETIME_S // PERIOD_S >= 2
    for seconds in (-60, 0, PERIOD_S, LIFETIME_S):
        assert tickets.read("demo", text, later(seconds)) == ticket, seconds
    for seconds in (-62, LIFETIME_S + 1):
        assert tickets.read("demo", text, later(seconds)) is None, seconds


def test_each_period_has_a_key_of_its_own() -> None:
    tickets = Tickets(b"k" * 32)
    ticket = a_ticket()
    moved = ticket._replace(made_s=ticket.made_s + PERIOD_S)
    one, other = (base64.urlsafe_b64decode(tickets.text("demo", each)) for each in (ticket, moved))
    forged = base64.urlsafe_b64encode(other[:-16] + one[-16:]).decode()
    assert tickets.read("demo", forged, later(PERIOD_S)) is None


def test_a_ticket_with_any_bit_changed_is_nothing() -> None:
    tickets = Tickets(b"k" * 32)
    raw = base64.urlsafe_b64decode(tickets.text("demo", a_ticket()))
    for at in range(8 * len(raw)):
        forged = bytearray(raw)
        forged[at // 8] ^= 1 << at % 8
        assert tickets.read("demo", base64.urlsafe_b64encode(forged).decode(), NOW) is None, at


@pytest.mark.parametrize(
    "text", ["", "x", "é" * 48, "+" * 48, "=" * 48, "A" * 48, "A" * 47, "A" * 49, "A" * 64, " " * 48]
)
def test_what_is_no_ticket_is_nothing(text: str) -> None:
    assert Tickets(b"k" * 32).read("demo", text, NOW) is None


def test_a_ticket_is_written_in_one_way_alone() -> None:
    tickets = Tickets(b"k" * 32)
    holders = [tickets.text("demo", a_ticket()) for _ in range(50)]
    for text in holders:
        other = text.replace("-", "+").replace("_", "/")
        assert other == text or tickets.read("demo", other, NOW) is None


def test_a_ticket_of_a_room_without_a_door_tells_its_holder_and_lets_nobody_in() -> None:
    tickets = Tickets(b"k" * 32)
    text = tickets.issue("demo", NOW)
    ticket = tickets.read("demo", text, NOW)
    assert ticket is not None
    assert not ticket.admitted
    assert tickets.holder("demo", text, NOW) == ticket.holder != tickets.holder("demo", tickets.issue("demo", NOW), NOW)
    assert tickets.holder("other", text, NOW) is None
