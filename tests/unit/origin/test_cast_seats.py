"""How many sit on a stage, and who makes room."""

import pytest

from stentor.errors import Conflict
from stentor.origin.seats import GIVEN_UP_TICKS
from stentor.room.requests import Leave
from tests.unit.origin.test_cast import BEA_HZ, Stage


async def test_seats_follow_the_rooms_document_and_throw_nobody_out():
    stage = Stage()
    for person in ("ana", "bea", "cleo"):
        await stage.seat(person)
    stage.cast.follow(stage.document.model_copy(update={"seats": 2}))
    assert len(stage.cast.shown()) == 3
    await stage.seat("ana")
    with pytest.raises(Conflict, match="The stage is full: it has 2 seats. Whoever runs the room can add some") as full:
        await stage.seat("dina")
    assert full.value.problem()["seats"] == 2
    stage.cast.follow(stage.document.model_copy(update={"seats": 4}))
    await stage.seat("dina")


async def test_who_has_been_away_makes_room_where_there_is_none():
    stage = Stage()
    stage.cast.follow(stage.document.model_copy(update={"seats": 2}))
    ana, bea = await stage.seat("ana"), await stage.seat("bea")
    await stage.cast.leave(Leave(session=ana.id))
    stage.talk(GIVEN_UP_TICKS, bea=(bea, BEA_HZ))
    with pytest.raises(Conflict, match="free after some seconds"):
        await stage.seat("cleo")
    stage.talk(1, bea=(bea, BEA_HZ))
    stage.cast.follow(stage.document.model_copy(update={"seats": 1}))
    with pytest.raises(Conflict):
        await stage.seat("cleo")
    stage.cast.follow(stage.document.model_copy(update={"seats": 2}))
    await stage.seat("cleo")
    assert [seat.person for seat in stage.cast.shown()] == ["bea", "cleo"]
