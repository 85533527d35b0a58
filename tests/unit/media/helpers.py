"""Chunks and windows for tests."""

from stentor.media.chunk import Chunk
from stentor.media.grid import Samples, Step, first_unit, units_in
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName

OPUS = RENDITIONS[RenditionName.OPUS]
AAC = RENDITIONS[RenditionName.AAC]
MP3 = RENDITIONS[RenditionName.MP3]


def make_chunk(step: int, *, epoch: int = 1, discontinuity: int | None = None, rendition: Rendition = OPUS) -> Chunk:
    """Return a chunk with the right number of access units, each of which says where it belongs."""
    frame = rendition.frame_samples
    first = first_unit(Step(step), frame)
    units = tuple(f"{epoch}/{first + n}".encode() for n in range(units_in(Step(step), frame)))
    if discontinuity is None:
        discontinuity = epoch - 1
    return Chunk("room", rendition.name, epoch, discontinuity, Step(step), Samples(first * frame), units, bytes(32))
