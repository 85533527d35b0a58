"""The only wiring: each role's drivers and parts, joined. What is joined here knows nothing of the rest.

Imports of drivers stand in the functions, so that an edge never loads a codec and the supervisor never loads a
database. What all roles have in common is in ``process``.
"""

import asyncio
import gc
import hashlib
import itertools
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stentor.clock import Clock, SystemClock
from stentor.config import Settings
from stentor.declared import fingerprint
from stentor.errors import ConfigError, StentorError
from stentor.process import edge_name, running_process
from stentor.supervisor.machine import PROCESS_VARIABLE, socket_dir
from stentor.supervisor.private import SOCKET_VARIABLE
from stentor.telemetry import logger

if TYPE_CHECKING:
    from stentor.bus.port import Bus
    from stentor.control.server import Control
    from stentor.replay.replay import Replay
    from stentor.replay.upstream import UpstreamReplay

WEB_DIST = Path(__file__).parent / "web" / "dist"

log = logger("app")


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
    chosen = ControlSettings(
        public_url=settings.public_url,
        staff_url=settings.staff_url,
        web_dist=WEB_DIST,
        turn_urls=settings.turn_urls,
        turn_secret=settings.turn_secret,
        fingerprint=fingerprint(settings),
    )
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


async def command_line_link(settings: Settings) -> str:
    """Return the operator's link that verbs of the command line use; Stentor may be running or not."""
    from stentor.store.sql_migrate import migrate

    await migrate(settings.database_url)
    async with _control(settings, None) as control:
        return await control.command_line_link()


@asynccontextmanager
async def bus_alone(settings: Settings, role: str) -> AsyncIterator["Bus"]:
    """Give the bus to a command that is no part of the installation: no endpoint, no certificate."""
    from stentor.process import connected_bus
    from stentor.supervisor.private import Health

    if not settings.nats_url:
        raise ConfigError("Say where the bus is that workers join by: --nats-url nats://bus.example.org:4222")
    async with connected_bus(settings, SystemClock(), role, f"{role}-{os.getpid()}", Health()) as bus:
        yield bus


async def run_edge(settings: Settings) -> None:
    """Run one edge."""
    from stentor.edge.addresses import networks
    from stentor.edge.balance import Balance
    from stentor.edge.buckets import Rates
    from stentor.edge.downstream import RelaySettings
    from stentor.edge.server import Edge, EdgeSettings
    from stentor.edge.shield import ShieldSettings
    from stentor.supervisor.ports import bind, inherited
    from stentor.supervisor.tls import renew, tls_context

    context = tls_context(settings)
    shared = inherited()
    own = shared or bind(settings.audience_host, settings.audience_port, "--audience", shared=True)
    with own as listening:
        async with running_process(settings, "edge") as process:
            if not settings.ticket_secret:
                log.warning("tickets_hold_here_alone", hint="give all edges the same STENTOR_TICKET_SECRET")
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
                may_send_mbit=settings.edge_mbit / max(1, settings.edges),
                trusted_proxies=networks(settings.trusted_proxies),
                cache_key=settings.cache_key,
                leads=not settings.upstream,
                reports=not settings.upstream or bool(settings.relay_key),
                shield=ShieldSettings(Rates.of(settings.limits), networks(settings.allow), networks(settings.deny)),
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
        process.health.add(host.reasons)
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
    from stentor.archive.status import StatusCopy
    from stentor.store.keys import PROOF_KEY, load_or_create_key
    from stentor.store.objects import open_objects

    key = load_or_create_key(settings.data_dir / PROOF_KEY)
    objects = open_objects(settings.objects_url)
    async with running_process(settings, "archive") as process:
        archive = Archive(process.bus, objects, process.clock, key, settings.data_dir / "scratch")
        copy = StatusCopy(process.bus, objects, process.clock, settings.public_url)

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(archive.run())
                group.create_task(copy.run())

        await process.until_stopped(work())


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
