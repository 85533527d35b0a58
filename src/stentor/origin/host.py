"""The origin host: one process for each open room, and one warm spare.

The host makes no sound. It watches the rooms, holds a lease for each that it runs, and replaces a process that dies
by the spare, which has imported everything and waits. Rooms that another host runs it leaves alone until nothing is
heard of them.

Who closes whom: ``run`` owns one task a room and the spares. When it is cancelled, each task asks its process to end,
waits up to 4 s and releases the lease; the spare is killed. Processes die with the host whatever kills it.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from stentor.bus.port import Bus, live_stage_subject
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.origin.lease import Leases
from stentor.origin.processes import EXIT_ENDED, EXIT_FENCED, EXIT_REFUSED, Crashes, RoomProcess, Spares, Spawn
from stentor.room.documents import RoomDocument
from stentor.room.states import OPEN_STATES
from stentor.telemetry import logger

GRACE_S = 4.0
# A process whose loop stands still is killed; its heartbeat comes once a second. At two looks in a row (lease.RENEW_S):
# when this host itself was kept from running, what it has not read yet is no silence.
_HUNG_S = 6.0
# A process that has not ended so long after its room did is asked to.
_OVERDUE_S = 30.0
_PORT_RETRY_S = 1.0
_SETTLE_S = 1.0
_HANDICAP_S = 0.02

_rooms = Gauge("stentor_origin_rooms", "Rooms that this host runs")
_deaths = Counter("stentor_origin_room_process_deaths_total", "Room processes that died and were replaced")

log = logger("origin")


class UdpPorts:
    """The range of UDP ports: one a room process."""

    def __init__(self, ports: range) -> None:
        self._all = ports
        self._taken: dict[str, int] = {}
        self._refused: set[int] = set()

    def take(self, room: str) -> int | None:
        """Return the room's port, or None when all are taken; those that were refused come last."""
        if room not in self._taken:
            used = set(self._taken.values())
            free = [port for port in self._all if port not in used]
            if not free:
                return None
            self._taken[room] = min(free, key=lambda port: (port in self._refused, port))
        return self._taken[room]

    def refused(self, room: str) -> int | None:
        """Return another port for a room whose process could not have its own, or the same when there is none."""
        self._refused.add(self._taken.pop(room))
        if self._refused.issuperset(self._all):
            self._refused.clear()
        return self.take(room)

    def give_back(self, room: str) -> None:
        """Free the room's port."""
        self._taken.pop(room, None)


