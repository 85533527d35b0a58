"""The only wiring: each role's drivers and parts, joined. What is joined here knows nothing of the rest.

Imports of drivers stand in the functions, so that an edge never loads a codec and the supervisor never loads a
database. ``running_process`` is what all roles have in common.
"""

import asyncio
import gc
import hashlib
import itertools
import os
import secrets
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stentor.clock import Clock, SystemClock
from stentor.config import Settings
from stentor.errors import BusUnavailable, StentorError
from stentor.supervisor.machine import PROCESS_VARIABLE, socket_dir
from stentor.supervisor.private import SOCKET_VARIABLE, Health, private_endpoint
from stentor.telemetry import dump_rate_limited, logger

if TYPE_CHECKING:
    from stentor.bus.nats import NatsBus
    from stentor.bus.port import Bus
    from stentor.bus.upstream import UpstreamBus
    from stentor.control.server import Control
    from stentor.replay.replay import Replay
    from stentor.replay.upstream import UpstreamReplay

WEB_DIST = Path(__file__).parent / "web" / "dist"
_RETRY_S = 1.0

log = logger("app")


@dataclass(frozen=True, slots=True)
class Process:
    """What a role is given: its name, clock, bus, health, and when to stop."""

    name: str
    clock: Clock
    bus: "Bus"
    health: Health
    stop: asyncio.Event

    async def until_stopped(self, work: Awaitable[None]) -> None:
        """Run ``work`` until it ends by itself or the process is asked to stop; then it is cancelled."""

        async def working() -> None:
            await work
            self.stop.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(working())
            self.health.starting = False
            await self.stop.wait()
            task.cancel()


