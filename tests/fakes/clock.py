"""Virtual time: the face of ``stentor.clock.Clock``, moved by the test alone; the same order every run."""

import asyncio
import heapq
from collections.abc import Callable

from stentor.clock import NS_PER_S, MonotonicNs, UnixNs

# 2027-01-15T08:00:00Z, which is a multiple of 1.92 s.
START_NS = UnixNs(1_800_000_000 * NS_PER_S)
_MAX_ROUNDS = 100_000


async def settle() -> None:
    """Return when everything that can run without time passing has run (asyncio's own loop only)."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(_MAX_ROUNDS):
        await asyncio.sleep(0)
        if not ready:
            return
    raise AssertionError("some task never rests: it yields to the event loop for ever")


class VirtualClock:
    """A clock that stands still until ``advance``.

    Sleepers wake in the order of their deadlines (then of their calls), and each gets to run everything it can
    before the next one wakes: an hour of room takes milliseconds.
    """

    def __init__(self, wall_ns: int = START_NS) -> None:
        self._now = 0
        self._wall_offset = wall_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def wall_ns(self) -> UnixNs:
        return UnixNs(self._wall_offset + self._now)

    def monotonic_ns(self) -> MonotonicNs:
        return MonotonicNs(self._now)

    async def sleep_until(self, deadline: MonotonicNs) -> None:
        if deadline <= self._now:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (deadline, self._count, future))
        await future

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(MonotonicNs(self._now + round(seconds * NS_PER_S)))

    @property
    def sleepers(self) -> int:
        """Return how many tasks sleep."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; monotonic time does not notice."""
        self._wall_offset += round(seconds * NS_PER_S)

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        target = self._now + round(seconds * NS_PER_S)
        await settle()
        while self._wake_next(target):
            await settle()
        self._now = target
        await settle()

    async def leap(self, seconds: float) -> None:
        """Let ``seconds`` pass at once, as for a machine that was asleep: who sleeps wakes once, and late."""
        self._now += round(seconds * NS_PER_S)
        await self.advance(0)

    async def advance_until(self, reached: Callable[[], bool], *, limit_s: float, why_not: str = "") -> None:
        """Let time pass, one wake-up after the other, until ``reached()``; fail after ``limit_s``."""
        target = self._now + round(limit_s * NS_PER_S)
        await settle()
        while not reached():
            if not self._wake_next(target):
                raise AssertionError(f"not reached within {limit_s} s of virtual time: {why_not or reached}")
            await settle()

    def _wake_next(self, target: int) -> bool:
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, deadline)
                future.set_result(None)
                return True
        return False
