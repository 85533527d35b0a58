"""Cuts the access units of one rendition into chunks on the step grid, by counting; nothing here reads a clock."""

from collections.abc import Iterable
from dataclasses import replace

from stentor.media.chunk import Chunk
from stentor.media.grid import Samples, Step, first_unit, units_in
from stentor.media.proof import link
from stentor.media.rendition import Rendition


class Chunker:
    """Makes the chunks of one rendition in one epoch, in order and without a hole.

    ``head`` is the head of the last chunk of this rendition, or the room's genesis (see media/proof).
    """

    def __init__(
        self, room: str, rendition: Rendition, *, epoch: int, discontinuity: int, first: Step, head: bytes
    ) -> None:
        self.rendition = rendition
        self.step = first
        self.head = head
        self._room = room
        self._epoch = epoch
        self._discontinuity = discontinuity
        self._units: list[bytes] = []

    @property
    def next_unit(self) -> int:
        """Return the index, from the room's zero, of the access unit that comes next."""
        return first_unit(self.step, self.rendition.frame_samples) + len(self._units)

    def add(self, units: Iterable[bytes], *, silent: bool = False) -> list[Chunk]:
        """Take access units in order; return the chunks whose step is now full.

        ``silent`` marks those chunks as the fill of a hole in which no origin was there.
        """
        chunks: list[Chunk] = []
        for unit in units:
            self._units.append(unit)
            if len(self._units) == units_in(self.step, self.rendition.frame_samples):
                chunks.append(self._cut(silent=silent))
        return chunks

    def _cut(self, *, silent: bool) -> Chunk:
        frame = self.rendition.frame_samples
        chunk = Chunk(
            self._room,
            self.rendition.name,
            self._epoch,
            self._discontinuity,
            self.step,
            Samples(first_unit(self.step, frame) * frame),
            tuple(self._units),
            b"",
            silent,
        )
        chunk = replace(chunk, head=link(self.head, chunk))
        self.head = chunk.head
        self.step = Step(self.step + 1)
        self._units.clear()
        return chunk
