"""How large the blocks should be: an edge that runs out of time gives up latency, not listeners.

A send costs the same whatever its size (docs/performance.md), so blocks of twice as many steps halve what sending
costs. ``Headroom`` looks at one ``Sample`` a second and says how large the blocks should be; ``cadence`` brings it
about. ``Shedding`` picks the rooms that pay for it, so that one room's crowd leaves the others alone. Both are pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stentor.edge.cadence import BLOCKS, MAX_BLOCK_STEPS
from stentor.media.grid import SAMPLE_RATE_HZ, STEP_SAMPLES

STEP_S = STEP_SAMPLES / SAMPLE_RATE_HZ

_WORTH = 0.05
"""Where sending takes less of a step, larger blocks would help nobody: what is short is taken by something else."""
_REACT = 3
"""Busy samples, less calm ones, until blocks grow."""
_SETTLE = 2
"""Samples that still show the time before a change."""
_LEAD_S = 4
"""A player slowed down to 0.94 takes this long to put one more step aside (0.24 s / 0.06)."""
_CALM, _CALM_MAX = 30, 480
"""Calm samples in a row until blocks shrink: at first, and after shrinking was wrong again and again."""
_SOON = 60
"""Growing within so many samples after shrinking says that shrinking was wrong."""
_TRUST = 600
"""So many samples without growing say that it was right."""
_COVER = 0.75
"""The largest rooms that have this share of an edge's listeners together shed latency."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of an edge's process.

    ``loop_lag_s``: by how much its own timers were late, 95th percentile. ``pass_share``: what it takes to send one
    step's blocks, in steps: above 1 it cannot keep up. ``behind_share``: of the connections, those whose client has not
    read all it was sent. ``cpu_share``: of one core. ``accept_queue``: connections that wait to be accepted.
    ``block_steps``: what is in force in the rooms that the wish is for (``Shedding.in_force``).
    """

    loop_lag_s: float = 0.0
    pass_share: float = 0.0
    behind_share: float = 0.0
    cpu_share: float = 0.0
    accept_queue: int = 0
    block_steps: int = 1


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a sample may not exceed."""

    loop_lag_s: float
    pass_share: float
    behind_share: float
    cpu_share: float
    accept_queue: int

    def hold(self, sample: Sample) -> bool:
        """Tell whether every value is within its limit."""
        return (
            sample.loop_lag_s <= self.loop_lag_s
            and sample.pass_share <= self.pass_share
            and sample.behind_share <= self.behind_share
            and sample.cpu_share <= self.cpu_share
            and sample.accept_queue <= self.accept_queue
        )


_BUSY = _Limits(loop_lag_s=STEP_S / 2, pass_share=0.6, behind_share=0.25, cpu_share=0.85, accept_queue=1_024)
_CALM_AFTER = _Limits(loop_lag_s=STEP_S / 3, pass_share=0.4, behind_share=0.1, cpu_share=0.65, accept_queue=128)
"""What must be expected with blocks of half the size. The distance to ``_BUSY`` is for noise."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Blocks of so many steps; ``emergency``: at once, at the price of a stall, as nothing else can be kept up."""

    block_steps: int = 1
    emergency: bool = False