@asynccontextmanager
async def running_process(settings: Settings, role: str) -> AsyncIterator[Process]:
    """Give a role its bus and its private endpoint; SIGTERM and SIGINT set ``stop``.

    While the bus is away at the start the process waits for it, alive and not ready.
    """
    clock = SystemClock()
    name = os.environ.get(PROCESS_VARIABLE, role)
    socket = os.environ.get(SOCKET_VARIABLE)
    health, stop = Health(), asyncio.Event()
    _stop_on_signals(stop, health)
    endpoint = private_endpoint(
        health.answer, path=Path(socket) if socket else None, host=settings.private_host, port=settings.private_port
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(endpoint)
        ticker = await stack.enter_async_context(asyncio.TaskGroup())
        beat = ticker.create_task(_every_second(clock))
        stack.callback(beat.cancel)
        below = role == "edge" and settings.upstream
        opening = _upstream(settings, clock, name, health) if below else _bus(settings, clock, role, name, health)
        bus: Bus = await stack.enter_async_context(opening)
        yield Process(name, clock, bus, health, stop)
        health.starting = True


def _stop_on_signals(stop: asyncio.Event, health: Health) -> None:
    """Set ``stop`` at SIGTERM or SIGINT; a process that still starts is cancelled instead."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()

    def asked() -> None:
        if health.starting and not stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)


async def _every_second(clock: Clock) -> None:
    while True:
        await clock.sleep(1.0)
        dump_rate_limited()


@asynccontextmanager
async def _bus(settings: Settings, clock: Clock, role: str, name: str, health: Health) -> AsyncIterator["NatsBus"]:
    from stentor.bus.nats import NatsBus

    servers = settings.nats_url.split(",")
    password = settings.nats_password
    credentials = {"token": password} if password else {}
    if settings.nats_user:
        credentials = {"user": settings.nats_user, "password": password}
    async with AsyncExitStack() as stack:
        bus: NatsBus | None = None
        while bus is None:
            connecting = NatsBus.connect(servers, clock, role=role, name=name, credentials=credentials)
            try:
                bus = await stack.enter_async_context(connecting)
            except BusUnavailable as error:
                log.warning("waiting_for_the_bus", reason=error.detail)
                await clock.sleep(_RETRY_S)
        ready = bus

        async def reasons() -> list[str]:
            return [] if ready.connected else ["the bus does not answer"]

        health.add(reasons)
        yield bus


@asynccontextmanager
async def _upstream(settings: Settings, clock: Clock, name: str, health: Health) -> AsyncIterator["UpstreamBus"]:
    """Feed from another edge; wait at the start until it has said which rooms there are."""
    from stentor.bus.upstream import UpstreamBus

    edge = edge_name(settings, name)
    async with UpstreamBus.connect(settings.upstream, clock, edge=edge, key=settings.relay_key) as bus:

        async def reasons() -> list[str]:
            return [bus.problem] if bus.problem else []

        health.add(reasons)
        health.waits_for = lambda: bus.problem
        await bus.synced.wait()
        yield bus


def edge_name(settings: Settings, process: str) -> str:
    """Return what tells an edge from all others; one that nobody supervises adds its process id."""
    own = "" if PROCESS_VARIABLE in os.environ else f".{os.getpid()}"
    return f"{settings.node}.{process}{own}"


# --- Roles


async def run_control(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run control; ``announce`` is given the operator's link at the first start."""
    from stentor.control.server import Tls
    from stentor.store.sql_migrate import migrate

    await migrate(settings.database_url)
    async with running_process(settings, "control") as process, _control(settings, process.bus) as control:

        async def reasons() -> list[str]:
            there = await control.readiness()
            return [] if there["catalogue"] else ["the catalogue does not answer"]

        def started(port: int) -> None:
            process.health.starting = False
            log.info("control_started", port=port)

        process.health.add(reasons)
        link = await control.first_operator_link()
        if link is not None:
            announce(link)
        tls = Tls(settings.tls_cert, settings.tls_key) if settings.tls_cert and settings.tls_key else None
        await control.run(settings.staff_host, settings.staff_port, stop=process.stop, tls=tls, started=started)


@asynccontextmanager
async def _control(settings: Settings, bus: "Bus | None") -> AsyncIterator["Control"]:
    """Join control's parts; without a bus it can only make links."""
    from stentor.bus.memory import MemoryBus
    from stentor.control.server import Control
    from stentor.control.settings import ControlKeys, ControlSettings
    from stentor.store.keys import GRANTS_KEY, PROOF_KEY, load_or_create_key
    from stentor.store.sql import SqlCatalogue

    clock = SystemClock()
    keys = ControlKeys(
        grants=load_or_create_key(settings.data_dir / GRANTS_KEY),
        proof=load_or_create_key(settings.data_dir / PROOF_KEY),
    )
    chosen = ControlSettings(public_url=settings.public_url, staff_url=settings.staff_url, web_dist=WEB_DIST)
    catalogue = SqlCatalogue(settings.database_url)
    try:
        yield Control(bus=bus or MemoryBus(clock), catalogue=catalogue, clock=clock, keys=keys, settings=chosen)
    finally:
        await catalogue.close()


async def operator_link(settings: Settings) -> str:
    """Make one more operator's link; Stentor may be running or not."""
    from stentor.store.sql_migrate import migrate

    await migrate(settings.database_url)
    async with _control(settings, None) as control:
        return await control.new_operator_link()


async def run_edge(settings: Settings) -> None:
    """Run one edge."""
    from stentor.edge.addresses import networks
    from stentor.edge.balance import Balance
    from stentor.edge.downstream import RelaySettings
    from stentor.edge.server import Edge, EdgeSettings
    from stentor.supervisor.ports import bind, inherited
    from stentor.supervisor.tls import renew, tls_context

    context = tls_context(settings)
    shared = inherited()
    own = shared or bind(settings.audience_host, settings.audience_port, "--audience", shared=True)
    with own as listening:
        async with running_process(settings, "edge") as process:
            secret = settings.ticket_secret.encode() or secrets.token_bytes(32)
            chosen = EdgeSettings(
                name=edge_name(settings, process.name),
                staff_url=settings.staff_url,
                media_url=settings.media_url,
                pages=WEB_DIST,
                ticket_key=hashlib.sha256(secret).digest(),
                drain_s=0.5,
                relays=RelaySettings(settings.relay_key, settings.public_relays),
                max_block_steps=settings.max_block_steps,
                trusted_proxies=networks(settings.trusted_proxies),
            )
            replay = _replay(settings, process.clock)
            balance = Balance()
            slot = process.name.removeprefix("edge-")
            if shared is not None and slot.isdigit():  # one of several under a supervisor, which counts from 1
                balance = Balance.open(settings.run_dir / "balance", int(slot) - 1, settings.edges)
            edge = Edge(bus=process.bus, clock=process.clock, settings=chosen, replay=replay, balance=balance)

            async def reasons() -> list[str]:
                return [] if edge.ready or not process.bus.connected else ["it does not know the rooms yet"]

            process.health.add(reasons)
            # What is there by now stays, and thousands of listeners are no garbage: looking through them all again and
            # again was a fifth of what a join costs.
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(edge.run(listening, context))
                renewing = group.create_task(renew(context, settings, process.clock)) if context else None
                process.health.starting = False
                await process.stop.wait()
                edge.stop()
                await serving
                if renewing is not None:
                    renewing.cancel()


def _replay(settings: Settings, clock: Clock) -> "Replay | UpstreamReplay":
    """Return who answers for replays: the object store, or the edge above."""
    from stentor.bus.upstream_http import UpstreamAddress
    from stentor.replay.replay import Replay
    from stentor.replay.upstream import UpstreamReplay
    from stentor.store.objects import open_objects

    if settings.upstream:
        return UpstreamReplay(UpstreamAddress.parse(settings.upstream), clock)
    return Replay(open_objects(settings.objects_url), clock)


async def run_origin(settings: Settings) -> None:
    """Run an origin host: it starts one process for each room that is open here."""
    import random

    from stentor.origin.host import Host

    async with running_process(settings, "origin") as process:
        spawn_room = room_spawner(settings)
        stagger = random.SystemRandom()
        host = Host(
            process.bus,
            process.clock,
            spawn_room,
            name=settings.node,
            udp_ports=settings.udp_range,
            stagger=lambda: stagger.uniform(0.0, 0.3),
        )
        await process.until_stopped(host.run())


def room_spawner(settings: Settings) -> Callable[[], Awaitable[asyncio.subprocess.Process]]:
    """Return what starts a room's process: named room-1, room-2 and so on, the lowest that is free."""
    from stentor.supervisor.spawn import spawn, stentor_command

    own = os.environ.get(SOCKET_VARIABLE)
    sockets = Path(own).parent if own else socket_dir(settings)
    running: dict[int, asyncio.subprocess.Process] = {}
    pipe = asyncio.subprocess.PIPE

    async def start() -> asyncio.subprocess.Process:
        slot = next(n for n in itertools.count(1) if n not in running or running[n].returncode is not None)
        name = f"room-{slot}"
        environment = {
            **settings.environment(),
            PROCESS_VARIABLE: name,
            SOCKET_VARIABLE: str(sockets / f"{name}.sock"),
        }
        running[slot] = await spawn(stentor_command("origin-room"), environment, stdin=pipe, stdout=pipe)
        return running[slot]

    return start


async def run_origin_room(settings: Settings) -> int:
    """Run the process of one room, warm until its host names the room; return its exit code."""
    from stentor.origin.processes import EXIT_ENDED, EXIT_FENCED
    from stentor.origin.room_main import RoomSettings, assignment, load_hold_sound, run_room, say

    hold = load_hold_sound(settings.data_dir)
    own = RoomSettings(
        data_dir=settings.data_dir,
        spool_dir=settings.spool_dir,
        bind=settings.udp_bind,
        advertise=settings.advertise,
        node=settings.node,
    )
    kept = True
    async with running_process(settings, "origin") as process:
        say(ready=True)
        assigned = await assignment()
        if assigned is None:
            return EXIT_ENDED

        async def room() -> None:
            nonlocal kept
            kept = await run_room(process.bus, process.clock, own, hold, *assigned)

        await process.until_stopped(room())
    return EXIT_ENDED if kept else EXIT_FENCED


async def run_archive(settings: Settings) -> None:
    """Run the archive."""
    from stentor.archive.archive import Archive
    from stentor.store.keys import PROOF_KEY, load_or_create_key
    from stentor.store.objects import open_objects

    key = load_or_create_key(settings.data_dir / PROOF_KEY)
    objects = open_objects(settings.objects_url)
    async with running_process(settings, "archive") as process:
        archive = Archive(process.bus, objects, process.clock, key, settings.data_dir / "scratch")
        await process.until_stopped(archive.run())


async def run_serve(
    settings: Settings,
    ready: Callable[[Settings, str | None], None],
    beside: Callable[[Settings], Coroutine[object, object, None]] | None = None,
) -> None:
    """Run everything on this machine; the edges' way to listen is what the supervisor cannot know."""
    from stentor.edge.http import Limits
    from stentor.edge.listening import prepare
    from stentor.supervisor.whole import run_serve as run_whole

    await run_whole(settings, ready, lambda audience: prepare(audience, Limits()), beside)


async def run_demo(settings: Settings, ready: Callable[[Settings, str | None], None]) -> None:
    """Serve, with a room in which two people talk."""
    from stentor.demo.room import DemoLinks, run_demo_room
    from stentor.demo.staff_api import StaffApi, token_of
    from stentor.supervisor.welcome import links_box

    first_link: list[str | None] = []

    def ready_for_demo(held: Settings, link: str | None) -> None:
        first_link.append(link)
        ready(held, link)

    def show(links: DemoLinks) -> None:
        links_box("Two people talk", {"Listen": links.listener, "Talk with them": links.speaker, "Host": links.host})

    async def conversation(held: Settings) -> None:
        trusted = ssl.create_default_context(cafile=held.tls_cert) if held.tls else None
        api = StaffApi(held.staff_url, tls=trusted)
        try:
            await api.enter(token_of(first_link[0] or await operator_link(held)))
            await run_demo_room(api, SystemClock(), lambda doing: log.info("demo", doing=doing), show, trusted)
        except* StentorError as group:
            log.error("demo_cannot_go_on", reason="; ".join(map(str, group.exceptions)))

    await run_serve(settings, ready_for_demo, conversation)
