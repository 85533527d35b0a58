"""The only wiring: each role's drivers and parts, joined. What is joined here knows nothing of the rest.

Imports of drivers stand in the functions, so that an edge never loads a codec and the supervisor never loads a
database. ``running_process`` is what all roles have in common.
"""

import asyncio
import hashlib
import json
import os
import secrets
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stentor.clock import Clock, SystemClock
from stentor.config import Settings
from stentor.errors import BusUnavailable, StentorError
from stentor.supervisor.machine import PROCESS_VARIABLE
from stentor.supervisor.private import SOCKET_VARIABLE, Health, private_endpoint
from stentor.telemetry import dump_rate_limited, logger

if TYPE_CHECKING:
    from stentor.bus.nats import NatsBus
    from stentor.control.server import Control

WEB_DIST = Path(__file__).parent / "web" / "dist"
FIRST_LINK_FILE = "first-operator-link"
_RETRY_S = 1.0

log = logger("app")


@dataclass(frozen=True, slots=True)
class Process:
    """What a role is given: its name, clock, bus, health, and when to stop."""

    name: str
    clock: Clock
    bus: "NatsBus"
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
        bus = await stack.enter_async_context(_bus(settings, clock, role, name))
        health.add(_bus_reasons(bus))
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
async def _bus(settings: Settings, clock: Clock, role: str, name: str) -> AsyncIterator["NatsBus"]:
    from stentor.bus.nats import NatsBus

    servers = settings.nats_url.split(",")
    credentials = {"user": settings.nats_user, "password": settings.nats_password} if settings.nats_user else None
    async with AsyncExitStack() as stack:
        bus: NatsBus | None = None
        while bus is None:
            connecting = NatsBus.connect(servers, clock, role=role, name=name, credentials=credentials)
            try:
                bus = await stack.enter_async_context(connecting)
            except BusUnavailable as error:
                log.warning("waiting_for_the_bus", reason=error.detail)
                await clock.sleep(_RETRY_S)
        yield bus


def _bus_reasons(bus: "NatsBus") -> Callable[[], Awaitable[Sequence[str]]]:
    async def reasons() -> list[str]:
        return [] if bus.connected else ["the bus does not answer"]

    return reasons


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
async def _control(settings: Settings, bus: "NatsBus | None") -> AsyncIterator["Control"]:
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
    from stentor.edge.server import Edge, EdgeSettings
    from stentor.replay.replay import Replay
    from stentor.store.objects import open_objects
    from stentor.supervisor.ports import bind_shared
    from stentor.supervisor.tls import renew, tls_context

    context = tls_context(settings)
    with bind_shared(settings.audience_host, settings.audience_port, "--audience") as listening:
        async with running_process(settings, "edge") as process:
            secret = settings.ticket_secret.encode() or secrets.token_bytes(32)
            chosen = EdgeSettings(
                name=f"{settings.node}.{process.name}",
                staff_url=settings.staff_url,
                pages=WEB_DIST,
                ticket_key=hashlib.sha256(secret).digest(),
                drain_s=0.5,
            )
            replay = Replay(open_objects(settings.objects_url), process.clock)
            edge = Edge(bus=process.bus, clock=process.clock, settings=chosen, replay=replay)

            async def reasons() -> list[str]:
                return [] if edge.ready or not process.bus.connected else ["it does not know the rooms yet"]

            process.health.add(reasons)
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(edge.run(listening, context))
                renewing = group.create_task(renew(context, settings, process.clock)) if context else None
                process.health.starting = False
                await process.stop.wait()
                edge.stop()
                await serving
                if renewing is not None:
                    renewing.cancel()


async def run_origin(settings: Settings) -> None:
    """Run an origin host: it starts one process for each room that is open here."""
    from itertools import count

    from stentor.origin.host import Host
    from stentor.supervisor.spawn import spawn, stentor_command

    numbers = count(1)
    socket = os.environ.get(SOCKET_VARIABLE)

    async def spawn_room() -> asyncio.subprocess.Process:
        name = f"room-{next(numbers)}"
        own = {PROCESS_VARIABLE: name, SOCKET_VARIABLE: str(Path(socket).with_name(f"{name}.sock")) if socket else ""}
        pipe = asyncio.subprocess.PIPE
        return await spawn(stentor_command("origin-room"), {**settings.environment(), **own}, stdin=pipe, stdout=pipe)

    async with running_process(settings, "origin") as process:
        stagger = secrets.SystemRandom()
        host = Host(
            process.bus,
            process.clock,
            spawn_room,
            name=settings.node,
            udp_ports=settings.udp_range,
            stagger=lambda: stagger.uniform(0.0, 0.3),
        )
        await process.until_stopped(host.run())


