"""The processes of rooms as their host sees them: spare until assigned, then watched to the end.

A process is told its room as one JSON line on stdin, ``{"room": "demo", "udp_port": 40000}``, and says how far it is
as JSON lines on stdout: ``{"ready": true}`` when it has imported everything, ``{"serving": "demo", "epoch": 3}`` when
the room runs. It exits with 0 when the room has ended or it was asked to stop, with 2 when it cannot have what it was
given, such as its port, with 3 when another origin has taken the room. It must end when stdin does.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.telemetry import logger

EXIT_ENDED = 0
EXIT_REFUSED = 2
EXIT_FENCED = 3
_DELAYS_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
_STABLE_S = 10.0
_REFILL_S = 1.0

Spawn = Callable[[], Awaitable[asyncio.subprocess.Process]]
"""Starts a room's process with pipes on stdin and stdout; it must die with its parent. May raise OSError."""

log = logger("origin")


class RoomProcess:
    """One process. Its host calls ``listen`` in a task, and ``wait`` or ``stop`` in the end."""

    def __init__(self, process: asyncio.subprocess.Process, clock: Clock) -> None:
        self._process = process
        self._clock = clock
        self.began: MonotonicNs = clock.monotonic_ns()
        self.warm = False
        self.serving = False
        self.room: str | None = None

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether it runs, as far as we know."""
        return self._process.returncode is None

    @property
    def age_s(self) -> float:
        """Return for how long it has run since it was started or assigned (``began``)."""
        return (self._clock.monotonic_ns() - self.began) / NS_PER_S

    def assign(self, room: str, udp_port: int) -> None:
        """Tell it its room; it may still be importing."""
        self.room = room
        self.began = self._clock.monotonic_ns()
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps({"room": room, "udp_port": udp_port}).encode() + b"\n")

    async def listen(self) -> None:
        """Take what it says until it closes its stdout."""
        if self._process.stdout is None:
            return
        async for line in self._process.stdout:
            with suppress(ValueError, TypeError, AttributeError):
                said = json.loads(line)
                self.warm = self.warm or bool(said.get("ready"))
                if said.get("serving"):
                    self.serving = True
                    log.info("room_process_serves", pid=self.pid, room=self.room, epoch=said.get("epoch"))

    async def wait(self) -> int:
        """Return its exit code; negative for a signal."""
        return await self._process.wait()

    def kill(self) -> None:
        """Kill it now."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, grace_s: float) -> None:
        """Ask it to end and wait; kill it after ``grace_s``."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            log.warning("room_process_killed", pid=self.pid, room=self.room, grace_s=grace_s)
            self.kill()
            await self._process.wait()


class Crashes:
    """How long to wait before the next start: not at all after the first crash, then longer and longer."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def delay_s(self, ran_for_s: float) -> float:
        """Count a crash; a run of 10 s or more begins a new count."""
        self._in_a_row = 1 if ran_for_s >= _STABLE_S else self._in_a_row + 1
        return 0.0 if self._in_a_row == 1 else _DELAYS_S[min(self._in_a_row - 2, len(_DELAYS_S) - 1)]


class Spares:
    """Keeps one process started and imported, waiting for its room.

    ``run`` belongs to the host's task group and kills the spare when it is cancelled. What ``take`` returns belongs
    to whoever took it.
    """

    def __init__(self, spawn: Spawn, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._spawn = spawn
        self._clock = clock
        self._group = group
        self._wanted = asyncio.Event()
        self.spare: RoomProcess | None = None

    async def take(self) -> RoomProcess:
        """Return the spare at once, or else a process that is just starting. Raises OSError when none can be."""
        spare, self.spare = self.spare, None
        self._wanted.set()
        return spare if spare is not None and spare.alive else await self._start()

    async def run(self) -> None:
        """Keep a spare until cancelled, then kill it."""
        crashes = Crashes()
        try:
            while True:
                self._wanted.clear()
                if self.spare is None:
                    try:
                        self.spare = await self._start()
                    except OSError as error:
                        log.error("room_process_cannot_start", error=str(error))
                        await self._clock.sleep(_REFILL_S)
                        continue
                    self._group.create_task(self._replace(self.spare, crashes))
                await self._wanted.wait()
                # The process that was taken has work to do; importing another can wait.
                await self._clock.sleep(_REFILL_S)
        finally:
            if self.spare is not None and self.spare.alive:
                self.spare.kill()
                await self.spare.wait()

    async def _replace(self, spare: RoomProcess, crashes: Crashes) -> None:
        """Have another spare started when this one dies before it is taken."""
        code = await spare.wait()
        if self.spare is spare:
            delay_s = crashes.delay_s(spare.age_s)
            log.warning("spare_died", pid=spare.pid, code=code, again_in_s=_REFILL_S + delay_s)
            await self._clock.sleep(delay_s)
        if self.spare is spare:
            self.spare = None
            self._wanted.set()

    async def _start(self) -> RoomProcess:
        process = RoomProcess(await self._spawn(), self._clock)
        self._group.create_task(process.listen())
        return process
