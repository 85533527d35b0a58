"""A worker: a process that is a share of the crowd."""

import asyncio
import os
import platform
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from stentor.clock import NS_PER_S, Clock
from stentor.rehearsal.engine import Engine, Target, resolve
from stentor.rehearsal.hls import HlsPlayer
from stentor.rehearsal.listener import Crowd, Listener
from stentor.rehearsal.orders import Machine, Order, Report, Verb
from stentor.rehearsal.permission import context_of, require_permission
from stentor.rehearsal.plan import Plan, place_of
from stentor.rehearsal.push import PushPlayer
from stentor.rehearsal.tally import Tally

Tell = Callable[[Report], Awaitable[None]]

_LEAVE_S = 0.3


def machine() -> Machine:
    """Return what this process runs on."""
    return Machine(
        name=platform.node(),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


class Worker:
    """Takes orders (``order``), tells how it goes each second, and ends (``run`` returns) when it is told to stop."""

    def __init__(self, name: str, clock: Clock, tell: Tell) -> None:
        self.name = name
        self._clock = clock
        self._tell = tell
        self._tally = Tally()
        self._engine: Engine | None = None
        self._crowd: Crowd | None = None
        self._listeners: list[Listener] = []
        self._stopping = asyncio.Event()
        self._called = asyncio.Event()
        self._go: tuple[Plan, int] | None = None
        self._went = asyncio.Event()
        self._machine = machine()

    def order(self, order: Order) -> None:
        """Take an order."""
        if order.worker not in ("", self.name):
            return
        match order.verb:
            case Verb.CALL:
                self._called.set()
            case Verb.GO if order.plan is not None and self._go is None:
                self._go = (order.plan, order.at_ns)
                self._went.set()
            case Verb.GO:
                pass
            case Verb.CUT:
                self._cut()
            case Verb.STOP:
                self._stopping.set()

    def end(self) -> None:
        """Stop: the coordinator has gone."""
        self._stopping.set()

    async def run(self) -> None:
        """Wait to be called, come, and tell, until told to stop.

        Raises OSError where the target's name is not known, and Forbidden where it does not let this in.
        """
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(self._stopping.wait())
            work = [group.create_task(self._work()), group.create_task(self._report())]
            await stopped
            for task in work:
                task.cancel()
        await self._leave()

    async def _work(self) -> None:
        await self._went.wait()
        assert self._go is not None  # noqa: S101 - set before the event
        plan, at_ns = self._go
        host, port, secure = place_of(plan.url)
        await asyncio.to_thread(require_permission, plan)
        addresses = await asyncio.to_thread(resolve, host, port)
        target = Target(host, port, addresses, context_of(plan) if secure else None, plan.sources)
        self._engine = engine = Engine(self._clock, asyncio.get_running_loop(), target)
        self._tally.spreads["late_ms"] = engine.late_ms
        self._crowd = crowd = Crowd(plan, engine, self._tally, Random())  # noqa: S311 - spreads load, keeps no secret
        begin_ns = engine.now() + max(0, at_ns - self._clock.wall_ns())
        for number in range(plan.listeners):
            is_push = int((number + 1) * plan.push_share) > int(number * plan.push_share)
            listener = Listener(crowd, PushPlayer if is_push else HlsPlayer)
            self._listeners.append(listener)
            engine.at(begin_ns + int(number / plan.per_second * NS_PER_S), listener.come)
        await engine.run()

    def _cut(self) -> None:
        for listener in self._listeners:
            listener.cut()

    async def _report(self) -> None:
        await self._called.wait()
        used_s = _cpu_s()
        at_ns = self._clock.monotonic_ns()
        while True:
            wall_s = self._clock.wall_ns() // NS_PER_S
            await self._tell(self._said(wall_s, 0.0 if at_ns == 0 else _share(used_s, at_ns, self._clock)))
            used_s, at_ns = _cpu_s(), self._clock.monotonic_ns()
            await self._clock.sleep(1.0 - self._clock.wall_ns() % NS_PER_S / NS_PER_S + 0.001)

    def _said(self, wall_s: int, cpu: float, *, last: bool = False) -> Report:
        engine = self._engine
        for listener in self._listeners:
            listener.look()
        self._tally.gauges["wires"] = engine.open_wires if engine else 0
        self._tally.sums["bytes"] = engine.received_bytes if engine else 0
        return Report(
            worker=self.name,
            wall_s=wall_s,
            machine=self._machine,
            counts=self._tally.counts(),
            cpu=round(cpu, 3),
            refused=engine.refused if engine else 0,
            last=last,
        )

    async def _leave(self) -> None:
        if self._crowd is not None and self._engine is not None:
            self._crowd.over = True
            said = self._said(self._clock.wall_ns() // NS_PER_S, 0.0, last=True)
            for listener in self._listeners:
                listener.leave()
            self._engine.close()
        else:
            said = self._said(self._clock.wall_ns() // NS_PER_S, 0.0, last=True)
        await self._tell(said)
        await self._clock.sleep(_LEAVE_S)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _share(used_s: float, at_ns: int, clock: Clock) -> float:
    passed_s = (clock.monotonic_ns() - at_ns) / NS_PER_S
    return (_cpu_s() - used_s) / passed_s if passed_s > 0.01 else 0.0
