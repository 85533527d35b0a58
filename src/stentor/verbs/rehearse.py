"""``stentor rehearse``: a crowd through the public doors, and a verdict (docs/rehearsal.md)."""

import asyncio
import json
import os
import resource
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from stentor.app import bus_alone
from stentor.clock import NS_PER_S, Clock, SystemClock, UnixNs
from stentor.config import Settings
from stentor.demo.staff_api import StaffApi
from stentor.errors import ConfigError, StentorError
from stentor.rehearsal.coordinator import Coordinator, Course, Crew
from stentor.rehearsal.crews import OverBus, Processes, work_on_bus, work_on_pipes
from stentor.rehearsal.page import page
from stentor.rehearsal.permission import require_permission
from stentor.rehearsal.plan import Plan, place_of
from stentor.rehearsal.progress import show
from stentor.rehearsal.verdict import Configuration, Outcome, Verdict, judge
from stentor.supervisor.spawn import spawn, stentor_command
from stentor.verbs.operator import operator_api

_OWN_DESCRIPTORS = 256
_SOCKETS_EACH = 1.3
"""Sockets a listener: one, and for a moment another for a beacon or while it comes."""
_MARGIN_MINUTES = 30
_WAIT_S = 600.0
_GATHER_S = 5.0


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line."""

    room: str
    listeners: int
    per_second: float
    at: datetime | None = None
    hold_s: float = 120.0
    push_share: float = 0.9
    url: str = ""
    permit: str = ""
    processes: int = 0
    workers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    authority: Path | None = None
    report: Path = Path()
    browses: bool = True


async def rehearse(settings: Settings, asked: Asked, *, confirm: bool = False) -> int:
    """Rehearse; return 0 when every objective was met, else 1. Raises StentorError where it may not begin."""
    console = Console(soft_wrap=True)
    clock = SystemClock()
    api = None if asked.permit else await operator_api(settings)
    url = (asked.url or (api.audience_url if api else settings.public_url)).rstrip("/")
    place_of(url)
    at = UnixNs(int(asked.at.timestamp() * NS_PER_S)) if asked.at else None
    processes = _processes(asked)
    if confirm and not _agreed(console, asked, url):
        return 1
    permit_id, token = await _permit(api, asked, clock, at)
    plan = Plan(
        id=secrets.token_hex(4),
        url=url,
        room=asked.room,
        listeners=asked.listeners,
        per_second=asked.per_second,
        hold_s=asked.hold_s,
        push_share=asked.push_share,
        browses=asked.browses,
        permit=token,
        authority=_authority(settings, asked),
        sources=asked.sources,
    )
    try:
        await _until_accepted(plan, clock, at)
        before = await _configuration(api, asked.room)
        course = await _run(
            settings, plan, clock, console, processes=processes, before=before, workers=asked.workers, at=at
        )
        verdict = judge(course, before, await _configuration_after(api, asked.room))
        await _keep(api, asked, verdict, console)
    finally:
        if api is not None:
            with suppress(StentorError):  # it runs out by itself
                await api.call("DELETE", f"/rooms/{asked.room}/permits/{permit_id}")
    _print(console, verdict)
    return 0 if verdict.outcome is Outcome.MET else 1


# Before


def _processes(asked: Asked) -> int:
    """Return how many workers this machine runs; raises ConfigError where it cannot have enough sockets."""
    if asked.workers and not asked.processes:
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = -(-int(asked.listeners * _SOCKETS_EACH) // max(1, most - _OWN_DESCRIPTORS))
    number = asked.processes or max(needed, len(os.sched_getaffinity(0)))
    if number > 64:
        raise ConfigError(
            f"{asked.listeners:,} listeners need {needed} processes of {most:,} sockets each here. Raise the limit of "
            "open files (ulimit -n), or let other machines help: --workers."
        )
    return min(number, asked.listeners)


def _agreed(console: Console, asked: Asked, url: str) -> bool:
    console.print(
        f"{asked.listeners:,} listeners will come to {url}/r/{asked.room}, {asked.per_second:g} a second, "
        f"stay for {asked.hold_s:g} s, and be cut all at once. "
        "They take places, sockets and bandwidth that listeners would have."
    )
    return console.input("Begin? [y/N] ").strip().lower() in ("y", "yes")


async def _permit(api: StaffApi | None, asked: Asked, clock: Clock, at: UnixNs | None) -> tuple[str, str]:
    if api is None:
        return "", asked.permit
    ahead_s = max(0.0, ((at or 0) - clock.wall_ns()) / NS_PER_S)
    lasts_s = ahead_s + asked.listeners / asked.per_second + asked.hold_s + _WAIT_S
    body: dict[str, object] = {
        "listeners": asked.listeners,
        "per_second": asked.per_second,
        "minutes": min(24 * 60, int(lasts_s / 60) + _MARGIN_MINUTES),
        "networks": list(asked.networks),
    }
    given = await api.call("POST", f"/rooms/{asked.room}/permits", body)
    return str(given["permit"]), str(given["token"])


async def _until_accepted(plan: Plan, clock: Clock, at: UnixNs | None) -> None:
    """Ask whether the target accepts the permit; edges hear of a new one within a second."""
    for left in range(20 if at is None else 40, -1, -1):
        try:
            await asyncio.to_thread(require_permission, plan)
        except StentorError as error:
            if not left or error.kind not in ("permit-refused", "unavailable"):
                raise
            await clock.sleep(0.25)
        else:
            return


def _authority(settings: Settings, asked: Asked) -> str:
    file = asked.authority or (settings.tls_cert if not asked.url else None)
    try:
        return file.read_text() if file else ""
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}): give a PEM file with --authority.") from error


async def _configuration(api: StaffApi | None, room: str) -> Configuration | None:
    return None if api is None else Configuration.model_validate(await api.call("GET", f"/rooms/{room}/configuration"))


async def _configuration_after(api: StaffApi | None, room: str) -> Configuration | None:
    """Return the same once more; None where control does not answer: there is a verdict all the same."""
    try:
        return await _configuration(api, room)
    except StentorError:
        return None


# Meanwhile


async def _run(  # noqa: PLR0913 - what a run takes
    settings: Settings,
    plan: Plan,
    clock: Clock,
    console: Console,
    *,
    processes: int,
    before: Configuration | None,
    workers: tuple[str, ...],
    at: UnixNs | None,
) -> Course:
    async with AsyncExitStack() as stack:
        crews: list[Crew] = []
        gather_s = _GATHER_S if workers else 0.0
        expected = processes + bool(workers)
        coordinator = Coordinator(plan, clock, crews, expected=expected, gather_s=gather_s)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, coordinator.interrupt)
            stack.callback(loop.remove_signal_handler, number)
        if processes:
            names = [f"{os.uname().nodename}-{number + 1}" for number in range(processes)]
            crews.append(await stack.enter_async_context(_local(names, coordinator)))
        if workers:
            joined = settings.model_copy(update={"nats_url": ",".join(workers)})
            bus = await stack.enter_async_context(bus_alone(joined, "rehearsal"))
            over = OverBus(bus, plan.id, coordinator.take)
            await stack.enter_async_context(over.listening())
            crews.append(over)
        async with asyncio.TaskGroup() as group:
            showing = group.create_task(show(coordinator.course, clock, console))
            try:
                return await coordinator.run(at, cap=before.dials.cap if before else None)
            finally:
                showing.cancel()


@asynccontextmanager
async def _local(names: list[str], coordinator: Coordinator) -> AsyncIterator[Processes]:
    async def start(name: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        environment = {"STENTOR_LOG_LEVEL": "error"}
        command = stentor_command("rehearse-worker", "--pipes", "--name", name)
        return await spawn(command, environment, stdin=pipe, stdout=pipe)

    crew = Processes(coordinator.take)
    async with crew.running(names, start):
        yield crew


async def worker(settings: Settings, name: str, *, pipes: bool) -> None:
    """Be a worker: on pipes, or for whichever rehearsal calls first on the bus."""
    clock = SystemClock()
    if pipes:
        await work_on_pipes(name, clock)
        return
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with bus_alone(settings, "rehearsal") as bus:
        await work_on_bus(name or f"{os.uname().nodename}-{os.getpid()}", clock, bus, stop)


# After


async def _keep(api: StaffApi | None, asked: Asked, verdict: Verdict, console: Console) -> None:
    """Write the report, and have control keep the verdict for the room's page."""
    date = datetime.fromisoformat(verdict.begun_at)
    asked.report.mkdir(parents=True, exist_ok=True)
    name = f"rehearsal-{asked.room}-{date:%Y%m%d-%H%M%S}"
    (asked.report / f"{name}.json").write_text(json.dumps(verdict.model_dump(mode="json"), indent=1))
    (asked.report / f"{name}.html").write_text(page(verdict))
    console.print(f"The verdict: {asked.report / name}.html and .json")
    if api is not None:
        told = verdict.model_dump(mode="json", exclude={"series", "curves", "counts", "machines"})
        try:
            await api.call("POST", f"/rooms/{asked.room}/rehearsals", cast("dict[str, object]", told))
        except StentorError as error:
            console.print(f"It could not be kept for the room's page: {error.detail}")


def _print(console: Console, verdict: Verdict) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("figure", "value", "objective", ""):
        table.add_column(heading, justify="right" if heading in ("value", "objective") else "left")
    for each in verdict.findings:
        limit = f"≤ {each.at_most:g}" if each.at_most is not None else ""
        limit = f"≥ {each.at_least:g}" if each.at_least is not None else limit
        value = "—" if each.value is None else f"{each.value:,.4g} {each.unit}"
        table.add_row(each.what, value, limit, {True: "met", False: "MISSED", None: ""}[each.met])
    console.print(table)
    for limit in verdict.limits:
        console.print(f"  {limit}", style="dim")
    console.print(f"{verdict.outcome.upper()}: {verdict.summary}", style="bold", highlight=False)
