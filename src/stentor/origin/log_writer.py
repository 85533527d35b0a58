"""The one writer of a room's log: serial, fenced, never in the mixer's way.

``write`` puts a record into the spool and the line; ``run`` stores the line's head until the log acknowledges it, then
the next. What the log cannot take for longer than memory lasts stays in the spool alone and is read back.
"""

import asyncio
from collections import deque

from prometheus_client import Counter, Gauge, Histogram

from stentor.bus.port import Fence, Log
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.errors import BusUnavailable, Fenced
from stentor.origin.spool import Entry, Spool, entry
from stentor.telemetry import RateLimitedLog, logger

_MAX_MEMORY_BYTES = 33_554_432
_MAX_ENTRIES = 600_000
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5

_acked = Counter("stentor_origin_log_records_total", "Records acknowledged by the log")
_retries = Counter("stentor_origin_log_retries_total", "Attempts to store a record that failed and were repeated")
_lost = Counter("stentor_origin_log_lost_records_total", "Records neither memory nor spool could hold")
_pending = Gauge("stentor_origin_log_pending_records", "Records not yet acknowledged")
_latency = Histogram(
    "stentor_origin_log_ack_seconds",
    "From write to acknowledgement",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10, 60),
)

log = logger("origin")


class Storing:
    """Stores one record after the other under a fence, each until it is acknowledged.

    ``sequence`` is the newest acknowledged. The server forgets message ids after two minutes, an outage may last
    longer: after every failure the log is read for the record before it is sent again.
    """

    def __init__(self, bus: Log, clock: Clock, fence: Fence) -> None:
        self._bus = bus
        self._clock = clock
        self._fence = fence
        self._faults = RateLimitedLog(log, "log_away", clock)
        self.sequence = fence.sequence

    async def store(self, subject: str, message_id: str, payload: bytes) -> None:
        """Return when the record is in the log, once. Raises Fenced."""
        doubtful = False
        pause = _FIRST_PAUSE_S
        while True:
            try:
                stored = await self._find(subject, payload) if doubtful else None
                if stored is None:
                    stored = await self._bus.append(self._fence, subject, message_id, payload)
            except BusUnavailable as error:
                doubtful = True
                _retries.inc()
                self._faults.note(error, room=self._fence.room)
                await self._clock.sleep(pause)
                pause = min(_LONGEST_PAUSE_S, 2 * pause)
            else:
                self.sequence = max(self.sequence, stored)
                _acked.inc()
                return

    async def _find(self, subject: str, payload: bytes) -> int | None:
        """Return where the record is stored, if it is, among the few that can stand after the last acknowledged."""
        for record in await self._bus.read(subject, after=self.sequence, limit=16):
            if record.payload == payload:
                return record.sequence
        return None


class LogWriter:
    """The line of one epoch's records.

    Owned by the room's process: it runs ``run`` in its TaskGroup, calls ``write`` from the program, and ends with
    ``drain``. Takes over the spool and closes it when ``run`` ends.
    """

    def __init__(
        self, bus: Log, clock: Clock, fence: Fence, spool: Spool, *, max_memory_bytes: int = _MAX_MEMORY_BYTES
    ) -> None:
        self._clock = clock
        self._fence = fence
        self._spool = spool
        self._storing = Storing(bus, clock, fence)
        self._max_memory_bytes = max_memory_bytes
        self._memory_bytes = 0
        self._line: deque[tuple[Entry, MonotonicNs]] = deque()
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._closing = False
        self._overflow = RateLimitedLog(log, "log_record_lost", clock)
        self.fenced = False

    @property
    def pending(self) -> int:
        """Return how many records are not yet acknowledged."""
        return len(self._line)

    def write(self, subject: str, message_id: str, payload: bytes) -> bool:
        """Take a record at once; return False when the epoch is over and the record must not go out live either.

        ``message_id`` names room, epoch and record: ``demo.3.opus.8812``. It returns after 2 ms at most, whatever the
        disk does. When neither memory nor spool can hold a record, it is lost, counted and said.
        """
        if self.fenced or self._closing:
            return False
        added = entry(subject, message_id, payload)
        self._spool.append(added)
        if self._spool.sealed:
            self.fenced = True
            self._changed.set()
            return False
        if added.offset is not None and self._memory_bytes + added.size_bytes > self._max_memory_bytes:
            added.payload = None
        elif len(self._line) >= _MAX_ENTRIES or self._memory_bytes > 2 * self._max_memory_bytes:
            _lost.inc()
            self._overflow.note("neither memory nor spool can hold it", room=self._fence.room)
            return True
        else:
            self._memory_bytes += added.size_bytes
        self._line.append((added, self._clock.monotonic_ns()))
        _pending.set(len(self._line))
        self._changed.set()
        return True

    async def run(self) -> None:
        """Store the line until ``drain`` has emptied it. Raises Fenced, for good, when a later epoch owns the room."""
        try:
            while await self._filled():
                added, since = self._line[0]
                payload = await self._payload(added)
                if payload is not None:
                    await self._storing.store(added.subject, added.message_id, payload)
                    _latency.observe((self._clock.monotonic_ns() - since) / NS_PER_S)
                self._forget_head()
        except Fenced:
            self.fenced = True
            log.error("fenced", room=self._fence.room, epoch=self._fence.epoch, pending=len(self._line))
            raise
        finally:
            ended_clean = self._closing and not self._line and not self.fenced
            # Not in a thread: the loop may be ending, and what waits is little.
            self._spool.close(delete=ended_clean)
            self._ended.set()

    async def drain(self, timeout_s: float) -> bool:
        """Take no more records; return True when all are acknowledged, False after ``timeout_s`` or when fenced.

        After True ``run`` returns and the spool is gone. After False the owner cancels ``run``; the spool stays for a
        successor.
        """
        self._closing = True
        self._changed.set()

        async def give_up() -> None:
            await self._clock.sleep(timeout_s)
            self._ended.set()

        async with asyncio.TaskGroup() as group:
            timer = group.create_task(give_up())
            await self._ended.wait()
            timer.cancel()
        return not self._line and not self.fenced

    async def _filled(self) -> bool:
        """Wait for a record; return False when there will be none."""
        while not self._line or self.fenced:
            if self.fenced:
                raise Fenced(f"A successor has taken the spool of epoch {self._fence.epoch}.")
            if self._closing:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    async def _payload(self, added: Entry) -> bytes | None:
        """Return a record's bytes, from the spool if need be; None when they are lost."""
        if added.payload is not None:
            return added.payload
        try:
            return await asyncio.to_thread(self._spool.load, added)
        except OSError as error:
            _lost.inc()
            self._overflow.note(error, room=self._fence.room)
            return None

    def _forget_head(self) -> None:
        added, _ = self._line.popleft()
        if added.payload is not None:
            self._memory_bytes -= added.size_bytes
        if not self._line:
            self._spool.acknowledged(self._storing.sequence)
        _pending.set(len(self._line))
