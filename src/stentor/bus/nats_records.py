"""Reading streams without state on the server: by sequence number, many records at once.

A reader remembers only the last sequence it has seen. It asks for what comes after (a batch of direct gets, ADR-31 of
NATS), waits until something is published on the subject or a moment has passed, and asks again. So it survives
restarts, elections and outages by doing what it always does.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import nats.errors
from nats.aio.msg import Msg

from stentor.bus.nats_core import NatsCore, unavailable
from stentor.clock import NS_PER_S
from stentor.errors import BusUnavailable

_TIMEOUT_S = 2.0
_BATCH = 256
# A message is told to subscribers a little before it is stored.
_STORED_SOON_S = 0.02
_POLL_S, _QUIET_POLL_S = 0.5, 5.0
"""How often to look without a bell: for a while after one whose message has not come, as a cluster may store late; and
else, in case that one was lost."""
_LATE_S = 10.0


class Bell(asyncio.Event):
    """Set when something is published that is about to be stored, and when the bus comes back.

    ``expires``: what is stored may also change by itself now, without a word to subscribers. ``due``: how many messages
    it has rung for that have not come; a refused one never does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expires = False
        self.due = 0
        self._rung_ns = 0

    def ring(self, now_ns: int) -> None:
        """Note that a message is about to be stored."""
        self.due = (self.due if self.is_late(now_ns) else 0) + 1
        self._rung_ns = now_ns
        self.set()

    def came(self, messages: int) -> None:
        """Note that so many were there."""
        self.due = max(0, self.due - messages)

    def is_late(self, now_ns: int) -> bool:
        """Tell whether a message that it rang for may still come."""
        return self.due > 0 and now_ns - self._rung_ns < _LATE_S * NS_PER_S


@dataclass(frozen=True, slots=True)
class Stored:
    """One message of a stream, with its headers."""

    sequence: int
    subject: str
    payload: bytes
    headers: dict[str, str]


class NatsRecords(NatsCore):
    """Streams as sequences of stored messages."""

    async def _batch(self, stream: str, subject: str, after: int, limit: int) -> list[Stored]:
        """Return up to ``limit`` messages of ``subject`` (wildcards allowed) after a sequence.

        Raises BusUnavailable when the answer does not come whole.
        """
        stored: list[Stored] = []
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def on_message(message: Msg) -> None:
            headers = message.headers or {}
            if "Nats-Sequence" in headers:
                stored.append(Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data, headers))
            elif not ended.done():
                ended.set_result(headers.get("Status", "?"))

        question = json.dumps({"seq": after + 1, "batch": limit, "next_by_subj": subject}).encode()
        with unavailable("read"):
            inbox = self._nats.new_inbox()
            answers = await self._nats.subscribe(inbox, cb=on_message)
            try:
                await self._nats.publish(f"$JS.API.DIRECT.GET.{stream}", question, reply=inbox)
                async with asyncio.timeout(_TIMEOUT_S):
                    status = await ended
            finally:
                if not self._nats.is_closed:
                    await answers.unsubscribe()
        if status not in ("204", "404"):
            raise BusUnavailable(f"The bus cannot be read at the moment (status {status}).")
        return stored

    async def _read_all(self, stream: str, subject: str, after: int, limit: int) -> list[Stored]:
        """Return up to ``limit`` messages in as many batches as it takes."""
        stored: list[Stored] = []
        while len(stored) < limit:
            batch = await self._batch(stream, subject, after, min(_BATCH, limit - len(stored)))
            if not batch:
                break
            stored += batch
            after = batch[-1].sequence
        return stored

    @asynccontextmanager
    async def _bell(self, subject: str) -> AsyncIterator[Bell]:
        """Yield an event that is set when something is published on ``subject`` and when the bus comes back."""
        bell = Bell()

        async def ring(_message: Msg) -> None:
            bell.ring(self._clock.monotonic_ns())

        self._on_return.add(bell)
        try:
            async with self._subscription(subject, ring):
                yield bell
        finally:
            self._on_return.discard(bell)

    async def _next(self, stream: str, subject: str, after: int, bell: Bell) -> list[Stored]:
        """Return the next messages after a sequence, waiting a moment for them; empty when none came.

        Never raises: while the bus is away it waits and returns nothing.
        """
        rung = bell.is_set()
        bell.clear()
        try:
            stored = await self._batch(stream, subject, after, _BATCH)
            if not stored and rung:
                await self._clock.sleep(_STORED_SOON_S)
                stored = await self._batch(stream, subject, after, _BATCH)
            if stored:
                bell.came(len(stored))
                return stored
        except (BusUnavailable, nats.errors.ConnectionClosedError):
            if self._nats.is_closed:
                raise
        try:
            async with asyncio.timeout(self._poll_s(bell)):
                await bell.wait()
        except TimeoutError:
            pass
        return []

    def _poll_s(self, bell: Bell) -> float:
        return _POLL_S if bell.expires or bell.is_late(self._clock.monotonic_ns()) else _QUIET_POLL_S
