"""The live window of one rendition: recent chunks as the parts and segments of LL-HLS.

A pure function of the log. It takes chunks in order, each once (edge/ordering sees to it and looks everywhere for
what is missing), and what a playlist lists follows from them alone, not from when or how they came. ``listing(stop)``
is the playlist as it stood when everything before a step was known: the same from every edge, now and later.

A hole between two chunks is *proven* when the hash of the later one follows the earlier one (media/proof): nothing
was ever logged between them. Else something was there that this edge could not find, and what it lists of it is
*in doubt*: still good to play, but not what every edge says.
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
from stentor.media.proof import first_head, follows
from stentor.media.rendition import Rendition

# RFC 8216bis, 6.2.5.2: a server should refuse requests for a Media Sequence Number too far in the future.
FAR_AHEAD_SEGMENTS = 2


@dataclass(frozen=True, slots=True)
class Part:
    """A Partial Segment: two steps, or what there is of them.

    ``chunks`` is empty where both steps were given up (a gap). ``first_sample`` and ``duration_samples`` are where
    the part stands on the room's grid, from sample counts; ``sequence`` numbers its fragment. ``proven`` tells
    whether every edge has the same bytes for it.
    """

    segment: Segment
    index: int
    epoch: int
    chunks: tuple[Chunk, ...]
    first_sample: Samples
    duration_samples: Samples
    proven: bool

    @property
    def gap(self) -> bool:
        """Return whether there is nothing of this part."""
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
        """Return whether there is nothing of this segment."""
        return all(part.gap for part in self.parts)

    @property
    def proven(self) -> bool:
        """Return whether every edge has the same bytes for it."""
        return all(part.proven for part in self.parts)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a playlist lists, oldest first (only the last segment may be incomplete).

    ``hint`` is the part to come: (segment, index, epoch). ``proven`` tells whether every edge lists the same.
    """

    segments: tuple[WindowSegment, ...]
    hint: tuple[Segment, int, int] | None
    ended: bool
    proven: bool


@dataclass(frozen=True, slots=True)
class _Hole:
    """Steps ``[start, stop)`` that an epoch's end left open; the first chunk of the next epoch closes it."""

    start: Step
    stop: Step


