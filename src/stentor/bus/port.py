"""The bus as the rest of Stentor sees it.

Two ways, never mixed. *Core* messages go out at once, at most once, and never wait: live chunks, events,
heartbeats, requests. The *log* is durable and fenced: a record is acknowledged only once it is stored, and
only while its writer holds the newest epoch of the room. Documents are small JSON values, each with a single
writer, that survive restarts and can be watched. Leases are documents that expire.

One suite (tests/ports) judges every implementation; ``bus/nats`` is the only one in production.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

Deliver = Callable[[str, bytes], None]
"""Called with (subject, payload) on the event loop for each message; must not block and must not raise."""

Answer = Callable[[str, bytes], Awaitable[bytes]]
"""Called with (subject, payload) of a request; returns the reply. An exception becomes no reply at all."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of an origin's tenure: ``epoch`` counts from 1, ``sequence`` is where the claim is stored."""

    room: str
    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Record:
    """One stored message of the log. ``sequence`` grows over the whole log, with holes between rooms."""

    sequence: int
    subject: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document and its revision; ``value`` is None when it was deleted or has expired."""

    key: str
    value: bytes | None
    revision: int


class Core(Protocol):
    """Messages at most once, now."""

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send to whoever listens now. Does not wait for anybody; silently lost while the bus is away."""
        ...

    def subscribe(self, subject: str, deliver: Deliver) -> AbstractAsyncContextManager[None]:
        """Deliver every message on ``subject`` (``*`` one token, ``>`` the rest) inside the context.

        Survives reconnects of the bus. Messages in order per publisher.
        """
        ...

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Return the reply of whoever serves ``subject``; raises BusUnavailable on none or time-out."""
        ...

    def serve(self, subject: str, answer: Answer) -> AbstractAsyncContextManager[None]:
        """Answer requests on ``subject`` inside the context; each request is its own task, at most 64 at a time."""
        ...


class Log(Protocol):
    """The durable log: subjects ``room.{room}.…``."""

    async def claim(self, room: str, note: bytes) -> Fence:
        """Begin a new epoch of a room: one more than the last. From then on every older fence is refused.

        ``note`` (JSON, for people) is stored with the claim. Raises BusUnavailable; retries lost races itself.
        """
        ...

    async def append(self, fence: Fence, subject: str, message_id: str, payload: bytes) -> int:
        """Store a record and return its sequence once it is durable.

        ``message_id`` makes a retry harmless within the dedup window. Raises Fenced for good when a later
        epoch exists, BusUnavailable when it is not known whether the record was stored: retry.
        """
        ...

    async def last(self, subject: str) -> Record | None:
        """Return the newest record whose subject is exactly ``subject``."""
        ...

    async def read(self, subject: str, *, after: int, limit: int) -> list[Record]:
        """Return up to ``limit`` records matching ``subject`` (wildcards allowed) with sequence > ``after``."""
        ...

    def follow(self, subject: str, *, after: int) -> AsyncIterator[Record]:
        """Yield records matching ``subject`` with sequence > ``after``, then new ones as they come, for ever.

        In order, none missing, none twice; goes on by itself after the bus was away.
        """
        ...

    async def purge(self, room: str) -> None:
        """Forget a room's records, ``epoch`` of the room last. Only for rooms that are published or deleted."""
        ...


class Documents(Protocol):
    """Named buckets of small documents.

    ``rooms``, ``stages``, ``leases``, ``installation`` and ``doors``; keys are room ids or host names.

    While the bus is away all but ``watch`` raise BusUnavailable; a write may then have been stored all the same.
    """

    async def get(self, bucket: str, key: str) -> Document | None:
        """Return a document, or None when there is none."""
        ...

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        """Store a document whatever was there; return its revision."""
        ...

    async def create(self, bucket: str, key: str, value: bytes) -> int | None:
        """Store a document only where there is none; return its revision, or None when there is one."""
        ...

    async def update(self, bucket: str, key: str, value: bytes, *, revision: int) -> int | None:
        """Store a document only over ``revision``; return the new one, or None when it has moved on."""
        ...

    async def delete(self, bucket: str, key: str) -> None:
        """Delete a document; no error when there is none."""
        ...

    def watch(self, bucket: str) -> AsyncIterator[Document | None]:
        """Yield every document of a bucket, then one None, then each change, for ever.

        Goes on by itself after the bus was away (then everything is said again without a second None).
        Documents of ``leases`` expire 15 s after they were last written and are yielded with value None.
        """
        ...


class Bus(Core, Log, Documents, Protocol):
    """Everything of the bus. ``connected`` is what readiness shows."""

    @property
    def connected(self) -> bool:
        """Tell whether the bus answers at the moment."""
        ...


def chunk_subject(room: str, rendition: str) -> str:
    """Return the log's subject of a room's chunks in one rendition."""
    return f"room.{room}.chunk.{rendition}"


def event_subject(room: str) -> str:
    """Return the log's subject of a room's events (see room/events)."""
    return f"room.{room}.event"


def live_chunk_subject(room: str, rendition: str) -> str:
    """Return the core subject on which chunks go out at due time."""
    return f"live.{room}.chunk.{rendition}"


def live_stage_subject(room: str) -> str:
    """Return the core subject on which an origin says who is on stage and who speaks (StageDocument)."""
    return f"live.{room}.stage"


def live_audience_subject(room: str) -> str:
    """Return the core subject on which edges say how many listen (AudienceReport)."""
    return f"live.{room}.audience"


def door_word_subject(room: str) -> str:
    """Return the core subject on which the door's leader says who is let in (room/door_words)."""
    return f"door.{room}.word"


def door_report_subject(room: str) -> str:
    """Return the core subject on which each edge says who came to a room's door (room/door_words)."""
    return f"door.{room}.report"


def meter_subject(edge: str) -> str:
    """Return the core subject on which an edge says who arrives, each 5 s (room/crowd_meter)."""
    return f"meter.{edge.replace('.', '_')}"


def load_subject(edge: str) -> str:
    """Return the core subject on which an edge says how busy it is (room/ladder.LoadReport)."""
    return f"load.{re.sub(r'[^A-Za-z0-9_-]', '_', edge)}"


def origin_subject(room: str, verb: str) -> str:
    """Return the core subject on which a room's origin answers requests."""
    return f"origin.{room}.{verb}"


def hand_subject(room: str) -> str:
    """Return the core subject on which control answers for a room's raised hands (room/hands)."""
    return f"control.{room}.hand"


def rehearsal_order_subject(rehearsal: str) -> str:
    """Return the core subject on which a rehearsal's coordinator tells its workers what to do (rehearsal/orders)."""
    return f"rehearsal.{rehearsal}.order"


def rehearsal_report_subject(rehearsal: str) -> str:
    """Return the core subject on which a rehearsal's workers say how it goes (rehearsal/orders)."""
    return f"rehearsal.{rehearsal}.report"


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject fits a pattern: ``*`` is one token, ``>`` at the end one or more."""
    wanted, given = pattern.split("."), subject.split(".")
    for at, want in enumerate(wanted):
        if want == ">":
            return len(given) > at
        if at >= len(given) or want not in ("*", given[at]):
            return False
    return len(wanted) == len(given)
