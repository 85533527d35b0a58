"""The live window of one rendition: recent chunks as the parts and segments of LL-HLS, and what is still missing.

A pure function of the chunks that were added, so that every edge lists the same parts under the same numbers.
Chunks may come late, twice and out of order. The *frontier* is the first step not yet known: everything before it
is either held or given up, and is what playlists list. It goes back only where a later epoch takes steps over.
"""

from dataclasses import dataclass

from stentor.media.chunk import Chunk
from stentor.media.grid import (
    PARTS_PER_SEGMENT,
    STEPS_PER_PART,
    STEPS_PER_SEGMENT,
    Samples,
    Segment,
    Step,
    first_step,
    first_unit,
    segment_of,
)
from stentor.media.rendition import Rendition

# A hole is waited for while this many newer steps come: what a player at the hold-back has in hand (1.44 s).
PATIENCE_STEPS = 6
# An epoch that has ended sends nothing more: its tail is closed by the second chunk of the next one.
TAIL_PATIENCE_STEPS = 1
# RFC 8216bis, 6.2.5.2: a server should refuse requests for a Media Sequence Number too far in the future.
FAR_AHEAD_SEGMENTS = 2


@dataclass(frozen=True, slots=True)
class Part:
    """A Partial Segment: two steps, or what there is of them.

    ``chunks`` is empty where both steps were given up (a gap). ``first_sample`` and ``duration_samples`` are where
    the part stands on the room's grid, from sample counts; ``sequence`` numbers its fragment.
    """

    segment: Segment
    index: int
    epoch: int
    discontinuity: int
    chunks: tuple[Chunk, ...]
    first_sample: Samples
    duration_samples: Samples

    @property
    def gap(self) -> bool:
        """Return whether nothing of this part was ever received."""
        return not self.chunks

    @property
    def units(self) -> tuple[bytes, ...]:
        """Return the access units, in order and without a hole between them."""
        return tuple(unit for chunk in self.chunks for unit in chunk.units)

    @property
    def decode_time(self) -> Samples:
        """Return where the first access unit starts."""
        return self.chunks[0].first_sample if self.chunks else self.first_sample

    @property
    def sequence(self) -> int:
        """Return the number of the part's fragment, the same at every edge."""
        return self.segment * PARTS_PER_SEGMENT + self.index + 1