class Host:
    """Runs the open rooms. ``run`` lasts until it is cancelled.

    ``spawn`` starts a room's process (see processes); ``name`` is this machine's, the same after a restart;
    ``stagger`` returns a random 0 to 0.3 s, so that hosts do not all take over at once.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        spawn: Spawn,
        *,
        name: str,
        udp_ports: range,
        stagger: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._spawn = spawn
        self._leases = Leases(bus, clock, name, stagger)
        self._ports = UdpPorts(udp_ports)
        self._open: dict[str, bool] = {}
        self._closed_since: dict[str, MonotonicNs] = {}
        self._silent: set[int] = set()
        self._without_port: set[str] = set()
        self._tending: set[str] = set()
        self._running: dict[str, RoomProcess] = {}
        self._leases_known = asyncio.Event()

    @property
    def running(self) -> dict[str, int]:
        """Return the process id of each room that runs here."""
        return {room: process.pid for room, process in self._running.items()}

    async def reasons(self) -> list[str]:
        """Return which rooms cannot run here, as sentences that say what to do."""
        rooms = sorted(self._without_port)
        return [f"no UDP port is left for {', '.join(rooms)}: end rooms, or widen --udp-ports"] if rooms else []

    async def run(self) -> None:
        """Run rooms until cancelled."""

        def heard(subject: str, _payload: bytes) -> None:
            self._leases.hear(subject.split(".")[1])

        async with self._bus.subscribe(live_stage_subject("*"), heard), asyncio.TaskGroup() as group:
            self._spares = Spares(self._spawn, self._clock, group)
            group.create_task(self._spares.run())
            group.create_task(self._follow_leases())
            await self._leases_known.wait()
            await self._follow_rooms(group)

    async def _follow_leases(self) -> None:
        async for document in self._bus.watch("leases"):
            if document is None:
                self._leases_known.set()
            else:
                self._leases.see(document)

    async def _follow_rooms(self, group: asyncio.TaskGroup) -> None:
        async for document in self._bus.watch("rooms"):
            if document is None:
                continue
            room, is_open = document.key, False
            if document.value is not None:
                try:
                    is_open = RoomDocument.model_validate_json(document.value).state in OPEN_STATES
                except ValidationError as error:
                    log.error("room_document_garbled", room=room, error=str(error))
                    continue
            self._open[room] = is_open
            if is_open and room not in self._tending:
                self._tending.add(room)
                group.create_task(self._tend(room))

    def _is_open(self, room: str) -> bool:
        return self._open.get(room, False)

    async def _tend(self, room: str) -> None:
        """See to one room for as long as it is open."""
        try:
            while self._is_open(room):
                port = self._ports.take(room)
                if port is None:
                    if room not in self._without_port:
                        self._without_port.add(room)
                        log.error("no_udp_port_left", room=room, mend="end rooms, or widen --udp-ports")
                    await self._clock.sleep(_PORT_RETRY_S)
                    continue
                self._without_port.discard(room)
                handicap_s = _HANDICAP_S * len(self._running)
                revision = await self._leases.acquire(room, handicap_s=handicap_s, wanted=lambda: self._is_open(room))
                if revision is not None:
                    await self._hold(room, port, revision)
                    # Its process may know of the end before we do.
                    await self._clock.sleep(_SETTLE_S)
        finally:
            self._ports.give_back(room)
            self._tending.discard(room)
            self._without_port.discard(room)

    async def _hold(self, room: str, port: int, revision: int) -> None:
        """Run a room while its lease is ours."""
        log.info("room_is_ours", room=room, udp_port=port)
        lost = asyncio.Event()

        async def keep() -> None:
            await self._leases.keep(room, revision, lambda: self._look_after(room))
            log.warning("lease_lost", room=room)
            lost.set()
            if room in self._running:
                await self._running[room].stop(GRACE_S)

        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(keep())
                await self._run_room(room, port, lost)
                if not lost.is_set():
                    keeping.cancel()
        finally:
            await self._leases.release(room)

    async def _run_room(self, room: str, port: int, lost: asyncio.Event) -> None:
        """Run one process after the other until the room has ended or is another host's."""
        crashes = Crashes()
        while not lost.is_set():
            try:
                process = await self._spares.take()
            except OSError as error:
                log.error("room_process_cannot_start", room=room, error=str(error))
                await self._clock.sleep(crashes.delay_s(0.0) + 1.0)
                continue
            process.assign(room, port)
            self._running[room] = process
            _rooms.set(len(self._running))
            log.info("room_process_assigned", room=room, pid=process.pid, udp_port=port, warm=process.warm)
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                await process.stop(GRACE_S)
                raise
            finally:
                del self._running[room]
                _rooms.set(len(self._running))
            if code == EXIT_ENDED or lost.is_set() or (code == EXIT_FENCED and self._leases.held_elsewhere(room)):
                log.info("room_process_ended", room=room, pid=process.pid, code=code)
                return
            delay_s = crashes.delay_s(process.age_s)
            _deaths.inc()
            log.error("room_process_died", room=room, pid=process.pid, code=code, again_in_s=delay_s)
            if code == EXIT_REFUSED:
                port = self._ports.refused(room) or port
            if delay_s:
                await self._clock.sleep(delay_s)

    async def _look_after(self, room: str) -> None:
        """Kill a process that hangs, and stop one whose room ended long ago."""
        process = self._running.get(room)
        if process is None:
            return
        now = self._clock.monotonic_ns()
        old_enough = process.serving and process.age_s > _HUNG_S
        if not old_enough or self._leases.silent_for_s(room, process.began) <= _HUNG_S:
            self._silent.discard(process.pid)
        elif process.pid not in self._silent:
            self._silent.add(process.pid)
        else:
            self._silent.discard(process.pid)
            log.error("room_process_hangs", room=room, pid=process.pid)
            process.kill()
        if self._is_open(room):
            self._closed_since.pop(room, None)
        elif now - self._closed_since.setdefault(room, now) > _OVERDUE_S * NS_PER_S:
            log.error("room_process_overdue", room=room, pid=process.pid)
            await process.stop(GRACE_S)