async def run_origin_room(settings: Settings) -> int:
    """Run the process of one room: warm until it is assigned one. Return the exit code that its host understands."""
    from stentor.origin.processes import EXIT_ENDED, EXIT_FENCED
    from stentor.origin.room_main import RoomSettings, assignment, load_hold_sound, run_room, say

    chosen = RoomSettings(settings.data_dir, settings.spool_dir, settings.udp_bind, settings.advertise, settings.node)
    hold = load_hold_sound(settings.data_dir)
    code = EXIT_ENDED
    async with running_process(settings, "origin-room") as process:
        say(ready=True)

        async def work() -> None:
            nonlocal code
            given = await assignment()
            if given is not None and not await run_room(process.bus, process.clock, chosen, hold, *given):
                code = EXIT_FENCED

        await process.until_stopped(work())
    return code


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


# --- All of them on one machine


Ready = Callable[[Settings, str | None], None]
"""Called once all is ready, with the settings (every port known) and, at the first start, the operator's link."""

Beside = Callable[[Settings], Coroutine[object, object, None]]
"""Work in the parent's own process once all is ready, cancelled when it stops; the demo is one."""


async def run_serve(settings: Settings, ready: Ready, beside: Beside | None = None) -> None:
    """Run every process of one machine until SIGTERM or SIGINT; a second one kills them at once.

    Raises ConfigError in a sentence when something is taken, missing or refused.
    """
    from stentor.supervisor.machine import hold_folder, hold_ports, machine, socket_dir, with_ticket_secret
    from stentor.supervisor.nats_server import NatsServer
    from stentor.supervisor.serve import Supervisor

    clock, stop = SystemClock(), asyncio.Event()
    with hold_folder(settings), hold_ports(settings) as held:
        held = with_ticket_secret(held)
        (held.run_dir / FIRST_LINK_FILE).unlink(missing_ok=True)
        nats = NatsServer(held) if held.embedded_bus else None
        sockets = socket_dir(held)
        supervisor = Supervisor(machine(held, nats, sockets), clock, sockets)
        _stop_then_kill(stop, supervisor.kill)
        endpoint = private_endpoint(supervisor.answer, path=None, host=held.private_host, port=held.private_port)
        async with endpoint as private_port, asyncio.TaskGroup() as group:
            held = held.model_copy(update={"private_port": private_port})
            tasks: list[asyncio.Task[None]] = []

            def on_ready() -> None:
                _write_addresses(held)
                ready(held, _take_first_link(held))
                if beside is not None:
                    tasks.append(group.create_task(beside(held)))

            await supervisor.run(stop, on_ready)
            for task in tasks:
                task.cancel()


async def run_demo(settings: Settings, ready: Ready) -> None:
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


def _stop_then_kill(stop: asyncio.Event, kill: Callable[[], None]) -> None:
    def asked() -> None:
        if stop.is_set():
            kill()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)


def leave_first_link(settings: Settings, link: str) -> None:
    """Leave the operator's link where the supervisor finds it, for this user alone."""
    file = settings.run_dir / FIRST_LINK_FILE
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(link)


def _take_first_link(settings: Settings) -> str | None:
    file = settings.run_dir / FIRST_LINK_FILE
    if not file.exists():
        return None
    link = file.read_text()
    file.unlink()
    return link


def _write_addresses(settings: Settings) -> None:
    """Write down where everything is, for scripts that start Stentor on free ports."""
    private_url = f"http://{settings.private_host}:{settings.private_port}"
    addresses = {"pid": os.getpid(), "public_url": settings.public_url, "staff_url": settings.staff_url}
    (settings.run_dir / "serve.json").write_text(json.dumps({**addresses, "private_url": private_url}) + "\n")
