"""One rendition of one room: chunks come in from the bus once, and go out to every listener of this edge.

    live.{room}.chunk.{rendition} → Relay → Ordering → outputs (playback, push, progressive)

The relay subscribes on first demand and stays while the room is open. Gaps are filled from the origin's ring and
then from the log; what is found nowhere is skipped and counted, so that a hole delays listeners by 2 s at most.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from stentor.bus.port import Bus, live_chunk_subject
from stentor.bus.wire import decode_chunk
from stentor.clock import Clock, MonotonicNs
from stentor.edge.fill import from_log, from_ring
from stentor.edge.metrics import CHUNKS, DROPPED, MISSING
from stentor.edge.ordering import Ordering
from stentor.errors import MediaError
from stentor.media.chunk import Chunk
from stentor.media.grid import STEP_NS, Segment, Step, first_step, segment_of
from stentor.media.proof import first_head, follows
from stentor.media.rendition import Rendition
from stentor.telemetry import logger

HISTORY_SEGMENTS = 24
"""How far back an edge reaches when it begins, in whole segments: the 16 that a playlist lists, for each blocking
reload of the last six, so that an edge that has just begun writes the same playlists as the others."""

_ABSURD_STEPS = 360_000
"""A day ahead: no clock that is wrong but rubbish."""

log = logger("edge")


class Output(Protocol):
    """A way out: wraps each chunk once and writes it to its listeners."""

    def take(self, chunk: Chunk) -> None:
        """Give out the next chunk."""
        ...

    def ready(self) -> None:
        """Everything that was there at the beginning has been taken."""
        ...

    def finish(self) -> None:
        """There will be no more chunks: let the listeners go."""
        ...


class Relay:
    """Feeds the outputs of one rendition."""

    def __init__(
        self, room: str, rendition: Rendition, zero_ns: int, bus: Bus, clock: Clock, *, outputs: Sequence[Output]
    ) -> None:
        self.room = room
        self.rendition = rendition
        self.outputs = tuple(outputs)
        self.finished = False
        self._bus = bus
        self._clock = clock
        self._zero_ns = zero_ns
        self._ordering = Ordering()
        self._wake = asyncio.Event()
        self._look_behind = False
        self._last_ns = MonotonicNs(clock.monotonic_ns())

    @property
    def quiet_ns(self) -> int:
        """Return for how long nothing has come."""
        return self._clock.monotonic_ns() - self._last_ns

    async def run(self) -> None:
        """Relay until ``finish``; the owner runs this in its task group."""
        subject = live_chunk_subject(self.room, self.rendition.name)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._bus.subscribe(subject, self._deliver))
            await self._catch_up()
            while not self.finished:
                await self._wake.wait()
                self._wake.clear()
                while not self.finished and self._ordering.gap is not None:
                    await self._fill()
                if self._look_behind:
                    self._look_behind = False
                    await self._find_the_last()
        log.info("relay_ended", room=self.room, rendition=str(self.rendition.name))

    def look_behind(self) -> None:
        """Look for chunks behind the newest: when a room ends, nothing more shows that its last ones were missed."""
        self._look_behind = True
        self._wake.set()

    def finish(self) -> None:
        """End the program: outputs let their listeners go, ``run`` returns."""
        if self.finished:
            return
        self.finished = True
        self._wake.set()
        for output in self.outputs:
            output.finish()

    def stop(self) -> None:
        """Relay no more; the program goes on elsewhere."""
        self.finished = True
        self._wake.set()

    def _deliver(self, _subject: str, payload: bytes) -> None:
        try:
            chunk = decode_chunk(payload)
        except MediaError:
            DROPPED.labels("garbled").inc()
            return
        if chunk.room != self.room or chunk.rendition is not self.rendition.name:
            DROPPED.labels("garbled").inc()
            return
        if chunk.step > max(self._present_step(), self._ordering.step) + _ABSURD_STEPS:
            # Taken for true it would make everything that is due look like the past.
            DROPPED.labels("garbled").inc()
            return
        self._last_ns = MonotonicNs(self._clock.monotonic_ns())
        self._offer(chunk)
        if self._ordering.gap is not None:
            self._wake.set()

    def _present_step(self) -> int:
        return (self._clock.wall_ns() - self._zero_ns) // STEP_NS

    def _offer(self, chunk: Chunk) -> None:
        ordering = self._ordering
        stale, repeated, missing = ordering.stale, ordering.repeated, ordering.missing
        self._give_out(ordering.offer(chunk))
        if ordering.stale > stale:
            DROPPED.labels("stale").inc(ordering.stale - stale)
        if ordering.repeated > repeated:
            DROPPED.labels("repeated").inc(ordering.repeated - repeated)
        if ordering.missing > missing:
            MISSING.inc(ordering.missing - missing)

    def _give_out(self, chunks: Sequence[Chunk]) -> None:
        if self.finished:
            return
        for chunk in chunks:
            CHUNKS.labels(self.rendition.name).inc()
            for output in self.outputs:
                output.take(chunk)

    async def _catch_up(self) -> None:
        """Begin with what the ring and, where that does not reach back far enough, the log hold."""
        oldest = segment_of(Step(max(0, self._present_step()))) - HISTORY_SEGMENTS
        after = Step(first_step(Segment(max(0, oldest))) - 1)
        chunks = await from_ring(self._bus, self.room, self.rendition.name, after)
        if not self._reaches_back(chunks, after):
            chunks += await from_log(self._bus, self.room, self.rendition.name, after)
        for chunk in chunks:
            self._offer(chunk)
        if self.finished:
            return
        self._give_out(self._ordering.begin())
        while self._ordering.gap is not None:
            await self._fill()
        for output in self.outputs:
            output.ready()

    def _reaches_back(self, chunks: Sequence[Chunk], after: Step) -> bool:
        """Tell whether nothing older is left that is wanted: the hash chain shows where a room began."""
        if not chunks or chunks[0].step <= after + 1:
            return bool(chunks)
        return chunks[0].discontinuity == 0 and follows(first_head(self.room, self.rendition.name), chunks[0])

    async def _find_the_last(self) -> None:
        for source in (from_ring, from_log):
            if self._ordering.step >= 0:
                for chunk in await source(self._bus, self.room, self.rendition.name, self._ordering.step):
                    self._offer(chunk)

    async def _fill(self) -> None:
        """Look for what is missing before the first chunk that waits; give it up when it is nowhere."""
        gap = self._ordering.gap
        for source in (from_ring, from_log):
            if gap is None or self._ordering.gap != gap:
                return
            for chunk in await source(self._bus, self.room, self.rendition.name, gap[0]):
                if chunk.step < gap[1]:
                    self._offer(chunk)
        if self._ordering.gap == gap and gap is not None:
            before = self._ordering.missing
            self._give_out(self._ordering.skip())
            MISSING.inc(self._ordering.missing - before)
            log.warning("gap_skipped", room=self.room, rendition=str(self.rendition.name), after=gap[0], until=gap[1])
