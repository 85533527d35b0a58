"""The coordinator: calls the workers, says when, and watches a rehearsal through its phases."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from stentor.clock import NS_PER_S, Clock, UnixNs
from stentor.errors import StentorError, Unavailable
from stentor.rehearsal.orders import Machine, Order, Report, Verb
from stentor.rehearsal.permission import get
from stentor.rehearsal.plan import Plan
from stentor.rehearsal.timeline import Timeline

_CALL_S = 20.0
_LEAD_S = 2.0
_LOST_S = 6.0
_SETTLED_S = 15.0
_BACK_LIMIT_S = 60.0
_AFTER_BACK_S = 5.0
_ASK_S = 2.0
_BEAT_S = 0.25
_LAST_WORD_S = 10.0


class Phase(StrEnum):
    """What is going on."""

    CALLING = "calling the workers"
    WAITING = "waiting for the time"
    ARRIVAL = "arrival"
    HOLD = "hold"
    RETURN = "everybody cut at once"
    LEAVING = "leaving"


class Crew(Protocol):
    """The way to workers: pipes to processes on this machine, or the bus."""

    async def tell(self, order: Order) -> None:
        """Tell an order; nobody waits for an answer."""
        ...


@dataclass
class Course:
    """How a rehearsal went. Times in Unix seconds.

    ``lost``: workers that fell silent. ``state`` is what state.json said of the audience while it went on: (second,
    listeners of the audience, listeners of the rehearsal as the edges count them).
    """

    plan: Plan
    timeline: Timeline = field(default_factory=Timeline)
    phases: list[tuple[Phase, float]] = field(default_factory=list)
    machines: dict[str, Machine] = field(default_factory=dict)
    workers: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    state: list[tuple[float, int, int]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def phase(self) -> Phase:
        """Return the present phase."""
        return self.phases[-1][0] if self.phases else Phase.CALLING

    def begun(self, phase: Phase) -> float | None:
        """Return when a phase began, if it did."""
        return next((at for each, at in self.phases if each is phase), None)


class Coordinator:
    """Runs one rehearsal. ``interrupt`` ends it early and cleanly: everybody leaves, and there is a verdict."""

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        crews: list[Crew],
        *,
        expected: int,
        gather_s: float = 0.0,
        ask: Callable[[Plan, str], tuple[int, bytes]] = get,
    ) -> None:
        """``expected`` workers are waited for; more are taken that answer within ``gather_s``.

        ``ask`` fetches a path from the target and may block; it runs in a thread.
        """
        self.course = Course(plan)
        self._plan = plan
        self._clock = clock
        self._crews = crews
        self._expected = expected
        self._gather_s = gather_s
        self._most = plan.listeners
        self._ask = ask
        self._heard_ns: dict[str, int] = {}
        self._interrupted = asyncio.Event()
        self._done: set[str] = set()

    def interrupt(self) -> None:
        """End it."""
        self.course.interrupted = True
        self._interrupted.set()

    def take(self, report: Report) -> None:
        """Take what a worker says."""
        self._heard_ns[report.worker] = self._clock.monotonic_ns()
        self.course.machines[report.worker] = report.machine
        if not self.course.workers or report.worker in self.course.workers:
            self.course.timeline.take(report)
        if report.last:
            self._done.add(report.worker)

    async def run(self, at: UnixNs | None = None, *, cap: int | None = None) -> Course:
        """Go through all phases. Raises Unavailable where no workers come.

        ``at``: when the first listener comes. ``cap``: how many the door lets in at most, if that is known: once so
        many play, nobody else is waited for.
        """
        self._most = self._plan.listeners if cap is None else min(cap, self._plan.listeners)
        self._enter(Phase.CALLING)
        await self._call()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            try:
                await self._phases(at)
            finally:
                watching.cancel()
        await self._leave()
        return self.course

    async def _phases(self, at: UnixNs | None) -> None:
        begin_ns = max(at or 0, self._clock.wall_ns() + int(_LEAD_S * NS_PER_S))
        self._enter(Phase.WAITING)
        of = len(self.course.workers)
        for number, worker in enumerate(self.course.workers):
            share = self._plan.share(number, of)
            await self._tell(Order(verb=Verb.GO, worker=worker, plan=share, at_ns=begin_ns))
        await self._until(lambda: self._clock.wall_ns() >= begin_ns)
        self._enter(Phase.ARRIVAL)
        await self._until(self._is_settled())
        self._enter(Phase.HOLD)
        await self._for(self._plan.hold_s)
        if self._plan.reconnect and not self._interrupted.is_set():
            self._enter(Phase.RETURN)
            await self._tell(Order(verb=Verb.CUT))
            await self._for(2.0)
            await self._until(self._is_back(), _BACK_LIMIT_S)
            await self._for(_AFTER_BACK_S)

    async def _call(self) -> None:
        """Call until as many workers have answered as are expected."""
        begun_ns = self._clock.monotonic_ns()
        while not self._interrupted.is_set():
            passed_s = (self._clock.monotonic_ns() - begun_ns) / NS_PER_S
            if len(self._heard_ns) >= self._expected and passed_s >= self._gather_s:
                break
            if passed_s > _CALL_S:
                raise Unavailable(
                    f"Of {self._expected} workers {len(self._heard_ns)} answered within {_CALL_S:g} s. Start them with "
                    "`stentor rehearse-worker`, or ask for fewer."
                )
            await self._tell(Order(verb=Verb.CALL))
            await self._clock.sleep(_BEAT_S)
        self.course.workers = sorted(self._heard_ns)

    def _is_settled(self) -> Callable[[], bool]:
        """Return what tells that all who get in are in: everybody plays, or nobody new does for a while."""
        best, since_ns = -1.0, self._clock.monotonic_ns()

        def settled() -> bool:
            nonlocal best, since_ns
            total = self.course.timeline.total()
            if total.sums["arrived"] >= self._plan.listeners and total.gauges["playing"] >= self._most:
                return True
            now = self._clock.monotonic_ns()
            progress = total.sums["arrived"] + total.sums["admitted"] + total.sums["played"]
            if progress > best:
                best, since_ns = progress, now
            return bool(total.sums["arrived"] and now - since_ns > _SETTLED_S * NS_PER_S)

        return settled

    def _is_back(self) -> Callable[[], bool]:
        def back() -> bool:
            sums = self.course.timeline.total().sums
            return bool(sums["came_back"] >= sums["cut"])

        return back

    async def _leave(self) -> None:
        self._enter(Phase.LEAVING)
        await self._tell(Order(verb=Verb.STOP))
        end_ns = self._clock.monotonic_ns() + int(_LAST_WORD_S * NS_PER_S)
        living = set(self.course.workers) - set(self.course.lost)
        while not living <= self._done and self._clock.monotonic_ns() < end_ns:
            await self._clock.sleep(_BEAT_S / 5)
        self.course.lost += sorted(living - self._done)

    # Meanwhile.

    async def _watch(self) -> None:
        """Note workers that fall silent, and what the edges say of the audience."""
        asked_ns = 0
        while True:
            now = self._clock.monotonic_ns()
            for worker in self.course.workers:
                if worker not in self.course.lost and now - self._heard_ns[worker] > _LOST_S * NS_PER_S:
                    self.course.lost.append(worker)
            if set(self.course.lost) >= set(self.course.workers):
                self._interrupted.set()
            if now - asked_ns > _ASK_S * NS_PER_S:
                asked_ns = now
                await self._ask_state()
            await self._clock.sleep(_BEAT_S)

    async def _ask_state(self) -> None:
        try:
            status, body = await asyncio.to_thread(self._ask, self._plan, f"/r/{self._plan.room}/state.json")
            audience = json.loads(body)["audience"] if status == 200 else {}
        except (StentorError, ValueError, KeyError):
            return
        if isinstance(audience, dict):
            at = self._clock.wall_ns() / NS_PER_S
            self.course.state.append((at, int(audience.get("listeners", 0)), int(audience.get("rehearsal", 0))))

    def _enter(self, phase: Phase) -> None:
        self.course.phases.append((phase, self._clock.wall_ns() / NS_PER_S))

    async def _tell(self, order: Order) -> None:
        for crew in self._crews:
            await crew.tell(order)

    async def _for(self, seconds: float) -> None:
        end_ns = self._clock.monotonic_ns() + int(seconds * NS_PER_S)
        await self._until(lambda: self._clock.monotonic_ns() >= end_ns)

    async def _until(self, reached: Callable[[], bool], limit_s: float = 86_400.0) -> None:
        end_ns = self._clock.monotonic_ns() + int(limit_s * NS_PER_S)
        while not reached() and not self._interrupted.is_set() and self._clock.monotonic_ns() < end_ns:
            await self._clock.sleep(_BEAT_S)
