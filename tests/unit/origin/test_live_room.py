"""A live room by virtual time: what its states do to program, log and stage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from stentor.bus.memory import MemoryBus
from stentor.bus.port import chunk_subject, event_subject, live_chunk_subject, live_stage_subject, origin_subject
from stentor.bus.ring import unpack_chunks
from stentor.bus.wire import decode_chunk
from stentor.media.chunk import Chunk
from stentor.media.grid import STEPS_PER_SEGMENT, Step
from stentor.media.hold import silence_loop
from stentor.media.proof import first_head, follows
from stentor.media.rendition import RENDITIONS, Rendition
from stentor.origin.live_room import LiveRoom, RoomParts
from stentor.origin.log_writer import LogWriter
from stentor.origin.program import Program
from stentor.origin.tenure import take_over
from stentor.room.documents import EventKind, Role, RoomDocument, RoomEvent, StageDocument
from stentor.room.installation import KEY, InstallationDocument, LadderWord
from stentor.room.requests import GiveRole, MuteAll, Offer, Remove, Reply, RingRead
from stentor.room.states import RoomState
from tests.fakes.cast import FakeDoor
from tests.fakes.clock import VirtualClock

VOICE = b"voice"


class CountingEncoder:
    """Gives a unit ``VOICE`` for every frame of sound it was given: whatever it hears shows in the units."""

    def __init__(self, rendition: Rendition) -> None:
        self._frame = rendition.frame_samples
        self._samples = 0

    def encode(self, pcm):
        self._samples += pcm.shape[1]
        units = self._samples // self._frame
        self._samples -= units * self._frame
        loud = float(np.abs(pcm).max(initial=0.0)) > 0.01
        return [VOICE if loud else b"quiet"] * units

    def set_bitrate(self, bitrate_bps: int) -> bool:
        return False


class Night:
    """A room on its origin, and what goes out of it."""

    def __init__(self, bus: MemoryBus, clock: VirtualClock, door: FakeDoor) -> None:
        self.bus, self.clock, self.door = bus, clock, door
        self.zero_ns = clock.wall_ns()
        self.live: list[Chunk] = []
        self.stages: list[StageDocument] = []

    async def state(self, state: RoomState, **fields) -> None:
        document = RoomDocument(room="night", title="Night", state=state, zero_ns=self.zero_ns, **fields)
        await self.bus.put("rooms", "night", document.to_bytes())

    async def talk(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            for session in self.door.sessions:
                if session.closed is None:
                    session.say(1_000.0, self.clock.monotonic_ns())
            await self.clock.advance(0.02)

    def steps_with_voice(self) -> set[int]:
        return {chunk.step for chunk in self.live if chunk.rendition == "opus" and VOICE in chunk.units}

    async def events(self, kind: EventKind) -> list[RoomEvent]:
        records = await self.bus.read(event_subject("night"), after=0, limit=1000)
        events = [RoomEvent.model_validate_json(record.payload) for record in records]
        return [event for event in events if event.kind is kind]


@asynccontextmanager
async def night(folder: Path, *, state: RoomState = RoomState.LOBBY, recorded: bool = True) -> AsyncIterator[Night]:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    it = Night(bus, clock, FakeDoor())
    document = RoomDocument(room="night", title="Night", state=state, zero_ns=it.zero_ns, recorded=recorded)
    await bus.put("rooms", "night", document.to_bytes())
    tenure = await take_over(bus, clock, folder, "night", b"{}", zero_ns=it.zero_ns)
    program = Program(
        "night",
        epoch=tenure.epoch,
        discontinuity=tenure.discontinuity,
        first=tenure.first_step,
        heads={name: tenure.heads.get(name) or first_head("night", name) for name in RENDITIONS},
        hold=silence_loop(),
        new_encoder=CountingEncoder,
    )
    writer = LogWriter(bus, clock, tenure.fence, tenure.spool)
    room = LiveRoom(RoomParts(bus, clock, document, tenure, writer, program, it.door))
    async with (
        bus.subscribe(live_chunk_subject("night", "*"), lambda _, payload: it.live.append(decode_chunk(payload))),
        bus.subscribe(
            live_stage_subject("night"), lambda _, payload: it.stages.append(StageDocument.model_validate_json(payload))
        ),
        asyncio.TaskGroup() as group,
    ):
        it.running = group.create_task(room.run(lambda: None))
        await clock.advance(0.05)
        yield it
        if not it.running.done():
            it.running.cancel()


async def join(it: Night, person: str = "ana") -> None:
    offer = Offer(person=person, name=person.title(), role=Role.SPEAKER, sdp="offer")
    reply = await it.bus.request(origin_subject("night", "offer"), offer.to_bytes(), timeout_s=2.0)
    assert Reply.model_validate_json(reply).problem is None


async def test_what_control_asks_of_people_reaches_the_stage(tmp_path):
    async with night(tmp_path) as it:

        async def ask(verb: str, message: Offer | MuteAll | GiveRole | Remove) -> Reply:
            reply = await it.bus.request(origin_subject("night", verb), message.to_bytes(), timeout_s=2.0)
            return Reply.model_validate_json(reply)

        await join(it)
        await it.state(RoomState.LOBBY, seats=1)
        await it.talk(0.1)
        full = await ask("offer", Offer(person="bea", name="Bea", role=Role.SPEAKER, sdp="offer", device="phone"))
        assert full.problem is not None
        assert full.problem["type"] == "urn:stentor:problem:stage-full"
        assert (await ask("mute-all", MuteAll(spared=()))).result == {"people": ["ana"]}
        assert (await ask("role", GiveRole(person="ana", role=Role.HOST))).problem is None
        assert (await ask("remove", Remove(person="ana", keep_seat=True))).problem is None
        await it.talk(1.1)
        (ana,) = it.stages[-1].people
        assert (ana.role, ana.muted_by, ana.connected) == (Role.HOST, "host", False)


async def test_voices_go_out_on_air_alone_and_from_the_step_that_the_log_names(tmp_path):
    async with night(tmp_path) as it:
        await join(it)
        await it.talk(4.0)
        assert it.steps_with_voice() == set(), "the lobby is on air"
        await it.state(RoomState.LIVE)
        await it.talk(2.0)
        await it.state(RoomState.HELD)
        await it.talk(2.0)
        await it.state(RoomState.LIVE)
        await it.talk(2.0)
        await it.state(RoomState.ENDED)
        await it.talk(1.0)
        assert it.running.done()
        states = [(event.state, event.step) for event in await it.events(EventKind.STATE)]
        assert [state for state, _ in states] == ["lobby", "live", "held", "live", "ended"]
        _, live, held, again, ended = (step for _, step in states)
        assert it.steps_with_voice() == {*range(live, held), *range(again, ended)}
        opus = [chunk for chunk in it.live if chunk.rendition == "opus"]
        assert [chunk.step for chunk in opus] == list(range(8, ended))


async def test_what_is_live_is_in_the_log_and_chained(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE) as it:
        await it.talk(5.0)
        for name in RENDITIONS:
            records = await it.bus.read(chunk_subject("night", name), after=0, limit=1000)
            logged = [decode_chunk(record.payload) for record in records]
            assert logged == [chunk for chunk in it.live if chunk.rendition == name]
            head = first_head("night", name)
            for chunk in logged:
                assert follows(head, chunk)
                head = chunk.head
            assert len(logged) > 8


async def test_a_room_that_is_not_recorded_is_heard_and_leaves_nothing(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE, recorded=False) as it:
        await join(it)
        await it.talk(4.0)
        assert it.steps_with_voice()
        assert await it.bus.read("room.night.chunk.*", after=0, limit=10) == []
        assert await it.bus.read("room.night.event", after=0, limit=10) == []
        assert [file.stat().st_size < 200 for file in tmp_path.iterdir()] == [True]


async def test_rubbish_about_the_room_changes_nothing(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE) as it:
        await join(it)
        for rubbish in (b"", b"rubbish", b"[" * 100_000, b'{"room": "night"}'):
            await it.bus.put("rooms", "night", rubbish)
            await it.talk(1.0)
        assert it.stages[-1].on_air
        await it.state(RoomState.ENDED)
        await it.talk(1.0)
        assert it.running.done()


async def test_the_ring_has_what_went_out(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE) as it:
        await it.talk(4.0)
        wanted = RingRead(rendition="aac", after_step=9)
        chunks = unpack_chunks(await it.bus.request(origin_subject("night", "ring"), wanted.to_bytes(), timeout_s=2.0))
        assert chunks == [chunk for chunk in it.live if chunk.rendition == "aac" and chunk.step > 9]


async def test_the_stage_is_said_once_a_second_and_on_air_follows_the_program(tmp_path):
    async with night(tmp_path) as it:
        await join(it)
        await it.talk(3.0)
        assert len(it.stages) >= 3
        assert not it.stages[-1].on_air
        assert it.stages[-1].people[0].speaking
        await it.state(RoomState.LIVE)
        await it.talk(1.0)
        assert it.stages[-1].on_air
        stored = await it.bus.get("stages", "night")
        assert stored is not None
        assert StageDocument.model_validate_json(stored.value).on_air


async def test_a_silent_program_is_counted_while_on_air(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE) as it:
        await it.clock.advance(9.0)
        assert it.stages[-1].silent_s >= 5.0
        await join(it)
        await it.talk(2.0)
        assert it.stages[-1].silent_s == 0.0


async def test_silence_before_the_start_alarms_nobody(tmp_path):
    async with night(tmp_path) as it:
        await it.clock.advance(20.0)
        await it.state(RoomState.LIVE)
        await it.clock.advance(3.0)
        assert it.stages[-1].on_air
        assert 1.0 < it.stages[-1].silent_s < 5.0


async def test_rubbish_on_its_subjects_is_a_problem_and_no_more(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE) as it:
        for verb in ("offer", "mute", "leave", "remove", "candidates", "rename", "announce"):
            for body in (b"", b"\xff\x00", b"{}", b'{"person": 3}', b"[" * 2000):
                reply = await it.bus.request(origin_subject("night", verb), body, timeout_s=2.0)
                problem = Reply.model_validate_json(reply).problem
                assert problem is not None
                assert problem["status"] == 400
        await it.talk(3.0)
        assert not it.running.done()


async def test_an_epoch_goes_on_a_segment_after_its_predecessor_with_marked_silence(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE) as it:
        await it.talk(5.0)
        it.running.cancel()
        await it.clock.advance(4.0)
        tenure = await take_over(it.bus, it.clock, tmp_path, "night", b"{}", zero_ns=it.zero_ns)
        last = max(chunk.step for chunk in it.live)
        assert tenure.epoch == 2
        assert tenure.discontinuity == 1
        assert tenure.first_step == (last // 8 + 1) * 8
        program = Program(
            "night",
            epoch=2,
            discontinuity=1,
            first=tenure.first_step,
            heads=tenure.heads,
            hold=silence_loop(),
            new_encoder=CountingEncoder,
        )
        filled = program.fill(Step(tenure.first_step + 3))
        assert {chunk.silent for chunk in filled} == {True}
        tenure.spool.close(delete=True)


async def test_the_ladder_lowers_the_bitrate_and_the_log_says_from_which_step(tmp_path):
    async with night(tmp_path, state=RoomState.LIVE) as it:
        for step in (2, 3, 5, 0):
            word = InstallationDocument(ladder=LadderWord(step=step))
            await it.bus.put("installation", KEY, word.to_bytes())
            await it.clock.advance(4.2)
        await it.bus.put("installation", KEY, b"garbled")
        await it.clock.advance(4.2)
        said = [(event.text, event.step % STEPS_PER_SEGMENT) for event in await it.events(EventKind.BITRATE)]
    assert said == [
        ("opus 16 kbit/s, aac 32 kbit/s, mp3 64 kbit/s", 0),
        ("opus 32 kbit/s, aac 64 kbit/s, mp3 64 kbit/s", 0),
    ]
