"""A bus inside one process, for tests: the same promises as ``bus/nats``, judged by the same suite.

Nothing here survives the process. ``away`` and ``back`` stand for an outage; ``lose_next_ack`` for a record
that is stored although its writer is told otherwise.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from stentor.bus.port import Answer, Deliver, Document, Fence, Record, matches
from stentor.bus.serving import Requests
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.errors import BusUnavailable, Fenced

_DEDUP_NS = 120 * NS_PER_S
_AWAY = "The bus is away; try again in a moment."


@dataclass(slots=True)
class _Stored:
    document: Document
    expires: MonotonicNs | None


class MemoryBus:
    """Implements ``bus.port.Bus``. Everything runs on one event loop; messages arrive within ``publish``."""

    def __init__(self, clock: Clock, *, lease_ttl_s: float = 15.0) -> None:
        self._clock = clock
        self._lease_ttl_ns = int(lease_ttl_s * NS_PER_S)
        self._away = False
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._outages = 0
        self._lose_ack = False
        self._subscribers: list[tuple[str, Deliver]] = []
        self._services: list[tuple[str, Callable[[str, bytes], Awaitable[bytes | None]]]] = []
        self._records: list[Record] = []
        self._sequence = 0
        self._seen: dict[str, tuple[MonotonicNs, int]] = {}
        self._buckets: dict[str, dict[str, _Stored]] = {}
        self._revision = 0
        self._bells: set[asyncio.Event] = set()

    @property
    def connected(self) -> bool:
        """Tell whether the bus is there."""
        return not self._away

    def away(self) -> None:
        """Begin an outage: messages are lost, calls raise BusUnavailable, followers wait."""
        self._away = True
        self._outages += 1
        self._resumed.clear()

    def back(self) -> None:
        """End the outage; followers and watchers go on."""
        self._away = False
        self._resumed.set()
        self._ring()

    def lose_next_ack(self) -> None:
        """Store the next appended record and raise BusUnavailable all the same."""
        self._lose_ack = True

    # Core

    async def publish(self, subject: str, payload: bytes) -> None:
        """Deliver to every matching subscriber before returning; lost while away."""
        if self._away:
            return
        for pattern, deliver in list(self._subscribers):
            if matches(pattern, subject):
                deliver(subject, payload)

    @asynccontextmanager
    async def subscribe(self, subject: str, deliver: Deliver) -> AsyncIterator[None]:
        """Deliver matching messages inside the context."""
        entry = (subject, deliver)
        self._subscribers.append(entry)
        try:
            yield
        finally:
            self._subscribers.remove(entry)

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Ask whoever serves ``subject``; no answer is BusUnavailable after ``timeout_s`` of real time."""
        self._check()
        for pattern, handle in self._services:
            if matches(pattern, subject):
                try:
                    async with asyncio.timeout(timeout_s):
                        reply = await handle(subject, payload)
                        if reply is None:
                            await asyncio.Event().wait()
                except TimeoutError:
                    break
                if reply is not None:
                    return reply
        raise BusUnavailable(f"Nobody answers on {subject}.")

    def serve(self, subject: str, answer: Answer) -> AbstractAsyncContextManager[None]:
        """Answer requests inside the context."""
        return self._serve(subject, Requests(answer))

    @asynccontextmanager
    async def _serve(self, subject: str, requests: Requests) -> AsyncIterator[None]:
        async def handle(asked: str, payload: bytes) -> bytes | None:
            answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

            async def reply(answer: bytes) -> None:
                if not answered.done():
                    answered.set_result(answer)

            requests.take(asked, payload, reply)
            return await answered

        entry = (subject, handle)
        async with requests:
            self._services.append(entry)
            try:
                yield
            finally:
                self._services.remove(entry)

    # Log

    async def claim(self, room: str, note: bytes) -> Fence:
        """Store the next epoch."""
        self._check()
        last = self._last(f"room.{room}.epoch")
        epoch = 1 + (int(json.loads(last.payload)["epoch"]) if last else 0)
        body = json.dumps({"epoch": epoch, "note": note.decode()}).encode()
        return Fence(room, epoch, self._store(f"room.{room}.epoch", body))

    async def append(self, fence: Fence, subject: str, message_id: str, payload: bytes) -> int:
        """Store a record under a fence."""
        self._check()
        now = self._clock.monotonic_ns()
        seen = self._seen.get(message_id)
        if seen is not None and now - seen[0] < _DEDUP_NS:
            return seen[1]
        last = self._last(f"room.{fence.room}.epoch")
        if last is None or last.sequence != fence.sequence:
            raise Fenced(f"A later epoch than {fence.epoch} owns room {fence.room}.")
        sequence = self._store(subject, payload)
        self._seen[message_id] = (now, sequence)
        if self._lose_ack:
            self._lose_ack = False
            raise BusUnavailable("The acknowledgement was lost.")
        return sequence

    async def last(self, subject: str) -> Record | None:
        """Return the newest record of a subject."""
        self._check()
        return self._last(subject)

    async def read(self, subject: str, *, after: int, limit: int) -> list[Record]:
        """Return matching records in order."""
        self._check()
        found = (r for r in self._records if r.sequence > after and matches(subject, r.subject))
        return [record for record, _ in zip(found, range(limit), strict=False)]

    async def follow(self, subject: str, *, after: int) -> AsyncIterator[Record]:
        """Yield matching records for ever."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            while True:
                bell.clear()
                await self._resumed.wait()
                for record in list(self._records):
                    if record.sequence > after and matches(subject, record.subject):
                        await self._resumed.wait()
                        after = record.sequence
                        yield record
                await bell.wait()
        finally:
            self._bells.discard(bell)

    async def purge(self, room: str) -> None:
        """Forget a room's records."""
        self._check()
        self._records = [r for r in self._records if not r.subject.startswith(f"room.{room}.")]

    # Documents

    async def get(self, bucket: str, key: str) -> Document | None:
        """Return a document."""
        self._check()
        stored = self._fresh(bucket).get(key)
        return stored.document if stored and stored.document.value is not None else None

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        """Store a document."""
        self._check()
        return self._write(bucket, key, value)

    async def create(self, bucket: str, key: str, value: bytes) -> int | None:
        """Store a document where there is none."""
        return None if await self.get(bucket, key) else self._write(bucket, key, value)

    async def update(self, bucket: str, key: str, value: bytes, *, revision: int) -> int | None:
        """Store a document over ``revision``."""
        there = await self.get(bucket, key)
        return self._write(bucket, key, value) if there and there.revision == revision else None

    async def delete(self, bucket: str, key: str) -> None:
        """Delete a document."""
        if await self.get(bucket, key):
            self._write(bucket, key, None)

    async def watch(self, bucket: str) -> AsyncIterator[Document | None]:
        """Yield every document, one None, then each change."""
        bell = asyncio.Event()
        self._bells.add(bell)
        said, outages, complete = 0, self._outages, False
        try:
            while True:
                bell.clear()
                await self._resumed.wait()
                if outages != self._outages:
                    said, outages = 0, self._outages
                waiting = deque(
                    sorted(
                        (s.document for s in self._fresh(bucket).values() if s.document.revision > said),
                        key=lambda document: document.revision,
                    )
                )
                for document in waiting:
                    said = document.revision
                    if complete or document.value is not None:
                        yield document
                if not complete:
                    complete = True
                    yield None
                await self._rung_or_expired(bell, bucket)
        finally:
            self._bells.discard(bell)

    # Inside

    def _check(self) -> None:
        if self._away:
            raise BusUnavailable(_AWAY)

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()

    def _store(self, subject: str, payload: bytes) -> int:
        self._sequence += 1
        self._records.append(Record(self._sequence, subject, payload))
        self._ring()
        return self._sequence

    def _last(self, subject: str) -> Record | None:
        return next((r for r in reversed(self._records) if r.subject == subject), None)

    def _write(self, bucket: str, key: str, value: bytes | None) -> int:
        self._revision += 1
        leased = bucket == "leases" and value is not None
        expires = MonotonicNs(self._clock.monotonic_ns() + self._lease_ttl_ns) if leased else None
        self._buckets.setdefault(bucket, {})[key] = _Stored(Document(key, value, self._revision), expires)
        self._ring()
        return self._revision

    def _fresh(self, bucket: str) -> dict[str, _Stored]:
        """Return a bucket after deleting what has expired."""
        stored = self._buckets.setdefault(bucket, {})
        now = self._clock.monotonic_ns()
        for key, entry in list(stored.items()):
            if entry.expires is not None and entry.expires <= now:
                self._write(bucket, key, None)
        return stored

    async def _rung_or_expired(self, bell: asyncio.Event, bucket: str) -> None:
        """Return when something was written, or when the next document of the bucket expires."""
        deadlines = [s.expires for s in self._buckets.get(bucket, {}).values() if s.expires is not None]
        if not deadlines:
            await bell.wait()
            return

        async def ring_at(deadline: MonotonicNs) -> None:
            await self._clock.sleep_until(deadline)
            bell.set()

        async with asyncio.TaskGroup() as group:
            timer = group.create_task(ring_at(min(deadlines)))
            await bell.wait()
            timer.cancel()
