"""The door's words: places in the line, tickets, answers, and the times that all rules share.

``door_edge`` is what one edge knows and does, ``door_leader`` who is let in, ``door_words`` what they tell each other,
``door_forecast`` what a dial would do. All of it is drawn in docs/door.md, with why the cap is never exceeded.

All times are Unix nanoseconds of a clock that never goes back: the machine's when the process began, and what has
passed since (``now_ns``). Clocks of several machines may differ by two seconds.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

NS_PER_S = 1_000_000_000
EARLY = 0
"""The slot of all who come before the doors open."""
GROUPS = 64
EARLY_GROUPS = 4096
DIRECT = 0xFFFF
"""The group of a place that was given without standing in line."""
ASK_EVERY_S = 20.0
LEAST_ASK_S = 3.0
TAKE_UP_S = 20.0
GRACE_S = 60.0
"""How long the place of one who dropped is kept."""
HOLDER_BYTES = 8
CALL_S = 27.0
"""How long a turn lasts: the longest time between two questions, and some for the line."""
TOLD_S = 27.0
"""How long a place is kept for one who was told to come in: TAKE_UP_S, and some for clocks that differ."""
LEASE_S = 3.0
"""How long an edge may act after it sent the newest report that the leader has heard."""
GONE_S = 3.5
"""How long the leader waits for an edge's report: longer than the edge may act."""
LOST_S = 60.0
"""How long the places of an edge that is gone are kept for its people."""


class Place(NamedTuple):
    """A place in line. ``slot``: the whole second (Unix) of arrival, or EARLY; ``group`` is drawn at random."""

    slot: int
    group: int


class Ticket(NamedTuple):
    """What a checked ticket says; edge/tickets makes and checks them. ``made_s``: Unix seconds.

    ``admitted``: its holder was told to come in at ``made_s``. ``holder`` (8 bytes) is the same through all the
    tickets that follow from one another.
    """

    place: Place
    holder: bytes
    made_s: int
    admitted: bool = False
    rehearsal: bool = False


class Because(StrEnum):
    """Why somebody waits, or waits longer than was said."""

    DOORS_CLOSED = "doors-closed"
    RATE_LOWERED = "rate-lowered"
    CAP_LOWERED = "cap-lowered"
    SLOWER = "slower-than-thought"
    MISSED = "missed-turn"
    COUNTING = "counting"
    CHALLENGE = "challenge"


class Answer(NamedTuple):
    """What somebody who asks is told.

    ``admitted``: come in, within TAKE_UP_S. ``make``: a ticket has to be made, with ``place``, ``holder``, the flag
    ``admitted`` and the present time; else the one they asked with goes on. ``position`` counts from 1, None while it
    is being counted; ``wait_s`` is (low, high), None while nobody can tell.
    """

    admitted: bool
    make: bool
    place: Place
    holder: bytes
    position: int | None = None
    wait_s: tuple[float, float] | None = None
    retry_after_s: float = 0.0
    because: Because | None = None


class Verdict(StrEnum):
    """What comes of somebody who wants to come in."""

    IN = "in"
    DOOR = "door"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Entrance:
    """The verdict on one who wants to come in.

    IN: ``entry`` names the place taken, until ``leave(entry)``; ``cut`` is the entry at this edge that it replaces,
    whose connection is to be closed with "elsewhere" (it needs no ``leave`` any more). DOOR: they have to ask first,
    or again after ``retry_after_s``. ELSEWHERE: the ticket's holder is inside already.
    """

    verdict: Verdict
    entry: int = 0
    cut: int | None = None
    retry_after_s: float = 0.0


class Cut(NamedTuple):
    """An entry whose connection has to be closed. ``elsewhere``: its ticket is used by another; else it may return."""

    entry: int
    elsewhere: bool


def groups(slot: int) -> int:
    """Return how many groups a slot has."""
    return EARLY_GROUPS if slot == EARLY else GROUPS


def permutation(salt: str) -> tuple[int, ...]:
    """Return the rank of each group of the early slot: which of them is let in first, second and so on.

    ``salt``: 32 hex digits, drawn when the doors open. Groups are sorted by the BLAKE2b-128 of their number (u16,
    big-endian) keyed with it.
    """
    key = bytes.fromhex(salt)
    order = sorted(
        range(EARLY_GROUPS),
        key=lambda group: hashlib.blake2b(group.to_bytes(2, "big"), digest_size=16, key=key).digest(),
    )
    ranks = [0] * EARLY_GROUPS
    for rank, group in enumerate(order):
        ranks[group] = rank
    return tuple(ranks)