@dataclass(frozen=True, slots=True)
class WindowSegment:
    """A Media Segment, or the beginning of the one that is being made (``complete`` is False).

    Its bytes are those of its parts in order (RFC 8216bis, 3). The last segment of an epoch may be short.
    """

    number: Segment
    epoch: int
    discontinuity: int
    first_sample: Samples
    duration_samples: Samples
    parts: tuple[Part, ...]
    complete: bool

    @property
    def gap(self) -> bool:
        """Return whether nothing of this segment was ever received."""
        return all(part.gap for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Tenure:
    """Where an epoch can have begun, and its discontinuity number."""

    start: Step
    discontinuity: int


class Window:
    """The chunks of one rendition that an edge holds, by step.

    It lists at most ``max_segments`` complete segments and holds as many again, since RFC 8216bis, 6.2.2 asks that
    a segment stays available for a playlist's length after it left the playlist.
    """

    def __init__(self, rendition: Rendition, max_segments: int = 16, *, patience_steps: int = PATIENCE_STEPS) -> None:
        self.rendition = rendition
        self.ended = False
        self._max_segments = max_segments
        self._patience_steps = patience_steps
        self._chunks: dict[Step, Chunk] = {}
        self._noticed: dict[Step, Step] = {}  # a missing step -> the newest step when it was found missing
        self._tenures: dict[int, _Tenure] = {}
        self._base: Step | None = None
        self._newest = Step(-1)
        self._frontier = Step(0)
        self._listed = False

    @property
    def frontier(self) -> Step:
        """Return the first step that is not yet decided; 0 while nothing has come."""
        return self._frontier

    @property
    def newest_step(self) -> Step:
        """Return the highest step held, -1 while nothing has come."""
        return self._newest

    @property
    def epoch(self) -> int:
        """Return the highest epoch seen, 0 while nothing has come."""
        return max(self._tenures, default=0)

    def add(self, chunk: Chunk) -> bool:
        """Take a chunk; return False if it is a repeat, too old, given up, or of an epoch that has been replaced."""
        if not self._wanted(chunk):
            return False
        self._learn_epoch(chunk)
        start = first_step(chunk.segment)
        if self._base is None or start < self._base:
            self._base = self._frontier = start
        self._chunks[chunk.step] = chunk
        self._noticed.pop(chunk.step, None)
        self._newest = max(self._newest, chunk.step)
        self._evict(first_step(Segment(segment_of(self._newest) - 2 * self._max_segments)))
        self._notice()
        self._advance()
        self._listed = self._listed or self._frontier >= self._base + STEPS_PER_PART
        return True

    def end(self) -> None:
        """Close the window: no chunk will come any more, whatever is missing is given up."""
        self.ended = True
        self._noticed.clear()
        self._frontier = Step(self._newest + 1)

    def missing(self) -> tuple[Step, ...]:
        """Return the steps between those held that have neither come nor been given up, oldest first."""
        return tuple(sorted(self._noticed))

    def chunk(self, step: Step) -> Chunk | None:
        """Return the chunk held for a step."""
        return self._chunks.get(step)

    def after(self, step: Step) -> tuple[Chunk, ...]:
        """Return the chunks before the frontier that come after a step, in order (for push and progressive)."""
        steps = range(max(step + 1, self._base or 0), self._frontier)
        return tuple(self._chunks[Step(each)] for each in steps if each in self._chunks)

    def holds(self, msn: int, part: int | None = None) -> bool:
        """Answer a blocking reload: is part ``part`` of segment ``msn``, or the whole segment, listed?"""
        if self._base is None:
            return self.ended
        # A Playlist with EXT-X-ENDLIST does not change any more: never wait for it (RFC 8216bis, 6.2.5.2).
        if self.ended or msn < segment_of(self._base):
            return True
        number = Segment(msn)
        if not self._complete(number):
            # Without _HLS_part the whole segment is waited for (RFC 8216bis, 6.2.5.2).
            return part is not None and first_step(number) + (part + 1) * STEPS_PER_PART <= self._frontier
        if part is None or part < len(self._view(number).parts):
            return True
        # A part beyond the last of its segment stands for part 0 of the next (RFC 8216bis, 6.2.5.2).
        return self.holds(msn + 1, 0)

    def far_ahead(self, msn: int) -> bool:
        """Return whether a request for ``msn`` deserves a 400: more than two ahead (RFC 8216bis, 6.2.5.2)."""
        return msn > segment_of(self._frontier) + FAR_AHEAD_SEGMENTS

    def segments(self) -> tuple[WindowSegment, ...]:
        """Return what a playlist lists, oldest first; the last may be incomplete."""
        if self._base is None:
            return ()
        current = segment_of(self._frontier)
        first = max(segment_of(self._base), current - self._max_segments)
        views = (self._view(Segment(number)) for number in range(first, current + 1))
        return tuple(view for view in views if view.parts)

    def segment(self, number: int) -> WindowSegment | None:
        """Return a complete segment that is held and has something in it."""
        if not self._within(number) or not self._complete(Segment(number)):
            return None
        view = self._view(Segment(number))
        return view if view.parts and not view.gap else None

    def part(self, number: int, index: int) -> Part | None:
        """Return a listed part that is held and is not a gap."""
        parts = self._view(Segment(number)).parts if self._within(number) else ()
        return parts[index] if 0 <= index < len(parts) and not parts[index].gap else None

    def next_part(self) -> tuple[Segment, int, int] | None:
        """Return (segment, part index, epoch) of the part to come; None when nothing has come or all is over."""
        if self._base is None or self.ended:
            return None
        number = segment_of(self._frontier)
        return number, (self._frontier - first_step(number)) // STEPS_PER_PART, self._owner(self._frontier)

    def _within(self, number: int) -> bool:
        return self._base is not None and segment_of(self._base) <= number <= segment_of(self._frontier)

    def _owner(self, step: Step) -> int:
        """Return the epoch that a step falls to: the highest that can have begun before it."""
        return max((epoch for epoch, tenure in self._tenures.items() if tenure.start <= step), default=0)

    def _wanted(self, chunk: Chunk) -> bool:
        step = chunk.step
        if self.ended or step in self._chunks and self._chunks[step].epoch >= chunk.epoch:
            return False
        if any(epoch > chunk.epoch and step >= tenure.start for epoch, tenure in self._tenures.items()):
            return False  # a later epoch owns this step: whoever sent it is stale
        if self._base is None:
            return True
        oldest = self._newest - 2 * self._max_segments * STEPS_PER_SEGMENT
        if step < oldest or (self._listed and step < self._base):
            return False  # a playlist never grows at its beginning (RFC 8216bis, 6.2.1)
        return step < self._base or step >= self._frontier or chunk.epoch > self._owner(step)

    def _learn_epoch(self, chunk: Chunk) -> None:
        """Note where an epoch can have begun, a segment boundary, and drop what it takes over."""
        start = first_step(chunk.segment)
        known = self._tenures.get(chunk.epoch)
        if known is not None and known.start <= start:
            return
        self._tenures[chunk.epoch] = _Tenure(start, chunk.discontinuity)
        stale = [step for step, held in self._chunks.items() if step >= start and held.epoch < chunk.epoch]
        for step in stale:
            del self._chunks[step]
        if stale:
            self._newest = max(self._chunks, default=Step(-1))
            self._noticed = {step: seen for step, seen in self._noticed.items() if step < start}
        if self._base is not None:
            self._frontier = max(self._base, min(self._frontier, start))

    def _evict(self, base: Step) -> None:
        if self._base is None or base <= self._base:
            return
        self._base = base
        self._frontier = max(self._frontier, base)
        self._chunks = {step: chunk for step, chunk in self._chunks.items() if step >= base}
        self._noticed = {step: seen for step, seen in self._noticed.items() if step >= base}
        current = self._owner(base)
        self._tenures = {epoch: tenure for epoch, tenure in self._tenures.items() if epoch >= current}

    def _notice(self) -> None:
        for each in range(self._frontier, self._newest):
            step = Step(each)
            if step not in self._chunks:
                self._noticed.setdefault(step, self._newest)

    def _advance(self) -> None:
        """Move the frontier over what is held, and over holes that have been waited for long enough."""
        while self._frontier <= self._newest:
            step = self._frontier
            if step not in self._chunks:
                patience = TAIL_PATIENCE_STEPS if self._in_tail(step) else self._patience_steps
                if self._newest - self._noticed[step] < patience:
                    return
                del self._noticed[step]
            self._frontier = Step(step + 1)

    def _in_tail(self, step: Step) -> bool:
        """Return whether a missing step lies behind the last chunk of an epoch that a later one has followed."""
        start = min((tenure.start for tenure in self._tenures.values() if tenure.start > step), default=None)
        return start is not None and not any(Step(each) in self._chunks for each in range(step, start))

    def _complete(self, number: Segment) -> bool:
        start = first_step(number)
        return start + STEPS_PER_SEGMENT <= self._frontier or (self.ended and start < self._frontier)

    def _view(self, number: Segment) -> WindowSegment:
        """Return a segment as far as it is known; without parts if nothing of it is."""
        start, complete = first_step(number), self._complete(number)
        stop = Step(min(start + STEPS_PER_SEGMENT, self._frontier))
        held = [self._chunks[Step(step)] for step in range(start, stop) if step in self._chunks]
        if complete and held and self._last_of_epoch(held[-1]):
            stop = Step(held[-1].step + 1)
        elif not complete:
            stop = Step(start + max(0, stop - start) // STEPS_PER_PART * STEPS_PER_PART)
        epoch = held[0].epoch if held else self._owner(start)
        discontinuity = self._tenures[epoch].discontinuity if epoch in self._tenures else 0
        parts = tuple(
            self._part(number, index, epoch, discontinuity, stop)
            for index in range(-(-(stop - start) // STEPS_PER_PART))
        )
        first = self._sample_of(start)
        duration = Samples(self._sample_of(stop) - first)
        return WindowSegment(number, epoch, discontinuity, first, duration, parts, complete)

    def _last_of_epoch(self, chunk: Chunk) -> bool:
        return not any(each.epoch == chunk.epoch and each.step > chunk.step for each in self._chunks.values())

    def _part(self, number: Segment, index: int, epoch: int, discontinuity: int, stop: Step) -> Part:
        start = first_step(number) + index * STEPS_PER_PART
        end = min(start + STEPS_PER_PART, stop)
        chunks = tuple(self._chunks[Step(step)] for step in range(start, end) if step in self._chunks)
        first = self._sample_of(Step(start))
        duration = Samples(self._sample_of(Step(end)) - first)
        return Part(number, index, epoch, discontinuity, chunks, first, duration)

    def _sample_of(self, step: Step) -> Samples:
        frame = self.rendition.frame_samples
        return Samples(first_unit(step, frame) * frame)
