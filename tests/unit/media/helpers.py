"""Chunks and windows for tests."""

from collections.abc import Iterable
from dataclasses import replace

from stentor.media.chunk import Chunk
from stentor.media.grid import Samples, Step, first_unit, units_in
from stentor.media.proof import first_head, link
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


def chained(runs: Iterable[tuple[int, range]], rendition: Rendition = OPUS) -> list[Chunk]:
    """Return the log of a room: runs of (epoch, steps), each chunk with the hash of all that came before it."""
    head = first_head("room", rendition.name)
    log = []
    for epoch, steps in runs:
        for step in steps:
            chunk = make_chunk(step, epoch=epoch, rendition=rendition)
            head = link(head, chunk)
            log.append(replace(chunk, head=head))
    return log
