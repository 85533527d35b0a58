"""Headroom, the operator's word and rooms brought together, over real rooms."""

from collections.abc import Coroutine

from stentor.bus.memory import MemoryBus
from stentor.clock import UnixNs
from stentor.edge.audience import Audience
from stentor.edge.delivery import Delivery
from stentor.edge.downstream import Downstream, RelaySettings
from stentor.edge.http import Limits
from stentor.edge.metrics import BLOCK_STEPS, EMERGENCIES
from stentor.edge.room import Room, Surroundings
from stentor.edge.state_json import Places
from stentor.room.documents import RoomDocument
from stentor.room.states import RoomState
from tests.fakes.clock import START_NS, VirtualClock

SLOW_NS = 400_000_000
"""A pass that takes longer than its step."""


def room(name: str, listeners: int, clock: VirtualClock, block_steps: int | None = None) -> Room:
    document = RoomDocument(room=name, title=name, state=RoomState.LIVE, zero_ns=START_NS, block_steps=block_steps)

    def spawn(work: Coroutine[object, object, None]) -> None:
        work.close()

    below = Downstream(MemoryBus(clock), clock, RelaySettings())
    around = Surroundings(MemoryBus(clock), clock, Limits(), Places(), spawn, lambda output: output, downstream=below)
    made = Room(document, around, Audience("edge-1", started_ns=UnixNs(START_NS)))
    made.sent_to = lambda: listeners  # type: ignore[method-assign]  # as if so many were connected
    return made


def tick(delivery: Delivery, rooms: list[Room]) -> list[int]:
    """Let a second pass; return which blocks rooms have then."""
    delivery.tick(rooms, connections=100, behind=0, accept_queue=0)
    return [each.block_steps for each in rooms]


def test_a_quiet_edge_does_as_the_operator_says() -> None:
    clock = VirtualClock()
    rooms = [room("a", 10, clock), room("b", 10, clock, block_steps=2)]
    delivery = Delivery(clock)
    assert tick(delivery, rooms) == [1, 2]


def test_in_an_emergency_the_crowds_room_pays_at_once_and_the_others_do_not() -> None:
    clock = VirtualClock()
    rooms = [room("crowd", 5_000, clock), room("small", 40, clock)]
    delivery = Delivery(clock)
    before = EMERGENCIES._value.get()
    delivery.load.note_pass("crowd", SLOW_NS)
    assert tick(delivery, rooms) == [2, 1]
    assert EMERGENCIES._value.get() == before + 1
    assert BLOCK_STEPS.labels("wished")._value.get() == 2


def test_an_edge_that_may_not_leaves_blocks_as_they_are() -> None:
    clock = VirtualClock()
    rooms = [room("crowd", 5_000, clock)]
    delivery = Delivery(clock, max_block_steps=1)
    for _ in range(5):
        delivery.load.note_pass("crowd", SLOW_NS)
        assert tick(delivery, rooms) == [1]
