"""One process under watch: started, started again when it crashes, stopped when asked."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Counter, Gauge

from stentor.clock import NS_PER_S, Clock
from stentor.errors import ConfigError
from stentor.supervisor.backoff import Backoff
from stentor.supervisor.private import NO_ANSWER, ask_ready
from stentor.supervisor.spawn import spawn
from stentor.telemetry import logger

CONFIG_EXIT = 2
"""What our own processes exit with when a setting is wrong: starting them again would not help."""
_RENEW_GRACE_S = 5.0
"""Nobody waits for one that is started anew: it may tell all its listeners first, on a busy machine as well."""
_HUNG_LOOKS = 15
"""Looks are 2 s apart while a process does not answer."""

log = logger("supervisor")
_restarts = Counter("stentor_supervisor_restarts_total", "Crashed processes started again", ["child"])
_up = Gauge("stentor_supervisor_up", "1 while the process runs", ["child"])


@dataclass(frozen=True, slots=True)
class Spec:
    """How to start a process and ask how it is.

    ``environment`` is asked anew at each start. ``socket``: its private endpoint. ``ready`` is asked instead of the
    socket where there is none, with the process id. ``on_line`` takes what it says on stderr, line by line.
    ``awaited``: what comes after it is started only once it is ready. ``stuck`` is asked now and then: true when
    only another start would help. ``ends_hung``: it is killed when it has not answered for half a minute. ``keep``:
    descriptors that it inherits. ``nice``: how far it stands back when the machine is busy.
    """

    name: str
    command: tuple[str, ...]
    environment: Callable[[], Mapping[str, str]]
    grace_s: float
    socket: Path | None = None
    ready: Callable[[int], Awaitable[list[str]]] | None = None
    on_line: Callable[[str], None] | None = None
    awaited: bool = False
    stuck: Callable[[], bool] | None = None
    ends_hung: bool = False
    keep: tuple[int, ...] = ()
    nice: int = 0


class Child:
    """A process that is kept running until ``stop``."""

    def __init__(self, spec: Spec, clock: Clock) -> None:
        self.spec = spec
        self.restarts = 0
        self._clock = clock
        self._backoff = Backoff()
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._renewing = False
        self._was_ready = False
        self._answers = True
        self._unanswered_looks = 0
        self._last_words = ""
        self._state = "it has not been started"

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self) -> None:
        """Keep the process running until ``stop``; on cancellation it is killed.

        Raises ConfigError when it refuses its settings before it was ever ready.
        """
        while not self._stopping:
            started = self._clock.monotonic_ns()
            code = await self._run_once()
            if self._stopping:
                return
            if self._renewing:
                self._renewing = False
                self._state = "it is started anew"
                continue
            ran_for_s = (self._clock.monotonic_ns() - started) / NS_PER_S
            if code == CONFIG_EXIT and not self._was_ready:
                raise ConfigError(
                    self._last_words or f"{self.spec.name} refuses its settings; the lines above say why."
                )
            delay_s = self._backoff.after(ran_for_s)
            self.restarts += 1
            _restarts.labels(self.spec.name).inc()
            self._state = f"it ended with {describe_exit(code)} and is started again"
            log.warning(
                "process_died",
                child=self.spec.name,
                ended_with=describe_exit(code),
                ran_for_s=round(ran_for_s, 3),
                restarts=self.restarts,
                again_in_s=delay_s,
            )
            await self._clock.sleep(delay_s)

    async def _run_once(self) -> int:
        spec = self.spec
        stderr = asyncio.subprocess.PIPE if spec.on_line else None
        try:
            process = await spawn(spec.command, spec.environment(), stderr=stderr, keep=spec.keep, nice=spec.nice)
        except OSError as error:
            self._last_words = f"{spec.command[0]} cannot be started: {error.strerror}."
            return CONFIG_EXIT
        self._process = process
        self._state = "it is starting"
        _up.labels(spec.name).set(1)
        log.info("process_started", child=spec.name, pid=process.pid)
        try:
            if self._stopping:  # asked while it was being started; it has done nothing yet
                process.kill()
            if process.stderr is not None:
                await self._listen(process.stderr)
            return await process.wait()
        finally:
            _up.labels(spec.name).set(0)
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        assert self.spec.on_line is not None  # noqa: S101 - only asked for where it is set
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than the reader's limit; the rest of it comes next
                continue
            if not line:
                return
            self.spec.on_line(line.decode("utf-8", "replace").rstrip())

    async def reasons(self) -> list[str]:
        """Return why the process is not ready; empty when it is."""
        pid = self.pid
        if pid is None:
            return [self._state]
        if self.spec.socket is not None:
            reasons = await ask_ready(self.spec.socket)
            self._answers = reasons != NO_ANSWER
        elif self.spec.ready is not None:
            reasons = await self.spec.ready(pid)
        else:
            reasons = []
        self._was_ready = self._was_ready or not reasons
        return reasons

    def restart_if_stuck(self) -> None:
        """End it when only another start would help: it says so, or it hangs. ``run`` starts it again.

        Called at each look, after ``reasons``. What counts are looks, not time: in a machine that sleeps or has no
        time for anybody it is not the process that hangs.
        """
        self._unanswered_looks = 0 if self._answers or self.pid is None else self._unanswered_looks + 1
        if self.spec.ends_hung and self._unanswered_looks >= _HUNG_LOOKS:
            log.warning("process_hung", child=self.spec.name)
            self._unanswered_looks = 0
            self._signal(signal.SIGKILL)
        elif self.pid is not None and self.spec.stuck is not None and self.spec.stuck():
            log.warning("process_stuck", child=self.spec.name)
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it now, for good."""
        self._stopping = True
        self._signal(signal.SIGKILL)

    async def stop(self) -> bool:
        """Ask it to stop and wait; kill it after its grace. Return whether it stopped by itself."""
        self._stopping = True
        return await self._end(self.spec.grace_s)

    async def renew(self) -> None:
        """Stop it in order and have it started again at once, from what is installed now; no crash is counted."""
        if self.pid is not None:
            self._renewing = True
            await self._end(max(self.spec.grace_s, _RENEW_GRACE_S))

    async def _end(self, grace_s: float) -> bool:
        process = self._process
        if process is None or process.returncode is not None:
            return True
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            log.warning("process_killed", child=self.spec.name, grace_s=grace_s)
            self._signal(signal.SIGKILL)
            await process.wait()
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def describe_exit(code: int) -> str:
    """Return an exit status for people: ``code 1`` or ``SIGKILL``."""
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
