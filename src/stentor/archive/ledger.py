"""Turns a room's log into objects: records in, segments and an index out.

Pure, so that a resumed archive makes byte for byte what one that never stopped would have made.
Every object is a function of the log alone. A segment is closed by its last step, by a chunk beyond it, or by the
end; only the steps on air (from ``start`` to the end, holds included) are kept, so what was before the start is in
no object. The index moves on only when a segment closes: its ``after`` lies before the first record of whatever is
still open, and what is then read again is recognised by its position and dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from prometheus_client import Counter

from stentor.bus.port import Record
from stentor.bus.wire import decode_chunk
from stentor.errors import MediaError
from stentor.media.chunk import Chunk
from stentor.media.fmp4 import fragment, init_segment
from stentor.media.grid import STEP_NS, STEPS_PER_PART, STEPS_PER_SEGMENT, Segment, Step, first_unit, units_in
from stentor.media.proof import first_head, link
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.documents import EventKind, RoomEvent
from stentor.room.states import RoomState
from stentor.store.recording import LoggedEvent, RecordingIndex, Run, Stored, init_path, segment_path
from stentor.telemetry import logger

HEAD_BYTES = 32
HEADS_PER_BLOCK = 256

_REFUSED = Counter("stentor_archive_refused_total", "Records of the log that could not be archived", ["reason"])
_UNLINKED = Counter("stentor_archive_unlinked_total", "Chunks whose head did not follow from the one before")

log = logger("archive")


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object to store. Immutable ones are only ever created; the others replace what was there."""

    path: str
    data: bytes
    immutable: bool = True


@dataclass(slots=True)
class _Open:
    """The segment that a rendition's chunks are filling."""

    epoch: int
    segment: Segment
    first_sequence: int
    before: bytes
    chunks: list[Chunk] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    heard: bytes = b""
    unlinked: int = 0


@dataclass(slots=True)
class _Track:
    """One rendition: what is stored, and the open segment."""

    stored: Stored
    heads: list[bytes]
    genesis: bytes
    open: _Open | None = None
    stored_blocks: int = 0

    @property
    def newest(self) -> tuple[int, int]:
        """Return the position of the newest chunk taken."""
        if self.open and self.open.chunks:
            return self.open.chunks[-1].position
        return (self.stored.epoch, self.stored.step)


