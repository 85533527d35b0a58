"""A chunk: the access units of one rendition that start in one step."""

from dataclasses import dataclass

from stentor.media.grid import Samples, Segment, Step, segment_of
from stentor.media.rendition import RenditionName


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of bus, log, proof and push.

    ``epoch`` counts the origins' tenures of the room from 1; ``discontinuity`` counts the tenures before
    this one that put out at least one chunk. ``first_sample`` is where the first access unit starts,
    in samples at 48 kHz from the room's zero. ``head`` is the chained SHA-256 up to and with this chunk
    (32 bytes, see media/proof). ``silent`` marks a step that was filled because no origin was there.
    """

    room: str
    rendition: RenditionName
    epoch: int
    discontinuity: int
    step: Step
    first_sample: Samples
    units: tuple[bytes, ...]
    head: bytes
    silent: bool = False

    @property
    def segment(self) -> Segment:
        """Return the segment this chunk belongs to."""
        return segment_of(self.step)

    @property
    def position(self) -> tuple[int, int]:
        """Return (epoch, step), which orders the chunks of a rendition."""
        return (self.epoch, self.step)
