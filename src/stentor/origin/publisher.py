"""Sends a room's chunks and events on their two ways: LIVE at once, LOG through the fenced writer.

Also holds the ring: the last 50 s of each rendition, for edges that missed something or begin.
"""

from collections import deque
from typing import Protocol

from prometheus_client import Counter

from stentor.bus.port import Core, chunk_subject, event_subject, live_chunk_subject
from stentor.bus.ring import pack_messages
from stentor.bus.wire import encode_chunk
from stentor.media.chunk import Chunk
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.documents import RoomEvent
from stentor.room.requests import RingRead

RING_STEPS = 208
"""26 segments: what an edge wants to begin with (edge/relay) and the two at its ends that may not be whole."""

_CHUNKS = Counter("stentor_origin_chunks_total", "Chunks published live", ["rendition"])


class Writer(Protocol):
    """The log's side: takes a record at once and stores it when it can."""

    def write(self, subject: str, message_id: str, payload: bytes) -> bool:
        """Queue a record, never blocking; False when the epoch is over and nothing may go out any more."""
        ...


class Publisher:
    """Publishes for one epoch of one room."""

    def __init__(self, core: Core, writer: Writer | None, room: str, epoch: int) -> None:
        """``writer`` is None for a room that is not recorded: nothing of it is stored."""
        self._core = core
        self._writer = writer
        self._room = room
        self._epoch = epoch
        self._events = 0
        self._rings: dict[RenditionName, deque[tuple[int, bytes]]] = {
            name: deque(maxlen=RING_STEPS) for name in RENDITIONS
        }

    async def chunk(self, chunk: Chunk) -> None:
        """Put a chunk into ring and log, and send it to whoever listens now.

        The log's spool comes before LIVE: what a listener may have heard is on disk.
        """
        message = encode_chunk(chunk)
        self._rings[chunk.rendition].append((chunk.step, message))
        if self._writer is not None:
            message_id = f"{self._room}.{chunk.epoch}.{chunk.rendition}.{chunk.step}"
            if not self._writer.write(chunk_subject(self._room, chunk.rendition), message_id, message):
                return
        _CHUNKS.labels(chunk.rendition).inc()
        await self._core.publish(live_chunk_subject(self._room, chunk.rendition), message)

    def event(self, event: RoomEvent) -> None:
        """Put an event into the log."""
        if self._writer is None:
            return
        self._events += 1
        message_id = f"{self._room}.{self._epoch}.event.{self._events}"
        self._writer.write(event_subject(self._room), message_id, event.to_bytes())

    def ring(self, wanted: RingRead) -> bytes:
        """Return the chunks of a rendition after a step, oldest first, as a ring reply."""
        ring = self._rings.get(RenditionName(wanted.rendition), deque())
        return pack_messages([message for step, message in ring if step > wanted.after_step])