class Ledger:
    """The archive's account of one room, from an index and the heads that belong to it."""

    def __init__(self, index: RecordingIndex, heads: dict[RenditionName, list[bytes]]) -> None:
        """``heads``: one head for each stored piece of each rendition, in order (see ``heads_path``)."""
        self._index = index
        self._events = list(index.events)
        self._sequence = index.after
        self._start_step, self._end_step = index.start_step, index.end_step
        self._tracks: dict[RenditionName, _Track] = {}
        for name, stored in index.renditions.items():
            known = heads.get(name, [])
            self._tracks[name] = _Track(
                stored, known, first_head(index.room, name), stored_blocks=len(known) // HEADS_PER_BLOCK
            )

    @property
    def index(self) -> RecordingIndex:
        """Return the index as of the segments closed so far."""
        held = [track.open.first_sequence - 1 for track in self._tracks.values() if track.open]
        return self._index.model_copy(
            update={
                "after": min(held, default=self._sequence),
                "events": tuple(self._events),
                "renditions": {name: track.stored for name, track in self._tracks.items()},
            }
        )

    @property
    def over(self) -> bool:
        """Tell whether the end is known and every rendition has all of its chunks."""
        end = self._end_step
        if end is None or self._start_step is None:
            return end is not None
        return all(name in self._tracks and self._tracks[name].newest[1] >= end - 1 for name in RENDITIONS)

    @property
    def heads(self) -> dict[RenditionName, list[bytes]]:
        """Return the head after each stored piece, by rendition."""
        return {name: track.heads for name, track in self._tracks.items()}

    def take(self, record: Record) -> list[NewObject]:
        """Take the next record of the room's log; return the objects that are complete with it."""
        self._sequence = max(self._sequence, record.sequence)
        kind = record.subject.split(".")[2] if record.subject.count(".") > 1 else ""
        try:
            if kind == "event":
                self._take_event(record)
            elif kind == "chunk":
                return self._take_chunk(record)
        except (MediaError, ValueError) as error:
            _REFUSED.labels("garbled").inc()
            log.error("record_refused", room=self._index.room, sequence=record.sequence, reason=str(error))
        return []

    def end_here(self) -> None:
        """Call the room over after the newest chunk, because nobody is left to say so."""
        if self._start_step is None or self._end_step is not None:
            return
        epoch, step = max((track.newest for track in self._tracks.values()), default=(0, self._start_step - 1))
        event = RoomEvent(
            kind=EventKind.STATE,
            at_ns=self._index.zero_ns + (step + 1) * STEP_NS,
            step=step + 1,
            epoch=epoch,
            state=RoomState.ENDED,
        )
        self._append_event(LoggedEvent(sequence=self._sequence, event=event))

    def finish(self) -> list[NewObject]:
        """Close whatever is open: nothing more will come."""
        return [new for name in self._tracks for new in self._close(name)]

    def head_blocks(self) -> list[NewObject]:
        """Return the blocks of heads that have grown since ``heads_are_stored``."""
        blocks = []
        for name, track in self._tracks.items():
            for number in range(track.stored_blocks, -(-len(track.heads) // HEADS_PER_BLOCK)):
                block = track.heads[number * HEADS_PER_BLOCK : (number + 1) * HEADS_PER_BLOCK]
                path = heads_path(self._index.room, name, number)
                blocks.append(NewObject(path, b"".join(block), immutable=False))
        return blocks

    def heads_are_stored(self) -> None:
        """Remember that every full block is stored."""
        for track in self._tracks.values():
            track.stored_blocks = len(track.heads) // HEADS_PER_BLOCK

    def _take_event(self, record: Record) -> None:
        if self._events and record.sequence <= self._events[-1].sequence:
            return
        event = RoomEvent.model_validate_json(record.payload)
        if event.kind in (EventKind.STATE, EventKind.ROSTER):
            said = next((e.event for e in reversed(self._events) if e.event.kind is event.kind), None)
            if said and (said.state, said.people) == (event.state, event.people):
                return
        self._append_event(LoggedEvent(sequence=record.sequence, event=event))

    def _append_event(self, logged: LoggedEvent) -> None:
        event = logged.event
        self._events.append(logged)
        if event.state is RoomState.LIVE and self._start_step is None:
            self._start_step = Step(event.step)
        if event.state is RoomState.ENDED and self._end_step is None:
            self._end_step = Step(event.step)

    def _take_chunk(self, record: Record) -> list[NewObject]:
        chunk = decode_chunk(record.payload)
        name = chunk.rendition
        track = self._tracks.get(name)
        if track is None:
            track = self._tracks[name] = _Track(Stored(), [], first_head(self._index.room, name))
        if chunk.position <= track.newest:
            return []
        _check(chunk, self._index.room)
        end = self._end_step
        if end is not None and chunk.step >= end:
            return []
        closed = []
        if track.open and (track.open.epoch, track.open.segment) != (chunk.epoch, chunk.segment):
            closed = self._close(name)
        self._add(track, chunk, record.sequence)
        if chunk.step % STEPS_PER_SEGMENT == STEPS_PER_SEGMENT - 1 or chunk.step + 1 == end:
            closed += self._close(name)
        return closed

    def _add(self, track: _Track, chunk: Chunk, sequence: int) -> None:
        """Put a chunk into its open segment and go on in the chain."""
        stored = track.stored
        if track.open is None:
            head = bytes.fromhex(stored.head) or track.genesis
            heard = bytes.fromhex(stored.heard) or track.genesis
            track.open = _Open(chunk.epoch, chunk.segment, sequence, head, heard=heard)
        open_ = track.open
        if link(open_.heard, chunk) != chunk.head:
            open_.unlinked += 1
            _UNLINKED.inc()
            log.error("chunk_unlinked", room=chunk.room, rendition=chunk.rendition, epoch=chunk.epoch, step=chunk.step)
        previous = open_.heads[-1] if open_.heads else open_.before
        open_.heads.append(link(previous, chunk))
        open_.heard = chunk.head
        open_.chunks.append(chunk)

    def _close(self, name: RenditionName) -> list[NewObject]:
        """Close a rendition's open segment: keep what was on air, move the account on."""
        track = self._tracks[name]
        open_, stored = track.open, track.stored
        if open_ is None:
            return []
        start, end = self._start_step, self._end_step
        taken = [(c, h) for c, h in zip(open_.chunks, open_.heads, strict=True) if end is None or c.step < end]
        kept = [(c, h) for c, h in taken if start is not None and c.step >= start]
        if kept and not stored.runs:
            lobby = len(taken) - len(kept)
            before = taken[lobby - 1][1] if lobby else open_.before
            stored = stored.model_copy(update={"before": before.hex()})
        runs, new = self._keep(name, list(stored.runs), kept)
        epoch, step = open_.chunks[-1].position
        track.stored = stored.model_copy(
            update={
                "runs": tuple(runs),
                "head": (taken[-1][1] if taken else open_.before).hex(),
                "heard": open_.heard.hex(),
                "unlinked": stored.unlinked + open_.unlinked,
                "epoch": epoch,
                "step": step,
            }
        )
        track.open = None
        return new

    def _keep(
        self, name: RenditionName, runs: list[Run], kept: list[tuple[Chunk, bytes]]
    ) -> tuple[list[Run], list[NewObject]]:
        """Return the runs with the kept chunks added, and the objects that hold them."""
        if not kept:
            return runs, []
        new, fragments = [], []
        first = kept[0][0]
        if name is not RenditionName.MP3 and all(run.epoch != first.epoch for run in runs):
            path = init_path(self._index.room, name, first.epoch)
            new.append(NewObject(path, init_segment(RENDITIONS[name])))
        for piece in _contiguous(kept):
            chunks = [chunk for chunk, _ in piece]
            self._tracks[name].heads.append(piece[-1][1])
            fragments.append(_wrap(name, chunks))
            if runs and runs[-1].epoch == first.epoch and runs[-1].last_step + 1 == chunks[0].step:
                runs[-1] = runs[-1].model_copy(update={"last_step": chunks[-1].step})
            else:
                runs.append(Run(epoch=first.epoch, first_step=chunks[0].step, last_step=chunks[-1].step))
        path = segment_path(self._index.room, name, first.epoch, first.segment)
        return runs, [*new, NewObject(path, b"".join(fragments))]


def heads_path(room: str, name: RenditionName, block: int) -> str:
    """Return the object that holds up to 256 heads of 32 bytes, one for each stored piece, in order."""
    return f"{room}/{name}/heads/{block}.bin"


def _check(chunk: Chunk, room: str) -> None:
    """Raise MediaError when a chunk is not of this room or does not hold exactly the units of its step."""
    frame = RENDITIONS[chunk.rendition].frame_samples
    expected = (room, first_unit(chunk.step, frame) * frame, units_in(chunk.step, frame))
    if (chunk.room, chunk.first_sample, len(chunk.units)) != expected:
        raise MediaError(f"The chunk of step {chunk.step} in {chunk.rendition} is off the room's grid.")


def _contiguous(kept: list[tuple[Chunk, bytes]]) -> Iterator[list[tuple[Chunk, bytes]]]:
    """Cut a segment's chunks where a step is missing."""
    piece: list[tuple[Chunk, bytes]] = []
    for entry in kept:
        if piece and entry[0].step != piece[-1][0].step + 1:
            yield piece
            piece = []
        piece.append(entry)
    yield piece


def _wrap(name: RenditionName, chunks: list[Chunk]) -> bytes:
    """Return consecutive chunks as the edge wraps them: a fragment for each part, or the bare frames of MP3."""
    if name is RenditionName.MP3:
        return b"".join(unit for chunk in chunks for unit in chunk.units)
    fragments = []
    for part, group in groupby(chunks, key=lambda chunk: chunk.step // STEPS_PER_PART):
        together = list(group)
        units = [unit for chunk in together for unit in chunk.units]
        fragments.append(fragment(RENDITIONS[name], part + 1, together[0].first_sample, units))
    return b"".join(fragments)
