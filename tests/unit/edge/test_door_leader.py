"""The lease of the doors: one leads, another follows when it is silent, and one that was stopped says nothing more."""

from collections.abc import Iterable

from stentor.bus.memory import MemoryBus
from stentor.bus.port import door_word_subject
from stentor.clock import NS_PER_S
from stentor.edge.door_leader import BUCKET, LEASE_KEY, SILENT_NS, DoorLeader, Led
from stentor.errors import BusUnavailable
from stentor.room.documents import Dials
from stentor.room.door_edge import EdgeDoor
from stentor.room.door_words import DoorWord
from stentor.room.installation import InstallationDocument, LadderWord
from stentor.room.ladder import CAP, RATE
from tests.fakes.clock import VirtualClock


class Desk:
    """An edge with one room, as its leader sees it."""

    def __init__(self, clock: VirtualClock, edge: str, bus: MemoryBus) -> None:
        self._clock = clock
        self.bus = bus
        self.edge = edge
        self.document = InstallationDocument()
        self.rooms = {"demo": Dials(cap=10)}
        self.door = EdgeDoor("demo", edge, self.now(), draw=lambda _: 1, alive=lambda _: True)
        self.heard: list[DoorWord] = []
        self.come = 0
        self.leader = DoorLeader(edge, bus, clock, self)

    def now(self) -> int:
        return 1_795_000_000 * NS_PER_S + self._clock.monotonic_ns()

    def led(self) -> Iterable[Led]:
        return [Led(room, dials, True, self.door.word) for room, dials in self.rooms.items()]

    def joins(self) -> int:
        return self.come

    def hear_word(self, word: DoorWord, _payload: bytes) -> None:
        self.heard.append(word)
        self.door.take_word(word, self.now())

    async def turn(self, *, watches: bool = True) -> None:
        """Do what an edge does each half second; ``watches``: it has heard what others wrote."""
        if watches:
            for key in (LEASE_KEY, "demo"):
                document = await self.bus.get(BUCKET, key)
                if document is not None:
                    self.leader.see(document)
        report = self.door.report(self.now())
        if report is not None:
            self.leader.take_report(report)
        await self.leader._turn()


async def pass_time(clock: VirtualClock, ns: int) -> None:
    await clock.advance(ns / NS_PER_S)


async def test_one_leads_and_who_was_stopped_says_nothing_after_another_took_over() -> None:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    one, two = Desk(clock, "edge-1", bus), Desk(clock, "edge-2", bus)
    for _ in range(4):
        await one.turn()
        await two.turn()
        await pass_time(clock, NS_PER_S // 2)
    assert (one.leader.term, two.leader.term) == (1, None)
    assert one.heard[-1].leader == "edge-1"
    await pass_time(clock, SILENT_NS)  # edge-1 is stopped
    await two.turn()
    assert two.leader.term == 2
    said, stored = len(one.heard), await bus.get(BUCKET, "demo")
    await one.turn(watches=False)
    assert len(one.heard) == said, "what it knows of the lease is old, and the bus says so"
    assert await bus.get(BUCKET, "demo") == stored
    await one.turn()
    assert one.leader.term is None
    await pass_time(clock, NS_PER_S // 2)
    await two.turn()
    assert (two.leader.term, two.heard[-1].term) == (2, 2)


async def test_a_leader_that_cannot_write_says_nothing_and_goes_on_when_it_can() -> None:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    desk = Desk(clock, "edge-1", bus)
    heard: list[str] = []
    async with bus.subscribe(door_word_subject("demo"), lambda subject, _: heard.append(subject)):
        await desk.turn()
        assert len(heard) == len(desk.heard) == 1
        bus.away()
        for _ in range(3):
            await pass_time(clock, NS_PER_S)
            try:
                await desk.turn(watches=False)
            except BusUnavailable:
                continue
            raise AssertionError("it wrote without a bus")
        assert len(desk.heard) == 1
        bus.back()
        await desk.turn()
        assert len(desk.heard) == 2
        assert desk.leader.term == 1


async def test_an_edge_that_stops_hands_the_doors_over_at_once() -> None:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    one, two = Desk(clock, "edge-1", bus), Desk(clock, "edge-2", bus)
    await one.turn()
    await two.turn()
    assert two.leader.term is None
    await one.leader.hand_over()
    await one.turn()
    await two.turn()
    assert (one.leader.term, two.leader.term) == (None, 2)


async def test_a_lease_that_nobody_needs_is_let_go_and_taken_at_once_with_the_next_term() -> None:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    one, two = Desk(clock, "edge-1", bus), Desk(clock, "edge-2", bus)
    await one.turn()
    one.rooms.clear()
    await one.turn()
    assert one.leader.term is None
    assert await bus.get(BUCKET, "demo") is None
    await two.turn()
    assert two.leader.term == 2


async def test_the_ladder_slows_a_room_down_by_what_came_lately_and_then_lets_nobody_in() -> None:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    desk = Desk(clock, "edge-1", bus)
    desk.rooms["demo"] = Dials()
    for _ in range(5):
        desk.leader.sample()
        desk.come += 400
        await pass_time(clock, 10 * NS_PER_S)
    desk.document = InstallationDocument(ladder=LadderWord(step=RATE))
    assert desk.leader._in_force(list(desk.led())) == Dials(per_second=10.0), "a quarter of 40 a second"
    desk.come += 100_000
    assert desk.leader._in_force(list(desk.led())) == Dials(per_second=10.0), "and it stays so"
    await desk.turn()
    assert desk.heard[-1].per_second is not None
    desk.document = InstallationDocument(ladder=LadderWord(step=CAP))
    await pass_time(clock, NS_PER_S)
    await desk.turn()
    assert desk.heard[-1].cap == 0