class Headroom:
    """Chooses among blocks of 1, 2, 4, 8 and 16 steps.

    Blocks double after 3 busy samples in which sending had its share, and again only once that is in force and was
    not enough. They halve after 30 samples in which twice the sends would have fitted; each time that proves wrong
    within a minute, twice as many are asked for. They grow to ``most`` steps.
    """

    def __init__(self, most: int = MAX_BLOCK_STEPS) -> None:
        self._most = most
        self._steps = 1
        self._pressure = 0
        self._calm = 0
        self._calm_needed = _CALM
        self._wait = 0
        self._since_shrinking = _TRUST

    def note(self, sample: Sample) -> Wish:
        """Take the next second's sample; return what is wished for now."""
        self._since_shrinking += 1
        if self._since_shrinking == _TRUST:
            self._calm_needed = _CALM
        pending = sample.block_steps < self._steps
        if self._wait:
            self._wait = self._wait - 1 if pending else min(self._wait - 1, _SETTLE - 1)
        if sample.pass_share > 1.0 and (pending or not self._wait):
            return self._save(pending=pending)
        if self._wait:
            return Wish(self._steps)
        busy = sample.pass_share >= _WORTH and not _BUSY.hold(sample)
        self._pressure = self._pressure + 1 if busy else max(0, self._pressure - 1)
        self._calm = self._calm + 1 if _CALM_AFTER.hold(_halved(sample)) else 0
        if self._pressure >= _REACT:
            self._grow()
        elif self._calm >= self._calm_needed and self._steps > 1:
            self._shrink()
        return Wish(self._steps)

    def _save(self, *, pending: bool) -> Wish:
        """Have what was wished for before at once, or else twice as much."""
        grown = pending or self._grow()
        self._wait = _SETTLE
        return Wish(self._steps, emergency=grown)

    def _grow(self) -> bool:
        """Double; return False when blocks are as large as they get."""
        self._pressure = self._calm = 0
        if self._steps * 2 > self._most:
            return False
        if self._since_shrinking < _SOON:
            self._calm_needed = min(self._calm_needed * 2, _CALM_MAX)
        self._wait = self._steps * _LEAD_S + 2 * _SETTLE
        self._steps *= 2
        return True

    def _shrink(self) -> None:
        self._pressure = self._calm = self._since_shrinking = 0
        self._steps //= 2
        self._wait = _SETTLE


def _halved(sample: Sample) -> Sample:
    """Return what to expect of the same crowd with blocks of half the size: twice the sends."""
    return Sample(
        loop_lag_s=sample.loop_lag_s + sample.pass_share * STEP_S,
        pass_share=sample.pass_share * 2,
        behind_share=sample.behind_share,
        cpu_share=sample.cpu_share + sample.pass_share,
        accept_queue=sample.accept_queue,
    )


class Shedding:
    """Which rooms get the larger blocks: those with most of the listeners, and the same ones until all is well."""

    def __init__(self) -> None:
        self._rooms: frozenset[str] = frozenset()
        self._steps = 1

    def share_out(self, wish: Wish, listeners: Mapping[str, int]) -> dict[str, Wish]:
        """Return each room's wish; ``listeners`` is how many of push each has here.

        Rooms are chosen when blocks grow, never in between: how large a room is must not make its blocks flap.
        """
        if wish.block_steps == 1:
            self._rooms = frozenset()
        elif wish.block_steps > self._steps or wish.emergency:
            self._rooms |= _largest(listeners)
        self._steps = wish.block_steps
        return {room: wish if room in self._rooms else Wish() for room in listeners}

    def in_force(self, block_steps: Mapping[str, int]) -> int:
        """Return the smallest blocks that a chosen room still gets; ``block_steps`` is each room's now."""
        return min((steps for room, steps in block_steps.items() if room in self._rooms), default=self._steps)


def _largest(listeners: Mapping[str, int]) -> frozenset[str]:
    """Return the fewest rooms that have three quarters of the listeners together."""
    wanted = _COVER * sum(listeners.values())
    chosen: list[str] = []
    covered = 0
    for room, count in sorted(listeners.items(), key=lambda each: (-each[1], each[0])):
        if covered >= wanted:
            break
        chosen.append(room)
        covered += count
    return frozenset(chosen)


def with_word(wish: Wish, word: int | None) -> Wish:
    """Return a room's wish with the operator's word on it (``RoomDocument.block_steps``), which is a least size.

    A word that is none of our sizes counts as the next larger one.
    """
    least = next((steps for steps in BLOCKS if steps >= (word or 1)), MAX_BLOCK_STEPS)
    return wish if wish.block_steps >= least else Wish(least)
