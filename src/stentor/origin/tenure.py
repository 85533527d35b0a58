"""How an origin takes a room over: claim the epoch, log what the predecessor left, find out where to go on."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stentor.bus.port import Fence, Log, Record, chunk_subject
from stentor.bus.wire import decode_chunk
from stentor.clock import Clock, UnixNs
from stentor.errors import BusUnavailable, MediaError
from stentor.media.chunk import Chunk
from stentor.media.grid import STEP_NS, Segment, Step, first_step, segment_of
from stentor.media.rendition import RenditionName
from stentor.origin.log_writer import Storing
from stentor.origin.spool import Leftover, Spool, leftovers
from stentor.telemetry import logger

_LONGEST_FILL_STEPS = 125
"""30 s: a longer hole is left open and marked by the discontinuity alone."""

_BATCH = 256
_PAUSE_S = 0.1

log = logger("origin")


@dataclass(frozen=True, slots=True)
class Tenure:
    """What a new origin must know.

    ``first_step`` is where its epoch begins (docs/design.md, "Time and numbers"); if that step has passed, the program
    fills the hole with silence. ``discontinuity`` goes into every chunk. ``heads`` has the hash of the last chunk of
    each rendition that has one: the proof goes on from there. ``last_step`` is the last step seen in log and spool.
    ``spool_found`` tells whether the predecessor ran on this machine. ``spool`` is open, for the ``LogWriter``.
    """

    fence: Fence
    discontinuity: int
    heads: Mapping[RenditionName, bytes]
    last_step: Step | None
    spool_found: bool
    first_step: Step
    spool: Spool

    @property
    def epoch(self) -> int:
        """Return the epoch's number."""
        return self.fence.epoch


def present_step(zero_ns: UnixNs, now_ns: UnixNs) -> Step:
    """Return the step that the wall clock is in; 0 before the room's zero."""
    return Step(max(0, (now_ns - zero_ns) // STEP_NS))


def first_step_of_epoch(last_step: Step | None, *, spool_found: bool, present: Step) -> Step:
    """Return the first step of a new epoch: on a segment boundary above every number that may have been seen.

    With the predecessor's spool at hand nothing can have been seen after ``last_step`` (the last in log and spool), so
    that is the next segment, unless it lies more than 30 s back. Without it, what was sent live may have gone up to
    the present step: the segment after that one.
    """
    following = first_step(Segment(segment_of(present) + 1))
    if last_step is None:
        return following
    after_last = first_step(Segment(segment_of(last_step) + 1))
    if spool_found and present - after_last <= _LONGEST_FILL_STEPS:
        return after_last
    return max(following, after_last)


async def take_over(bus: Log, clock: Clock, spool_dir: Path, room: str, note: bytes, *, zero_ns: UnixNs) -> Tenure:
    """Begin a new epoch of a room, waiting for the bus as long as it takes.

    Whatever the predecessors on this machine spooled and could not log is logged first, under the new fence; the old
    epoch stays in its payload, and what is already stored is skipped. Raises Fenced when a rival was faster.
    """
    fence = await _claim(bus, clock, room, note)
    # At once, so that a successor knows from the file that nothing of this epoch was seen elsewhere.
    spool = Spool(spool_dir, room, fence.epoch, fence.sequence, clock)
    try:
        newest = await _newest_chunks(bus, clock, room)
        found = await asyncio.to_thread(leftovers, spool_dir, room, below_epoch=fence.epoch)
        storing = Storing(bus, clock, fence)
        for leftover in found:
            await _log_leftover(bus, clock, storing, leftover, fence)
            _take_newer(newest, leftover)
            await asyncio.to_thread(leftover.path.unlink, missing_ok=True)
    except BaseException:
        spool.close(delete=False)
        raise
    spool_found = any(leftover.epoch == fence.epoch - 1 for leftover in found)
    last = max(newest.values(), key=lambda chunk: chunk.position, default=None)
    last_step = max((chunk.step for chunk in newest.values()), default=None)
    begins = first_step_of_epoch(last_step, spool_found=spool_found, present=present_step(zero_ns, clock.wall_ns()))
    log.info("epoch_begins", room=room, epoch=fence.epoch, first_step=begins, last_step=last_step, spool=spool_found)
    return Tenure(
        fence=fence,
        discontinuity=last.discontinuity + 1 if last else 0,
        heads={name: chunk.head for name, chunk in newest.items()},
        last_step=last_step,
        spool_found=spool_found,
        first_step=begins,
        spool=spool,
    )


async def _claim(bus: Log, clock: Clock, room: str, note: bytes) -> Fence:
    while True:
        try:
            return await bus.claim(room, note)
        except BusUnavailable as error:
            log.warning("claim_waits", room=room, error=error.detail)
        await clock.sleep(_PAUSE_S)


async def _newest_chunks(bus: Log, clock: Clock, room: str) -> dict[RenditionName, Chunk]:
    """Return the last chunk of each rendition in the log."""
    newest = {}
    for name in RenditionName:
        record = await _last(bus, clock, chunk_subject(room, name))
        if record is None:
            continue
        try:
            newest[name] = decode_chunk(record.payload)
        except MediaError as error:
            # The proof will show a break here; the room must go on all the same.
            log.error(
                "last_chunk_garbled", room=room, rendition=str(name), sequence=record.sequence, error=error.detail
            )
    return newest


async def _last(bus: Log, clock: Clock, subject: str) -> Record | None:
    while True:
        try:
            return await bus.last(subject)
        except BusUnavailable:
            await clock.sleep(_PAUSE_S)


async def _log_leftover(bus: Log, clock: Clock, storing: Storing, leftover: Leftover, fence: Fence) -> None:
    """Store the entries of a predecessor's file that the log does not have."""
    if not leftover.entries:
        return
    stored = await _stored_between(bus, clock, fence, leftover.after)
    missing = [each for each in leftover.entries if (each.subject, each.payload) not in stored]
    for each in missing:
        await storing.store(each.subject, each.message_id, each.payload or b"")
    log.info("spool_logged", room=fence.room, of_epoch=leftover.epoch, records=len(missing))


async def _stored_between(bus: Log, clock: Clock, fence: Fence, after: int) -> set[tuple[str, bytes]]:
    """Return what the room's log holds from a sequence to our claim: nobody else can have added to it since."""
    stored: set[tuple[str, bytes]] = set()
    while after < fence.sequence:
        try:
            records = await bus.read(f"room.{fence.room}.>", after=after, limit=_BATCH)
        except BusUnavailable:
            records = []
        if not records:
            await clock.sleep(_PAUSE_S)
            continue
        after = records[-1].sequence
        stored.update((record.subject, record.payload) for record in records)
    return stored


def _take_newer(newest: dict[RenditionName, Chunk], leftover: Leftover) -> None:
    """Let a leftover's chunks be the newest where they are."""
    for each in leftover.entries:
        try:
            chunk = decode_chunk(each.payload or b"")
        except MediaError:
            continue
        if chunk.rendition not in newest or newest[chunk.rendition].position < chunk.position:
            newest[chunk.rendition] = chunk
