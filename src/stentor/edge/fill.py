"""Where an edge finds chunks that did not reach it live: the origin's ring, then the log."""

import asyncio

from stentor.bus.port import Bus, chunk_subject, origin_subject
from stentor.bus.ring import unpack_chunks
from stentor.bus.wire import decode_chunk
from stentor.edge.metrics import FILLED
from stentor.errors import MediaError, Unavailable
from stentor.media.chunk import Chunk
from stentor.media.grid import Step
from stentor.media.rendition import RenditionName
from stentor.room.requests import RingRead

RING_TIMEOUT_S = 0.5
LOG_TIMEOUT_S = 1.5
_LOG_SPANS = (1_024, 16_384)


async def from_ring(bus: Bus, room: str, rendition: RenditionName, after: Step) -> list[Chunk]:
    """Return the chunks after a step that the room's origin still holds; none when it does not answer."""
    ask = RingRead(rendition=rendition, after_step=after).to_bytes()
    try:
        reply = await bus.request(origin_subject(room, "ring"), ask, timeout_s=RING_TIMEOUT_S)
        chunks = _ours(unpack_chunks(reply), room, rendition, after)
    except (Unavailable, MediaError):
        return []
    FILLED.labels("ring").inc(len(chunks))
    return chunks


async def from_log(bus: Bus, room: str, rendition: RenditionName, after: Step) -> list[Chunk]:
    """Return the newest logged chunks after a step, at least as far back as the log's last 16,384 records.

    The log is numbered over all rooms, so how far back a step lies is found by trying a near span and then a far one.
    """
    subject = chunk_subject(room, rendition)
    chunks: list[Chunk] = []
    try:
        async with asyncio.timeout(LOG_TIMEOUT_S):
            last = await bus.last(subject)
            for span in _LOG_SPANS if last is not None else ():
                assert last is not None  # noqa: S101 - for the type checker
                start = max(0, last.sequence - span)
                records = await bus.read(subject, after=start, limit=span)
                found = [decode_chunk(record.payload) for record in records]
                chunks = _ours(found, room, rendition, after)
                if start == 0 or (found and min(chunk.step for chunk in found) <= after + 1):
                    break
    except (Unavailable, MediaError, TimeoutError):
        return []
    FILLED.labels("log").inc(len(chunks))
    return chunks


def _ours(chunks: list[Chunk], room: str, rendition: RenditionName, after: Step) -> list[Chunk]:
    mine = [chunk for chunk in chunks if chunk.room == room and chunk.rendition is rendition and chunk.step > after]
    return sorted(mine, key=lambda chunk: (chunk.step, -chunk.epoch))
