"""Every room's blocks: the edge's headroom and the operator's word brought together, once a second."""

from collections.abc import Sequence
from dataclasses import asdict

from stentor.clock import Clock
from stentor.edge.cadence import MAX_BLOCK_STEPS
from stentor.edge.headroom import Headroom, Sample, Shedding, with_word
from stentor.edge.load import EdgeLoad
from stentor.edge.metrics import BLOCK_STEPS, EMERGENCIES
from stentor.edge.room import Room
from stentor.telemetry import logger

_BUSY_CPU, _BUSY_LAG_S = 0.7, 0.1
_BUSY_QUEUE = 512

log = logger("edge")


class Delivery:
    """Decides; ``Room.want_blocks`` brings it about. ``load`` is where outputs note their passes."""

    def __init__(self, clock: Clock, max_block_steps: int = MAX_BLOCK_STEPS) -> None:
        self.load = EdgeLoad(clock)
        self._headroom = Headroom(max_block_steps)
        self._shedding = Shedding()
        self._wished = 1
        self.sample = Sample()
        self.least_steps = 1
        """How large every room's blocks are at least: the ladder's word (edge/ladder)."""

    @property
    def busy(self) -> bool:
        """Tell whether the last second left this process little room, whatever it was busy with."""
        sample = self.sample
        return sample.cpu_share > _BUSY_CPU or sample.loop_lag_s > _BUSY_LAG_S or sample.accept_queue > _BUSY_QUEUE

    def tick(self, rooms: Sequence[Room], *, connections: int, behind: int, accept_queue: int) -> None:
        """Look at the last second and have each room's blocks follow."""
        here = {room.document.room: room for room in rooms}
        sizes = {name: room.block_steps for name, room in here.items()}
        sample = self.load.sample(
            connections=connections,
            behind=behind,
            block_steps=self._shedding.in_force(sizes),
            accept_queue=accept_queue,
        )
        self.sample = sample
        wish = self._headroom.note(sample)
        if wish.block_steps != self._wished or wish.emergency:
            self._wished = wish.block_steps
            log.info("blocks_wished", block_steps=wish.block_steps, emergency=wish.emergency, because=asdict(sample))
        if wish.emergency:
            EMERGENCIES.inc()
        listeners = {name: room.sent_to() for name, room in here.items()}
        for name, each in self._shedding.share_out(wish, listeners).items():
            wanted = with_word(each, max(self.least_steps, here[name].document.block_steps or 1))
            here[name].want_blocks(wanted.block_steps, emergency=wanted.emergency)
        BLOCK_STEPS.labels("wished").set(wish.block_steps)
        BLOCK_STEPS.labels("largest").set(max(sizes.values(), default=1))
