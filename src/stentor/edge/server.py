"""The edge: one process that serves listeners on one port."""

import asyncio
import secrets
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import partial
from pathlib import Path
from ssl import SSLContext

from stentor.bus.port import Bus, meter_subject
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.acceptor import Acceptor
from stentor.edge.addresses import MAX_CHARS, Network, client_address
from stentor.edge.balance import Balance, retry_spread_s
from stentor.edge.cadence import MAX_BLOCK_STEPS
from stentor.edge.connection import Connection
from stentor.edge.delivery import Delivery
from stentor.edge.door_desk import REPORTS, WORDS, DoorDesk, DoorSettings
from stentor.edge.downstream import Downstream, RelaySettings
from stentor.edge.hands import Hands
from stentor.edge.http import Limits, Request, Response
from stentor.edge.installation import Installation
from stentor.edge.ladder import EdgeLadder
from stentor.edge.listening import prepare
from stentor.edge.metrics import CONNECTIONS, FAILURES, REQUESTS
from stentor.edge.permits import Permits
from stentor.edge.reactor import Line, Reactor
from stentor.edge.replay_port import ReplayDesk
from stentor.edge.room import Surroundings
from stentor.edge.rooms import AUDIENCES, STAGES, Rooms
from stentor.edge.routes import Routes
from stentor.edge.shield import Shield, ShieldSettings
from stentor.edge.state_json import Places
from stentor.edge.static import StaticFiles
from stentor.edge.status import Status
from stentor.edge.tickets import Tickets
from stentor.errors import StentorError, Unavailable
from stentor.room.installation import InstallationDocument
from stentor.telemetry import logger

TICK_S = 1.0
_SCARCE = 0.75
_SHORT_IDLE_NS = 5 * NS_PER_S
"""From three quarters of the descriptors on, who asks for nothing is not kept for longer."""
_SYNC_POLL_S = 0.02
_REQUESTS = {method: REQUESTS.labels(method) for method in ("GET", "HEAD", "POST", "OPTIONS")}
_OTHER = REQUESTS.labels("other")

