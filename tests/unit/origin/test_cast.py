"""Seats, mutes and mixes of a live room, without a network."""

import asyncio

import numpy as np
import pytest

from stentor.errors import BadRequest, Conflict, NotFound
from stentor.media.decoder import OpusDecoder
from stentor.origin.cast import MAX_SEATS, Cast
from stentor.room.documents import Role
from stentor.room.requests import Leave, Mute, Offer, Remove, Rename
from tests.fakes.cast import FakeDoor
from tests.fakes.clock import VirtualClock, settle

ANA_HZ, BEA_HZ = 1_000.0, 2_300.0


class Stage:
    def __init__(self) -> None:
        self.door = FakeDoor()
        self.changes = 0
        self.clock = VirtualClock()
        self.cast = Cast("night", self.door, self.clock, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def seat(self, person: str, sdp: str = "offer"):
        await self.cast.offer(Offer(person=person, name=person.title(), role=Role.SPEAKER, sdp=sdp))
        return self.door.sessions[-1]

    def talk(self, ticks: int, **pitches):
        """Let people talk; return the program's last 0.2 s."""
        program = []
        for tick in range(ticks):
            for session, pitch in pitches.values():
                session.say(pitch, tick * 20_000_000)
            program.append(self.cast.tick()[0].copy())
        return np.concatenate(program[-10:])


def part(sound, pitch_hz):
    at = np.arange(len(sound)) / 48_000
    return abs(np.mean(np.hanning(len(sound)) * sound * np.exp(-2j * np.pi * pitch_hz * at))) * 4


def decoded(session, last: int = 10):
    decoder = OpusDecoder()
    frames = [decoder.decode(payload).reshape(-1).copy() for payload in session.heard]
    return np.concatenate(frames[-last:])


async def test_everybody_hears_the_others_and_not_themself():
    stage = Stage()
    ana, bea, mute = await stage.seat("ana"), await stage.seat("bea"), await stage.seat("cleo")
    program = stage.talk(50, ana=(ana, ANA_HZ), bea=(bea, BEA_HZ))
    assert part(program, ANA_HZ) > 0.1
    assert part(program, BEA_HZ) > 0.1
    assert part(decoded(ana), BEA_HZ) > 0.1
    assert part(decoded(ana), ANA_HZ) < 0.01
    assert part(decoded(bea), ANA_HZ) > 0.1
    assert part(decoded(bea), BEA_HZ) < 0.01
    assert part(decoded(mute), ANA_HZ) > 0.1
    assert part(decoded(mute), BEA_HZ) > 0.1
    heard = {person.name: person.heard for person in stage.cast.shown()}
    assert heard == {"Ana": True, "Bea": True, "Cleo": False}


async def test_a_muted_person_is_silent_at_the_next_tick():
    stage = Stage()
    ana = await stage.seat("ana")
    assert part(stage.talk(30, ana=(ana, ANA_HZ)), ANA_HZ) > 0.1
    await stage.cast.mute(Mute(person="ana", muted=True, by="host"))
    assert np.abs(stage.talk(10, ana=(ana, ANA_HZ))).max() == 0.0


async def test_only_a_host_unmutes_whom_a_host_muted():
    stage = Stage()
    await stage.seat("ana")
    await stage.cast.mute(Mute(person="ana", muted=True, by="host"))
    with pytest.raises(Conflict, match="only a host can unmute"):
        await stage.cast.mute(Mute(person="ana", muted=False, by="self"))
    await stage.cast.mute(Mute(person="ana", muted=False, by="host"))
    await stage.cast.mute(Mute(person="ana", muted=True, by="self"))
    await stage.cast.mute(Mute(person="ana", muted=False, by="self"))
    assert stage.cast.shown()[0].muted_by is None


async def test_a_newer_session_replaces_the_older_and_only_it_is_heard():
    stage = Stage()
    old = await stage.seat("ana")
    new = await stage.seat("ana")
    assert old.closed == "replaced"
    assert new.closed is None
    assert len(stage.cast.shown()) == 1
    program = stage.talk(40, old=(old, ANA_HZ), new=(new, BEA_HZ))
    assert part(program, ANA_HZ) < 0.01
    assert part(program, BEA_HZ) > 0.1


async def test_a_mute_outlives_a_reload():
    stage = Stage()
    await stage.seat("ana")
    await stage.cast.mute(Mute(person="ana", muted=True, by="host"))
    again = await stage.seat("ana")
    assert np.abs(stage.talk(20, ana=(again, ANA_HZ))).max() == 0.0


async def test_who_is_removed_is_silent_and_off_the_roster():
    stage = Stage()
    ana = await stage.seat("ana")
    stage.talk(20, ana=(ana, ANA_HZ))
    await stage.cast.remove(Remove(person="ana"))
    assert ana.closed == "removed"
    assert stage.cast.shown() == ()
    assert np.abs(stage.talk(5, ana=(ana, ANA_HZ))).max() == 0.0


async def test_who_leaves_is_shown_as_away_and_their_seat_goes_after_a_minute():
    stage = Stage()
    ana = await stage.seat("ana")
    await stage.cast.leave(Leave(session=ana.id))
    assert [person.connected for person in stage.cast.shown()] == [False]
    with pytest.raises(NotFound):
        await stage.cast.leave(Leave(session=ana.id))


async def test_a_broken_offer_takes_no_seat_and_leaves_the_old_session_alone():
    stage = Stage()
    ana = await stage.seat("ana")
    with pytest.raises(BadRequest):
        await stage.seat("ana", "rubbish")
    with pytest.raises(BadRequest):
        await stage.seat("bea", "rubbish")
    assert ana.closed is None
    assert [person.name for person in stage.cast.shown()] == ["Ana"]


async def test_the_stage_has_thirteen_seats():
    stage = Stage()
    for number in range(MAX_SEATS):
        await stage.seat(f"person{number}")
    with pytest.raises(Conflict, match="13 seats"):
        await stage.seat("onemore")
    await stage.seat("person3")


async def test_a_new_name_is_shown():
    stage = Stage()
    await stage.seat("ana")
    await stage.cast.rename(Rename(person="ana", name="Ana B."))
    assert stage.cast.shown()[0].name == "Ana B."
    assert stage.changes == 2


async def test_two_offers_of_one_person_at_once_leave_one_session():
    stage = Stage()
    stage.door.slow = True
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(stage.seat("ana"))
        await settle()
        for session in stage.door.sessions:
            session.answering.set()
    assert [session.closed for session in stage.door.sessions] == ["replaced", None]
    assert len(stage.cast.shown()) == 1


async def test_who_is_removed_while_their_offer_is_answered_stays_removed():
    stage = Stage()
    await stage.seat("ana")
    stage.door.slow = True
    asked = asyncio.ensure_future(stage.seat("ana"))
    await settle()
    await stage.cast.remove(Remove(person="ana"))
    stage.door.sessions[-1].answering.set()
    with pytest.raises(Conflict, match="removed"):
        await asked
    assert stage.cast.shown() == ()
    assert stage.door.sessions[-1].closed == "refused"
    stage.door.slow = False
    await stage.seat("ana")
    assert len(stage.cast.shown()) == 1


async def test_two_people_cannot_take_the_last_seat():
    stage = Stage()
    for number in range(MAX_SEATS - 1):
        await stage.seat(f"person{number}")
    stage.door.slow = True
    asked = [asyncio.ensure_future(stage.seat(person)) for person in ("ana", "bea")]
    await settle()
    for session in stage.door.sessions:
        session.answering.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
    assert len(stage.cast.shown()) == MAX_SEATS
