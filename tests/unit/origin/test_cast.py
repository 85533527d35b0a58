"""Seats, mutes and mixes of a live room, without a network."""

import asyncio

import numpy as np
import pytest

from stentor.errors import BadRequest, Conflict, NotFound
from stentor.media.decoder import OpusDecoder
from stentor.origin.cast import Cast
from stentor.origin.seats import HAND_OVER_TICKS
from stentor.room.documents import DEFAULT_SEATS, Role, RoomDocument
from stentor.room.requests import GiveRole, Leave, Mute, MuteAll, Offer, Remove, Rename, Restart
from stentor.room.states import RoomState
from tests.fakes.cast import FakeDoor
from tests.fakes.clock import VirtualClock, settle

ANA_HZ, BEA_HZ = 1_000.0, 2_300.0


class Stage:
    def __init__(self) -> None:
        self.door = FakeDoor()
        self.changes = 0
        self.now_ns = 0
        self.clock = VirtualClock()
        self.document = RoomDocument(room="night", title="Night", state=RoomState.LIVE)
        self.cast = Cast(self.document, self.door, self.clock, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def seat(self, person: str, sdp: str = "offer", role: Role = Role.SPEAKER, device: str | None = None):
        await self.cast.offer(Offer(person=person, name=person.title(), role=role, sdp=sdp, device=device))
        return self.door.sessions[-1]

    def talk(self, ticks: int, **pitches):
        """Let people talk; return the program's last 0.2 s."""
        program = []
        for _ in range(ticks):
            for session, pitch in pitches.values():
                session.say(pitch, self.now_ns)
            program.append(self.cast.tick(self.now_ns)[0].copy())
            self.now_ns += 20_000_000
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
    assert np.abs(stage.talk(12, ana=(ana, ANA_HZ))).max() == 0.0


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


async def test_a_newer_session_takes_over_once_it_sounds_and_only_it_is_heard():
    stage = Stage()
    old = await stage.seat("ana")
    stage.talk(30, old=(old, ANA_HZ))
    new = await stage.seat("ana")
    assert len(stage.cast.shown()) == 1
    assert part(stage.talk(20, old=(old, ANA_HZ)), ANA_HZ) > 0.1
    assert (old.closed, new.closed) == (None, None)
    assert len(old.heard) == 50
    assert len(new.heard) == 20
    ticks = [stage.talk(1, old=(old, ANA_HZ), new=(new, BEA_HZ)) for _ in range(40)]
    assert old.closed == "replaced"
    both = [tick for tick in ticks if part(tick, ANA_HZ) > 0.01 and part(tick, BEA_HZ) > 0.01]
    assert len(both) <= 2  # they are faded into each other
    assert part(np.concatenate(ticks[-10:]), ANA_HZ) < 0.01
    assert part(np.concatenate(ticks[-10:]), BEA_HZ) > 0.1
    assert new.closed is None
    assert [person.connected for person in stage.cast.shown()] == [True]


async def test_a_newer_session_that_never_sounds_takes_over_after_two_seconds():
    stage = Stage()
    old = await stage.seat("ana")
    stage.talk(10, old=(old, ANA_HZ))
    await stage.seat("ana")
    stage.talk(HAND_OVER_TICKS - 1, old=(old, ANA_HZ))
    assert old.closed is None
    program = stage.talk(20, old=(old, ANA_HZ))
    assert old.closed == "replaced"
    assert np.abs(program).max() == 0.0


async def test_a_newer_session_that_fails_leaves_the_older_where_it_was():
    stage = Stage()
    old = await stage.seat("ana")
    stage.talk(10, old=(old, ANA_HZ))
    first, second = await stage.seat("ana"), await stage.seat("ana")
    assert first.closed == "replaced"  # it never sounded
    await second.close("dtls-failed")
    assert part(stage.talk(2 * HAND_OVER_TICKS, old=(old, ANA_HZ)), ANA_HZ) > 0.1
    assert old.closed is None
    await stage.cast.leave(Leave(session=old.id))


async def test_of_three_sessions_the_newest_is_left():
    stage = Stage()
    first = await stage.seat("ana")
    stage.talk(10, first=(first, ANA_HZ))
    second = await stage.seat("ana")
    second.say(ANA_HZ, stage.now_ns)
    third = await stage.seat("ana")
    assert first.closed == "replaced"
    stage.talk(30, third=(third, BEA_HZ))
    assert (second.closed, third.closed) == ("replaced", None)
    await stage.cast.remove(Remove(person="ana"))
    assert third.closed == "removed"


async def test_who_is_removed_while_a_session_takes_over_loses_both():
    stage = Stage()
    old = await stage.seat("ana")
    stage.talk(1, old=(old, ANA_HZ))
    new = await stage.seat("ana")
    await stage.cast.remove(Remove(person="ana"))
    assert (old.closed, new.closed) == ("removed", "removed")


async def test_who_leaves_in_the_middle_of_a_word_fades_out():
    stage = Stage()
    ana = await stage.seat("ana")
    stage.talk(20, ana=(ana, ANA_HZ))
    await stage.cast.leave(Leave(session=ana.id))
    sound = stage.talk(5)
    assert np.abs(sound).max() > 0.05
    assert np.abs(np.diff(sound)).max() < 0.06  # of the pitch itself 0.04
    assert np.abs(sound[-960:]).max() < 0.001


async def test_an_ice_restart_reaches_the_session():
    stage = Stage()
    ana = await stage.seat("ana")
    assert (await stage.cast.restart(Restart(session=ana.id, fragment="a"))).fragment == "answer to a"
    with pytest.raises(NotFound):
        await stage.cast.restart(Restart(session="another", fragment="a"))


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
    assert np.abs(stage.talk(12, ana=(ana, ANA_HZ))).max() == 0.0


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
    for number in range(DEFAULT_SEATS):
        await stage.seat(f"person{number}")
    with pytest.raises(Conflict, match="it has 13 seats"):
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


async def test_all_but_hosts_are_muted_at_the_next_tick():
    stage = Stage()
    ana, bea = await stage.seat("ana"), await stage.seat("bea", role=Role.HOST)
    stage.talk(30, ana=(ana, ANA_HZ), bea=(bea, BEA_HZ))
    muted = await stage.cast.mute_all(MuteAll(spared=(Role.HOST, Role.COHOST)))
    assert muted.people == ("ana",)
    stage.talk(1, ana=(ana, ANA_HZ), bea=(bea, BEA_HZ))
    program = stage.talk(10, ana=(ana, ANA_HZ), bea=(bea, BEA_HZ))
    assert part(program, ANA_HZ) < 0.001
    assert part(program, BEA_HZ) > 0.1
    again = await stage.cast.mute_all(MuteAll(spared=()))
    assert again.people == ("ana", "bea")


async def test_a_role_is_shown_and_a_stranger_has_none():
    stage = Stage()
    await stage.seat("ana")
    await stage.cast.give_role(GiveRole(person="ana", role=Role.HOST))
    assert stage.cast.shown()[0].role is Role.HOST
    with pytest.raises(NotFound):
        await stage.cast.give_role(GiveRole(person="bea", role=Role.HOST))


async def test_people_on_one_device_are_not_fed_each_other():
    stage = Stage()
    ana = await stage.seat("ana", device="laptop")
    twice = await stage.seat("ana again", device="laptop")
    bea = await stage.seat("bea", device="phone")
    stage.talk(50, ana=(ana, ANA_HZ), bea=(bea, BEA_HZ))
    assert part(decoded(bea), ANA_HZ) > 0.1
    for session in (ana, twice):
        assert part(decoded(session), ANA_HZ) < 0.01
        assert part(decoded(session), BEA_HZ) > 0.1


async def test_the_noise_gate_follows_the_rooms_document():
    stage = Stage()
    ana = await stage.seat("ana")

    def hum(ticks: int) -> float:
        for _ in range(ticks):
            ana.say(ANA_HZ, stage.now_ns, amplitude=0.005)
            program = stage.talk(1)
        return part(program, ANA_HZ)

    open_gate = hum(150)
    stage.cast.follow(stage.document.model_copy(update={"noise_gate": True}))
    assert hum(100) < open_gate / 8
    stage.cast.follow(stage.document)
    assert hum(20) > open_gate / 2


async def test_who_moves_to_another_device_keeps_the_seat_and_is_not_heard_twice():
    stage = Stage()
    laptop = await stage.seat("ana", device="laptop")
    stage.talk(30, laptop=(laptop, ANA_HZ))
    await stage.cast.mute(Mute(person="ana", muted=True, by="self"))
    stage.cast.follow(stage.document.model_copy(update={"seats": 1}))
    await stage.cast.remove(Remove(person="ana", keep_seat=True))
    assert laptop.closed == "moved"
    assert [(who.connected, who.muted_by, who.heard) for who in stage.cast.shown()] == [(False, "self", True)]
    with pytest.raises(Conflict):
        await stage.seat("bea")
    phone = await stage.seat("ana", device="phone")
    await stage.cast.mute(Mute(person="ana", muted=False, by="self"))
    stage.talk(5, laptop=(laptop, ANA_HZ), phone=(phone, BEA_HZ))
    program = stage.talk(30, laptop=(laptop, ANA_HZ), phone=(phone, BEA_HZ))
    assert part(program, ANA_HZ) < 0.001
    assert part(program, BEA_HZ) > 0.1


async def test_an_offer_of_the_old_device_is_refused_after_the_move():
    stage = Stage()
    await stage.seat("ana", device="laptop")
    stage.door.slow = True
    asked = asyncio.ensure_future(stage.seat("ana", device="laptop"))
    await settle()
    await stage.cast.remove(Remove(person="ana", keep_seat=True))
    stage.door.sessions[-1].answering.set()
    with pytest.raises(Conflict, match="or moved to another device"):
        await asked
    assert stage.door.sessions[-1].closed == "refused"


async def test_two_people_cannot_take_the_last_seat():
    stage = Stage()
    for number in range(DEFAULT_SEATS - 1):
        await stage.seat(f"person{number}")
    stage.door.slow = True
    asked = [asyncio.ensure_future(stage.seat(person)) for person in ("ana", "bea")]
    await settle()
    for session in stage.door.sessions:
        session.answering.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
    assert len(stage.cast.shown()) == DEFAULT_SEATS


async def test_a_playout_that_breaks_is_one_person_s_silence():
    stage = Stage()
    ana, ben = await stage.seat("ana"), await stage.seat("ben")
    stage.talk(20, ana=(ana, ANA_HZ), ben=(ben, BEA_HZ))

    def broken(due_ns: int):
        raise ValueError("a fault of ours")

    stage.cast._seats["ana"].playout.pull = broken
    assert part(stage.talk(20, ana=(ana, ANA_HZ), ben=(ben, BEA_HZ)), BEA_HZ) > 0.05
    stage.talk(40, ana=(ana, ANA_HZ), ben=(ben, BEA_HZ))
    assert part(stage.talk(20, ana=(ana, ANA_HZ), ben=(ben, BEA_HZ)), ANA_HZ) > 0.05