log = logger("edge")


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What is set about an edge.

    ``name`` tells this edge from others in audience reports; ``staff_url`` is where speakers and hosts go,
    ``media_url`` a CDN before playlists and media (the page may connect to both); ``pages`` is the folder of the
    built page; ``ticket_key`` is shared by all edges;
    ``drain_s`` is how long a stop waits for answers under way, ``retry_spread_s`` over how many seconds the
    listeners of push are told to come back at least; ``trusted_proxies`` are the fronts whose word on clients'
    addresses is believed; ``max_block_steps`` is how large blocks become by the edge's own choice; ``shield``: how
    often an address may ask; ``may_send_mbit``: what of the line is this edge's, 0 for no bound; ``cache_key`` is
    what a cache of ours says to get playlists of rooms with a door; ``leads``: this edge may lead the doors (an
    edge behind an edge cannot), ``reports``: the others believe what it says of them.
    """

    name: str
    staff_url: str = ""
    media_url: str = ""
    pages: Path | None = None
    ticket_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    drain_s: float = 2.0
    retry_spread_s: float = 3.0
    max_block_steps: int = MAX_BLOCK_STEPS
    may_send_mbit: float = 0.0
    trusted_proxies: tuple[Network, ...] = ()
    shield: ShieldSettings = ShieldSettings()
    limits: Limits = Limits()
    relays: RelaySettings = RelaySettings()
    cache_key: str = field(default="", repr=False)
    leads: bool = True
    reports: bool = True


class Edge:
    """Serves listeners until ``stop``. Implements ``connection.Host``.

    ``run`` owns every task; ``started`` is set once connections are accepted.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        clock: Clock,
        settings: EdgeSettings,
        replay: ReplayDesk | None = None,
        balance: Balance | None = None,
    ) -> None:
        self.limits = settings.limits
        self.draining = False
        self.timed: set[Connection] = set()
        self.started = asyncio.Event()
        self._bus = bus
        self._clock = clock
        self._balance = balance or Balance()
        self._settings = settings
        self._tasks: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._delivery = Delivery(clock, settings.max_block_steps)
        self.installation = Installation(bus)
        self._ladder = EdgeLadder(bus, clock, settings.name, settings.may_send_mbit)
        self.installation.changed(self._follow)
        places = Places(settings.staff_url, settings.media_url)
        downstream = Downstream(bus, clock, settings.relays)
        downstream.why_not_ready = self._why_not_ready
        downstream.spawn = self.spawn
        around = Surroundings(
            bus,
            clock,
            settings.limits,
            places,
            self.spawn,
            self._delivery.load.timed,
            self.retry_spread_s,
            lambda: self._ladder.word,
            downstream=downstream,
        )
        self.rooms = Rooms(settings.name, around, replay)
        door_settings = DoorSettings(settings.ticket_key, leads=settings.leads, reports=settings.reports)
        self._doors = DoorDesk(settings.name, bus, clock, self.installation, downstream.doors, door_settings)
        downstream.doors.spawn = self.spawn
        self.installation.said = downstream.doors.document_changed
        self.rooms.look_at_door, self.rooms.forget_door = self._doors.look, self._doors.gone
        files = StaticFiles(settings.pages, places)
        self._routes = Routes(self.rooms, files, Tickets(settings.ticket_key), clock, replay, self.spawn)
        self._routes.date_line = self.date_line
        self._routes.cache_key = settings.cache_key
        self._routes.permits = Permits(self.installation, clock)
        self._routes.hands = hands = Hands(bus, clock, self.spawn, settings.ticket_key)
        hands.slower = lambda: self._ladder.slower
        self._routes.status = self._status = Status(bus, clock, self.rooms)
        shield = replace(settings.shield, fronts=settings.trusted_proxies)
        self.shield = self._routes.shield = Shield(settings.name, clock, shield, settings.ticket_key)
        self.installation.changed(self.shield.follow)
        self._reactor: Reactor | None = None
        self._acceptor: Acceptor | None = None
        self._date_s = -1
        self._date = b""

    @property
    def ready(self) -> bool:
        """Tell whether to send listeners here: the rooms are known, the bus answers, no stop is under way."""
        return self.started.is_set() and self.rooms.synced and self._bus.connected and not self.draining

    def _why_not_ready(self) -> str:
        """Return what edges below are told; empty when they may rely on this one."""
        if self.draining:
            return "it stops"
        return "" if self._bus.connected else "its bus does not answer"

    async def run(self, listening: socket.socket, tls: SSLContext | None = None) -> None:
        """Serve on a bound socket until ``stop``; returns when everybody has been let go."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            forever = [
                tasks.create_task(self.rooms.watch_rooms()),
                tasks.create_task(self.rooms.watch_stages()),
                tasks.create_task(self.installation.watch()),
                tasks.create_task(self._doors.run()),
                tasks.create_task(self._status.watch()),
                tasks.create_task(self._tick()),
                tasks.create_task(self._delivery.load.beat(self._keep_balance)),
            ]
            async with (
                self._bus.subscribe(STAGES, self.rooms.take_stage),
                self._bus.subscribe(AUDIENCES, self.rooms.take_report),
                self._bus.subscribe(WORDS, self._doors.take_word),
                self._bus.subscribe(REPORTS, self._doors.take_report),
            ):
                # Who comes earlier waits in the queue or goes to another edge, and is not told that there is no room.
                while not (self.rooms.synced and self.installation.synced) and not self._stopping.is_set():
                    await self._clock.sleep(_SYNC_POLL_S)
                prepare(listening, self.limits)
                self._reactor = reactor = Reactor(loop, self._clock, self.limits.stall_s)
                admit = partial(self.shield.admit, tls=tls is not None)
                self._acceptor = acceptor = Acceptor(listening, reactor, self._balance, self._welcome, tls, admit)
                forever.append(tasks.create_task(acceptor.take_turns(self._clock)))
                self.started.set()
                log.info("edge_started", name=self._settings.name, address=str(listening.getsockname()))
                await self._stopping.wait()
                acceptor.stop()
                self._balance.leave()
                listening.close()
                await self._doors.hand_over()
                await self._drain(reactor)
                reactor.close()
            for task in forever:
                task.cancel()
        self._tasks = None
        log.info("edge_stopped", name=self._settings.name)

    def stop(self) -> None:
        """Begin to stop: accept nobody, send listeners elsewhere."""
        self.draining = self._routes.draining = True
        self._stopping.set()

    def _welcome(self, line: Line, address: str) -> None:
        line.open(Connection(self, line, address))

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return self._reactor.open_lines if self._reactor is not None else 0

    @property
    def waiting(self) -> int:
        """Return on how many connections a request is under way."""
        lines = self._reactor.all() if self._reactor is not None else []
        return sum(isinstance(line.owner, Connection) and line.owner.busy for line in lines)

    def retry_spread_s(self) -> float:
        """Return over how many seconds this edge's listeners are to come back if it goes."""
        return max(self._settings.retry_spread_s, retry_spread_s(self.connections))

    async def _drain(self, reactor: Reactor) -> None:
        self.rooms.downstream.drain()
        for room in self.rooms.all():
            room.drain()
        for line in reactor.all():
            if isinstance(line.owner, Connection) and not line.owner.busy:
                line.close()
        deadline = self.now() + int(self._settings.drain_s * NS_PER_S)
        while reactor.open_lines and self.now() < deadline:
            await self._clock.sleep(0.05)
        for line in reactor.all():
            line.abort()

    async def _tick(self) -> None:
        """Look at every deadline and every room once a second."""
        while True:
            await self._clock.sleep(TICK_S)
            now = self.now()
            for connection in [each for each in self.timed if each.deadline <= now]:
                connection.no_deadline()
                connection.on_deadline()
            if self._reactor is not None:
                self._reactor.look_at_stalled()
                self._delivery.tick(
                    self.rooms.all(),
                    connections=self.connections,
                    behind=len(self._reactor.behind),
                    accept_queue=self._acceptor.queued() if self._acceptor is not None else 0,
                )
                await self._ladder.tick(
                    self.rooms.all(),
                    self._delivery.sample,
                    connections=self.connections,
                    unread=len(self._reactor.behind),
                    sent=self._reactor.sent_bytes,
                )
            CONNECTIONS.set(self.connections)
            await self._shield_tick()
            await self.rooms.tick()
            self._doors.sample()

    async def _shield_tick(self) -> None:
        """Have the shield look at the last second; close idle connections early where descriptors run short."""
        report = self.shield.tick(busy=self._delivery.busy)
        if report is not None:
            await self._bus.publish(meter_subject(self._settings.name), report.to_bytes())
        if self._reactor is not None and self._reactor.open_lines > _SCARCE * self._reactor.most_lines:
            since = self.now() - _SHORT_IDLE_NS
            for connection in [each for each in self.timed if each.is_idle and each.idle_since() <= since]:
                connection.close()

    def _follow(self, said: InstallationDocument) -> None:
        """Do as control says for the whole installation."""
        self._ladder.take(said)
        self._delivery.least_steps = self._ladder.block_steps

    def _keep_balance(self) -> None:
        """Tell the other edges of this machine how many are here, and accept when it is our turn."""
        if self._acceptor is not None and not self.draining:
            self._balance.note(self.connections, self.now())
            self._acceptor.resume()

    # What connections ask (connection.Host).

    def handle(self, connection: Connection, request: Request) -> Response | None:
        """Answer a request."""
        _REQUESTS.get(request.method, _OTHER).inc()
        if self._settings.trusted_proxies:
            forwarded = request.headers.get("x-forwarded-for", "")[-MAX_CHARS:]
            request.address = client_address(request.address, forwarded, self._settings.trusted_proxies)
        refusal = self.shield.request(connection.line, request)
        return self._routes.handle(connection, request) if refusal is None else refusal

    def now(self) -> MonotonicNs:
        """Return monotonic time."""
        return self._clock.monotonic_ns()

    def date_line(self) -> bytes:
        """Return the Date header's line, made once a second."""
        second = self._clock.wall_ns() // NS_PER_S
        if second != self._date_s:
            self._date_s, self._date = second, f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date

    def failed(self, _connection: Connection, request: Request, error: Exception) -> StentorError:
        """Log what nobody expected; the client is told no more than that."""
        FAILURES.inc()
        log.error("request_failed", method=request.method, path=request.path, exc_info=error)
        return StentorError("Something went wrong here; it has been written down.")

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run work in the edge's task group; its failure is logged and ends nothing else."""
        if self._tasks is None:
            work.close()
            raise Unavailable("The server is stopping.")
        self._tasks.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception as error:
            FAILURES.inc()
            log.error("work_failed", exc_info=error)
