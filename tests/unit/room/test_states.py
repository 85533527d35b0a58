"""Every (state, input): the life of a room, written a second time."""

import itertools

import pytest

from stentor.errors import BadRequest, Conflict
from stentor.room.ids import room_id
from stentor.room.states import OPEN_STATES, RoomInput, RoomState, advance

LIFE = """
draft schedule scheduled
scheduled schedule scheduled
draft open lobby
scheduled open lobby
lobby start live
live hold held
held resume live
lobby end ended
live end ended
held end ended
ended publish published
"""
MEANT = {(state, given): after for state, given, after in map(str.split, LIFE.strip().splitlines())}


@pytest.mark.parametrize(("state", "given"), list(itertools.product(RoomState, RoomInput)))
def test_every_pair(state: RoomState, given: RoomInput) -> None:
    if (state, given) in MEANT:
        assert advance(state, given) == MEANT[state, given]
        return
    with pytest.raises(Conflict, match=f"This room is {state}; it cannot {given} now") as refused:
        advance(state, given)
    assert refused.value.kind == "wrong-state"


def test_every_state_can_be_reached_and_only_published_is_the_end() -> None:
    assert set(MEANT.values()) | {"draft"} == set(RoomState)
    assert {state for state, _ in MEANT} == set(RoomState) - {"published"}


def test_open_states() -> None:
    assert {"lobby", "live", "held"} == OPEN_STATES


@pytest.mark.parametrize("text", ["a", "demo", "2026", "a-b-c", "x" * 63])
def test_room_ids(text: str) -> None:
    assert room_id(text) == text


@pytest.mark.parametrize("text", ["", "A", "-a", "a-", "a.b", "a b", "a/b", "a*", "ä", "x" * 64, "a\n", "a>"])
def test_texts_that_are_no_room_ids(text: str) -> None:
    with pytest.raises(BadRequest, match="1 to 63 lower-case letters, digits and hyphens"):
        room_id(text)
