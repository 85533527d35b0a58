"""The parent of all processes of one machine: starts them in order, watches them, stops them in the other order.

Up: the bus, and once it answers control, archive, origin, edges. Down, on SIGTERM: edges, origin, archive and control,
the bus; each has its grace and then is killed, less than five seconds in all. Whatever kills the parent kills them all.
Anew, when asked to ``roll``: the edges, one after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from stentor.clock import Clock
from stentor.errors import ConfigError
from stentor.supervisor.child import Child, Spec
from stentor.supervisor.merge import merge_metrics
from stentor.supervisor.private import NOT_FOUND, Page, ask, readiness
from stentor.telemetry import METRICS_CONTENT_TYPE, dump_rate_limited, logger, render_metrics

_STARTING_POLL_S = 0.05
_POLL_S = 1.0
_READY_POLL_S = 3.0  # who ends is noticed at once, by its end; this is for those who fall silent
# Between one edge and the next, for the listeners of the one to be back elsewhere (edge/balance, retry_spread_s).
_ROLL_PAUSE_S = 5.0

log = logger("supervisor")


class Supervisor:
    """Runs tiers of processes; what is ``awaited`` in a tier is ready before the next tier starts."""

    def __init__(self, tiers: Sequence[Sequence[Spec]], clock: Clock, run_dir: Path) -> None:
        """``tiers`` in the order up; ``run_dir`` holds the private sockets of children and grandchildren."""
        self._tiers = [[Child(spec, clock) for spec in tier] for tier in tiers]
        self._clock = clock
        self._run_dir = run_dir
        self._stopping = False
        self._roll_asked = asyncio.Event()

    @property
    def children(self) -> list[Child]:
        """Return all children in the order up."""
        return [child for tier in self._tiers for child in tier]

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Run until ``stop`` is set; ``on_ready`` is called once, when every process is ready.

        Raises ConfigError when a process refuses its settings at the start.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks: list[asyncio.Task[None]] = []
                try:
                    for tier in self._tiers:
                        if stop.is_set():
                            break
                        tasks += [group.create_task(child.run()) for child in tier]
                        await self._until_ready([child for child in tier if child.spec.awaited], stop)
                    tasks.append(group.create_task(self._watch(on_ready)))
                    tasks.append(group.create_task(self._rolling(stop)))
                    await stop.wait()
                finally:
                    await self._stop_all()
                for task in tasks:
                    task.cancel()
        except* ConfigError as group_error:
            raise _first(group_error) from None

    async def _until_ready(self, tier: Sequence[Child], stop: asyncio.Event) -> None:
        while not stop.is_set() and await _all_reasons(tier):
            await self._clock.sleep(_STARTING_POLL_S)

    async def _watch(self, on_ready: Callable[[], None]) -> None:
        """Say when the whole is ready, when it no longer is, and when it is again."""
        announced = False
        said: list[str] = []
        while not self._stopping:
            reasons = await self.reasons()
            if not announced and not reasons:
                announced = True
                log.info("ready", processes=len(self.children))
                on_ready()
            elif announced and reasons and not said and not self._stopping:
                log.warning("not_ready", reasons="; ".join(reasons))
            elif announced and said and not reasons:
                log.info("ready_again")
            said = reasons
            for child in self.children:
                child.restart_if_stuck()
            dump_rate_limited()
            await self._clock.sleep((_POLL_S if reasons else _READY_POLL_S) if announced else _STARTING_POLL_S)

    def roll(self) -> None:
        """Have the last tier, the edges, started anew from what is installed now, one after the other.

        The next one goes only when the last one is ready: a version that does not come up costs one edge.
        """
        self._roll_asked.set()

    async def _rolling(self, stop: asyncio.Event) -> None:
        while True:
            await self._roll_asked.wait()
            self._roll_asked.clear()
            edges = self._tiers[-1]
            log.info("roll_started", processes=len(edges))
            for last, child in enumerate(edges, start=1 - len(edges)):
                await self._until_ready(edges, stop)
                if stop.is_set():
                    return
                await child.renew()
                await self._until_ready([child], stop)
                if last:
                    await self._clock.sleep(_ROLL_PAUSE_S)
            log.info("roll_done", processes=len(edges))

    async def _stop_all(self) -> None:
        self._stopping = True
        for tier in reversed(self._tiers):
            async with asyncio.TaskGroup() as group:
                for child in tier:
                    group.create_task(child.stop())
        log.info("stopped")

    def kill(self) -> None:
        """Kill every process now: whoever asks twice does not want to wait."""
        for child in self.children:
            child.kill()

    async def reasons(self) -> list[str]:
        """Return why the whole is not ready, each reason with its process."""
        if self._stopping:
            return ["it is stopping"]
        return await _all_reasons(self.children)

    async def answer(self, path: str) -> Page:
        """Answer on the private port for all processes."""
        if path == "/healthz":
            return Page(200, "text/plain", b"ok\n")
        if path == "/readyz":
            return readiness(await self.reasons())
        if path == "/metrics":
            return Page(200, METRICS_CONTENT_TYPE, await self._metrics())
        return NOT_FOUND

    async def _metrics(self) -> bytes:
        sockets = await asyncio.to_thread(_sockets, self._run_dir)
        pages = dict.fromkeys(sockets, b"")

        async def read(name: str) -> None:
            try:
                status, body = await ask(sockets[name], "/metrics")
            except (OSError, ValueError):
                return  # just started, or gone: /readyz says so
            if status == 200:
                pages[name] = body

        async with asyncio.TaskGroup() as group:
            for name in sockets:
                group.create_task(read(name))
        return merge_metrics({"supervisor": render_metrics(), **pages})


def _sockets(run_dir: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(run_dir.glob("*.sock"))}


async def _all_reasons(children: Sequence[Child]) -> list[str]:
    found: list[list[str]] = [[] for _ in children]

    async def look(index: int, reasons: Awaitable[list[str]]) -> None:
        found[index] = await reasons

    async with asyncio.TaskGroup() as group:
        for index, child in enumerate(children):
            group.create_task(look(index, child.reasons()))
    return [
        f"{child.spec.name}: {reason}" for child, reasons in zip(children, found, strict=True) for reason in reasons
    ]


def _first(group: BaseExceptionGroup[ConfigError]) -> ConfigError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConfigError)  # noqa: S101 - except* lets nothing else in
    return error
