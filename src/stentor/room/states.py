"""The life of a room as a table: allowed (state, input) pairs, everything else is an error."""

from enum import StrEnum
from types import MappingProxyType

from stentor.errors import Conflict


class RoomState(StrEnum):
    """Where a room is in its life."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    LOBBY = "lobby"
    LIVE = "live"
    HELD = "held"
    ENDED = "ended"
    PUBLISHED = "published"


class RoomInput(StrEnum):
    """What can be done to a room."""

    SCHEDULE = "schedule"
    OPEN = "open"
    START = "start"
    HOLD = "hold"
    RESUME = "resume"
    END = "end"
    PUBLISH = "publish"


TRANSITIONS = MappingProxyType(
    {
        (RoomState.DRAFT, RoomInput.SCHEDULE): RoomState.SCHEDULED,
        (RoomState.SCHEDULED, RoomInput.SCHEDULE): RoomState.SCHEDULED,
        (RoomState.DRAFT, RoomInput.OPEN): RoomState.LOBBY,
        (RoomState.SCHEDULED, RoomInput.OPEN): RoomState.LOBBY,
        (RoomState.LOBBY, RoomInput.START): RoomState.LIVE,
        (RoomState.LIVE, RoomInput.HOLD): RoomState.HELD,
        (RoomState.HELD, RoomInput.RESUME): RoomState.LIVE,
        (RoomState.LOBBY, RoomInput.END): RoomState.ENDED,
        (RoomState.LIVE, RoomInput.END): RoomState.ENDED,
        (RoomState.HELD, RoomInput.END): RoomState.ENDED,
        (RoomState.ENDED, RoomInput.PUBLISH): RoomState.PUBLISHED,
    }
)

OPEN_STATES = frozenset({RoomState.LOBBY, RoomState.LIVE, RoomState.HELD})
"""States in which an origin runs the room and listeners are connected."""


def advance(state: RoomState, given: RoomInput) -> RoomState:
    """Return the state after ``given``; raises Conflict when the table has no such pair."""
    try:
        return TRANSITIONS[state, given]
    except KeyError:
        raise Conflict(f"This room is {state}; it cannot {given} now.", slug="wrong-state", state=str(state)) from None
