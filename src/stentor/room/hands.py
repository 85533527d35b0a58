"""The line of raised hands: who wants to speak, in the order in which the hands went up.

Pure: control keeps the lines (control/hand_rules), the catalogue stores them. ``HandAsk`` and ``HandAnswer`` are what
edges ask control on behalf of a listener (subject ``control.{room}.hand``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_HANDS = 500
"""How many may wait or be invited at a time. Who comes then is told that the line is full."""
MOST_OF_A_SOURCE = 100
"""How many of them one address may have: a mobile carrier puts thousands behind one."""
MOST_DECLINED = 500
"""How many lowered hands are remembered, the newest, so that their listeners are told."""


class HandState(StrEnum):
    """Where a hand is in its life.

    ``joined``: the invitation was taken up. ``declined``: lowered by the staff, and its listener is to be told.
    ``barred``: its browser may raise no hand in this room any more.
    """

    WAITING = "waiting"
    INVITED = "invited"
    JOINED = "joined"
    DECLINED = "declined"
    BARRED = "barred"


IN_LINE = frozenset({HandState.WAITING, HandState.INVITED})


@dataclass(frozen=True, slots=True)
class Hand:
    """One hand. ``raised_ns`` (Unix) is its place in the line, unique in a room.

    ``key`` tells the owners of a room apart: a hash of the secret of a listener's browser, or the id of a person on
    stage, who stands in ``person``, too. ``link`` is the speaker's link that an invited listener was given, ``source``
    a keyed hash of the address that they came from.
    """

    hand: str
    room: str
    key: str
    name: str
    raised_ns: int
    state: HandState = HandState.WAITING
    person: str | None = None
    link: str | None = None
    source: str = ""


class Line:
    """The hands of one room, one for each key."""

    def __init__(self, hands: Iterable[Hand] = ()) -> None:
        self._hands = {hand.key: hand for hand in hands}

    def of(self, key: str) -> Hand | None:
        """Return the hand of an owner."""
        return self._hands.get(key)

    def find(self, hand: str) -> Hand | None:
        """Return a hand by its id."""
        return next((each for each in self._hands.values() if each.hand == hand), None)

    def invited_as(self, link: str) -> Hand | None:
        """Return the hand whose owner was given a speaker's link."""
        return next((each for each in self._hands.values() if each.link == link), None)

    def all(self) -> list[Hand]:
        """Return every hand, the first raised first."""
        return sorted(self._hands.values(), key=lambda hand: hand.raised_ns)

    def in_line(self) -> list[Hand]:
        """Return the hands that are up, the first raised first: those that wait, and those that were invited."""
        return [hand for hand in self.all() if hand.state in IN_LINE]

    def position(self, hand: Hand) -> int | None:
        """Return how many wait up to and with this hand; None when it does not wait."""
        if hand.state is not HandState.WAITING:
            return None
        before = (each for each in self._hands.values() if each.state is HandState.WAITING)
        return sum(each.raised_ns <= hand.raised_ns for each in before)

    def is_full(self, source: str) -> bool:
        """Tell whether nobody more fits in, or nobody more from one address (empty: not from one)."""
        up = [hand for hand in self._hands.values() if hand.state in IN_LINE]
        return len(up) >= MOST_HANDS or (source != "" and sum(h.source == source for h in up) >= MOST_OF_A_SOURCE)

    def next_ns(self, now_ns: int) -> int:
        """Return a place behind everybody."""
        return max(now_ns, max((hand.raised_ns for hand in self._hands.values()), default=0) + 1)

    def too_old(self) -> list[Hand]:
        """Return the lowered hands that are too many to be remembered."""
        return [hand for hand in self.all() if hand.state is HandState.DECLINED][:-MOST_DECLINED]

    def put(self, hand: Hand) -> None:
        """Take a hand, in place of its owner's earlier one."""
        self._hands[hand.key] = hand

    def remove(self, hand: Hand) -> None:
        """Forget a hand."""
        self._hands.pop(hand.key, None)


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_bytes(self) -> bytes:
        """Return the message as JSON."""
        return self.model_dump_json().encode()


class HandAsk(_Message):
    """What an edge asks for a listener: to raise a hand, to say how it stands (``ask``), or to lower it.

    ``key`` is a secret that the listener's browser made. Reply: ``Reply`` with ``HandAnswer``.
    """

    verb: Literal["raise", "ask", "lower"]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    name: Annotated[str, Field(max_length=500)] = ""
    source: Annotated[str, Field(max_length=64)] = ""


class HandAnswer(_Message):
    """How a listener's hand stands. ``none``: it is not up; ``position`` counts from 1, while it waits.

    ``url`` is the staff link of who is invited. Who has a hand up asks again after ``retry_after_s``.
    """

    state: Literal["none", "waiting", "invited", "declined", "full", "closed"]
    position: int | None = None
    retry_after_s: float = 10.0
    url: str | None = None