class Window:
    """The chunks of one rendition that an edge holds, by step.

    A listing has at most ``max_segments`` complete segments. The window holds as many again, since RFC 8216bis, 6.2.2
    asks that a segment stays available for a playlist's length after it left the playlist.
    """

    def __init__(self, rendition: Rendition, max_segments: int = 16) -> None:
        self.rendition = rendition
        self.ended = False
        self._max_segments = max_segments
        self._chunks: dict[Step, Chunk] = {}
        self._doubts: set[Step] = set()
        self._tails: list[_Hole] = []
        self._whole: dict[Segment, WindowSegment] = {}  # segments that are wholly known, made once
        self._base: Step | None = None  # the first step that may be listed, on a segment boundary
        self._from_the_start = False  # nothing was ever logged before the base
        self._last: Chunk | None = None

    @property
    def frontier(self) -> Step:
        """Return the first step that is not yet known; 0 while nothing has come."""
        return Step(self._last.step + 1) if self._last is not None else Step(0)

    def add(self, chunk: Chunk) -> bool:
        """Take the next chunk; return False if it does not lie behind all that came before."""
        last = self._last
        if self.ended or (last is not None and (chunk.step <= last.step or chunk.epoch < last.epoch)):
            return False
        if last is None:
            self._begin(chunk)
        else:
            self._join(last, chunk)
        self._chunks[chunk.step] = chunk
        self._last = chunk
        self._evict(first_step(Segment(segment_of(chunk.step) - 2 * self._max_segments)))
        return True

    def end(self) -> None:
        """Close the window: no chunk will come any more."""
        self.ended = True

    def _begin(self, chunk: Chunk) -> None:
        """Begin with a whole segment: what precedes the first chunk in its segment is unknown here."""
        start = first_step(chunk.segment)
        self._base = start if chunk.step == start else Step(start + STEPS_PER_SEGMENT)
        self._from_the_start = chunk.discontinuity == 0 and follows(first_head(chunk.room, chunk.rendition), chunk)

    def _join(self, last: Chunk, chunk: Chunk) -> None:
        """Judge what lies between two chunks."""
        changed = chunk.epoch != last.epoch
        if chunk.step == last.step + 1 and not changed:
            return
        self._whole.clear()
        start = Step(last.step + 1)
        # An epoch begins with a segment. Whatever a rival put out from there on is void.
        begin = first_step(chunk.segment) if changed else chunk.step
        if not follows(last.head, chunk):
            # Of a dead epoch this edge may even have more than was logged.
            doubtful = min(last.step, begin) if changed else start
            self._doubts.update(Step(step) for step in range(doubtful, chunk.step))
        if changed:
            for step in range(begin, start):
                self._chunks.pop(Step(step), None)
            if begin > start:
                self._tails.append(_Hole(start, begin))

    def _evict(self, base: Step) -> None:
        if self._base is None or base <= self._base:
            return
        self._base, self._from_the_start = base, False
        for step in [step for step in self._chunks if step < base]:
            del self._chunks[step]
        self._doubts = {step for step in self._doubts if step >= base}
        self._tails = [hole for hole in self._tails if hole.stop > base]
        self._whole = {number: view for number, view in self._whole.items() if first_step(number) >= base}

    # What is asked.

    def stop(self, wanted: Step) -> Step | None:
        """Return the first step not in the playlist that first listed everything before ``wanted``.

        A playlist grows by parts; the end of an epoch becomes known, and is listed at once, with the first chunk of
        the next one. None: not all of it is known yet.
        """
        stop = Step(-(-wanted // STEPS_PER_PART) * STEPS_PER_PART)
        for hole in self._tails:
            if hole.start < stop < hole.stop:
                stop = hole.stop
        return stop if stop <= self.frontier else None

    def newest_stop(self) -> Step:
        """Return the stop of the present playlist."""
        return self.frontier if self.ended else Step(self.frontier // STEPS_PER_PART * STEPS_PER_PART)

    def far_ahead(self, number: int) -> bool:
        """Return whether a request for a segment deserves a 400: more than two ahead (RFC 8216bis, 6.2.5.2)."""
        return number > segment_of(self.frontier) + FAR_AHEAD_SEGMENTS

    def listing(self, stop: Step | None = None) -> Listing:
        """Return what the playlist listed at a stop; without one what it lists now."""
        last = self.ended and stop is None
        at = self.newest_stop() if stop is None else stop
        if self._base is None or at <= self._base:
            return Listing((), None, last, proven=False)
        oldest = segment_of(at) - self._max_segments
        numbers = range(max(segment_of(self._base), oldest), segment_of(at) + 1)
        views = [view for view in (self._view(Segment(number), at, last=last) for number in numbers) if view.parts]
        while views and views[0].gap:  # what an epoch left open is not listed once nothing precedes it
            del views[0]
        reaches = self._from_the_start or segment_of(self._base) <= oldest
        proven = reaches and all(view.proven for view in views)
        return Listing(tuple(views), None if last else self._hint(at), last, proven)

    def segment(self, number: int) -> WindowSegment | None:
        """Return a complete segment that is held and has something in it."""
        view = self._known(number)
        return view if view is not None and view.complete and not view.gap else None

    def part(self, number: int, index: int) -> Part | None:
        """Return a listed part that is held and is not a gap."""
        view = self._known(number)
        parts = view.parts if view is not None else ()
        return parts[index] if 0 <= index < len(parts) and not parts[index].gap else None

    def next_part(self) -> tuple[Segment, int, int] | None:
        """Return (segment, part index, epoch) of the part to come; None when nothing has come or all is over."""
        stop = self.newest_stop()
        return None if self._base is None or self.ended or stop < self._base else self._hint(stop)

    def _known(self, number: int) -> WindowSegment | None:
        if self._base is None or not segment_of(self._base) <= number <= segment_of(self.frontier):
            return None
        return self._view(Segment(number), self.newest_stop(), last=self.ended)

    def _hint(self, stop: Step) -> tuple[Segment, int, int]:
        number = segment_of(stop)
        return number, (stop - first_step(number)) // STEPS_PER_PART, self._epoch_at(stop)

    def _epoch_at(self, stop: Step) -> int:
        """Return whose the next part is, as far as was known at a stop."""
        before = self._chunks.get(Step(stop - 1))
        if before is not None:
            return before.epoch
        after = (self._chunks[Step(step)] for step in range(stop, self.frontier) if step in self._chunks)
        chunk = next(after, self._last)
        return chunk.epoch if chunk is not None else 0

    def _view(self, number: Segment, stop: Step, *, last: bool) -> WindowSegment:
        """Return a segment as it was known at a stop, ``last`` if that is the end; without parts if nothing was."""
        if first_step(number) + STEPS_PER_SEGMENT > stop:
            return self._made(number, stop, complete=last)
        view = self._whole.get(number)
        if view is None:
            view = self._whole[number] = self._made(number, stop, complete=True)
        return view

    def _made(self, number: Segment, stop: Step, *, complete: bool) -> WindowSegment:
        start = first_step(number)
        end = Step(min(start + STEPS_PER_SEGMENT, stop))
        held = [self._chunks[Step(step)] for step in range(start, end) if step in self._chunks]
        owner = held[0] if held else self._before(start)
        tail = next((hole for hole in self._tails if start < hole.start < end), None)
        if tail is not None:
            end = tail.start
        parts = tuple(
            self._part(number, index, owner.epoch if owner else 0, end)
            for index in range(max(0, -(-(end - start) // STEPS_PER_PART)))
        )
        first = self._sample_of(start)
        return WindowSegment(
            number,
            owner.epoch if owner else 0,
            owner.discontinuity if owner else 0,
            first,
            Samples(self._sample_of(end) - first),
            parts,
            (complete or tail is not None) and bool(parts),
        )

    def _before(self, step: Step) -> Chunk | None:
        """Return the last chunk held before a step."""
        steps = range(step - 1, (self._base or 0) - 1, -1)
        return next((self._chunks[Step(each)] for each in steps if each in self._chunks), None)

    def _part(self, number: Segment, index: int, epoch: int, stop: Step) -> Part:
        start = Step(first_step(number) + index * STEPS_PER_PART)
        end = Step(min(start + STEPS_PER_PART, stop))
        steps = [Step(step) for step in range(start, end)]
        chunks = tuple(self._chunks[step] for step in steps if step in self._chunks)
        first = self._sample_of(start)
        proven = self._doubts.isdisjoint(steps)
        return Part(number, index, epoch, chunks, first, Samples(self._sample_of(end) - first), proven)

    def _sample_of(self, step: Step) -> Samples:
        frame = self.rendition.frame_samples
        return Samples(first_unit(step, frame) * frame)
