"""One rendition of the program: its chunker, its encoder while on air, and the way to another bitrate.

Another bitrate begins on a segment and nothing is heard of the change. libopus changes as it runs. For AAC a second
encoder hears the same sound from a few access units before the boundary on; its units follow the first one's where
their windows agree (media/aac_window), at the next segment where they do not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from stentor.media.aac_window import window_of
from stentor.media.chunk import Chunk
from stentor.media.chunker import Chunker
from stentor.media.encoder import Pcm, ProgramEncoder
from stentor.media.grid import STEP_SAMPLES, STEPS_PER_SEGMENT, Step, first_unit
from stentor.media.hold import Loop
from stentor.media.rendition import Rendition
from stentor.media.rendition import thrifty as at_lower_bitrate

EncoderFactory = Callable[[Rendition], ProgramEncoder]
LEAD_TICKS = 4
"""So long before the boundary, at least, a second encoder begins: its first units know nothing of the sound before."""
_MOST_DELAYS = 3


class _Running:
    """An encoder that leaves out the first samples it is given."""

    def __init__(self, encoder: ProgramEncoder, skip_samples: int) -> None:
        self.encoder = encoder
        self._skip_samples = skip_samples

    def encode(self, pcm: Pcm) -> list[bytes]:
        skipped = min(self._skip_samples, pcm.shape[1])
        self._skip_samples -= skipped
        return self.encoder.encode(pcm[:, skipped:]) if skipped < pcm.shape[1] else []


@dataclass(slots=True)
class _Coming:
    """Another bitrate, from access unit ``at_unit`` on.

    ``running`` is the encoder that takes over, which numbers its units from ``next_unit`` on; None: the present one
    changes. ``units``: what it has given and may be put out.
    """

    thrifty: bool
    at_unit: int
    running: _Running | None = None
    next_unit: int = 0
    units: dict[int, bytes] = field(default_factory=dict)
    delays: int = 0

    def hear(self, pcm: Pcm) -> None:
        """Encode a tick beside the present encoder."""
        for unit in self.running.encode(pcm) if self.running else ():
            self.units[self.next_unit] = unit
            self.units.pop(self.next_unit - 4, None)
            self.next_unit += 1

    def fits(self, before: bytes) -> bool:
        """Tell whether its units may follow ``before``, which is the unit ahead of ``at_unit``."""
        own = self.units.get(self.at_unit - 1)
        return own is not None and (window_of(own) == window_of(before) or self.delays >= _MOST_DELAYS)


class Track:
    """Makes the chunks of one rendition. ``thrifty``: which bitrate its encoder has, or the next one will have."""

    def __init__(self, chunker: Chunker, new_encoder: EncoderFactory) -> None:
        self.chunker = chunker
        self.rendition = chunker.rendition
        self.thrifty = False
        self._new_encoder = new_encoder
        self._now: _Running | None = None
        self._coming: _Coming | None = None
        self._before = b""

    @property
    def changing(self) -> bool:
        """Tell whether another bitrate is on its way."""
        return self._coming is not None

    def open(self, step: Step, *, thrifty: bool) -> None:
        """Start an encoder on a step boundary.

        Its first access unit is the first that starts in the step (up to a frame behind the boundary); leaving out
        the priming before it makes unit k decode to samples ``[k f, (k + 1) f)``.
        """
        self.thrifty = thrifty
        self._now = self._start(self.chunker.next_unit, step * STEP_SAMPLES)

    def change(self, boundary: Step, at_sample: int, *, thrifty: bool) -> None:
        """Have another bitrate from step ``boundary`` on; the next tick begins at ``at_sample`` of the program."""
        rendition = self._rendition(thrifty=thrifty)
        if self._now is None or rendition == self._rendition(thrifty=self.thrifty):
            self.thrifty = thrifty
            return
        frame = self.rendition.frame_samples
        coming = self._coming = _Coming(thrifty, first_unit(boundary, frame))
        if not self._now.encoder.set_bitrate(self._rendition(thrifty=self.thrifty).bitrate_bps):
            coming.next_unit = -(-(at_sample - self.rendition.priming_samples) // frame)
            coming.running = self._start(coming.next_unit, at_sample, rendition)

    def feed(self, pcm: Pcm) -> list[Chunk]:
        """Encode a tick."""
        if self._now is None:
            return []
        coming = self._coming
        if coming is None or coming.running is None:
            if coming is not None and self.chunker.next_unit >= coming.at_unit:
                self._now.encoder.set_bitrate(self._rendition(thrifty=coming.thrifty).bitrate_bps)
                self.thrifty, self._coming = coming.thrifty, None
            return self.chunker.add(self._now.encode(pcm))
        coming.hear(pcm)
        chunks: list[Chunk] = []
        for unit in self._now.encode(pcm):
            if self.chunker.next_unit == coming.at_unit:
                if coming.fits(self._before):
                    return chunks + self._hand_over(coming, coming.running)
                coming.at_unit += STEPS_PER_SEGMENT * STEP_SAMPLES // self.rendition.frame_samples
                coming.delays += 1
            self._before = unit
            chunks += self.chunker.add([unit])
        return chunks

    def close(self, step: Step) -> list[Chunk]:
        """End the encoder: silence behind the boundary brings out the access units that start before it."""
        running, self._now, self._coming = self._now, None, None
        if running is None:
            return []
        end = first_unit(step, self.rendition.frame_samples)
        nothing = np.zeros((1, self.rendition.frame_samples), np.float32)
        chunks: list[Chunk] = []
        while self.chunker.next_unit < end:
            units = running.encode(nothing)
            chunks += self.chunker.add(units[: end - self.chunker.next_unit])
        return chunks

    def play(self, loop: Loop, until: Step, *, silent: bool) -> list[Chunk]:
        """Put out a loop's access units up to a step."""
        end = first_unit(until, self.rendition.frame_samples)
        return self.chunker.add(loop.between(self.rendition, self.chunker.next_unit, end), silent=silent)

    def _hand_over(self, coming: _Coming, running: _Running) -> list[Chunk]:
        self.thrifty, self._now, self._coming = coming.thrifty, running, None
        return self.chunker.add([coming.units[number] for number in range(coming.at_unit, coming.next_unit)])

    def _start(self, unit: int, at_sample: int, rendition: Rendition | None = None) -> _Running:
        """Start an encoder whose first access unit is ``unit``; it is given the program from ``at_sample`` on."""
        skip = unit * self.rendition.frame_samples + self.rendition.priming_samples - at_sample
        return _Running(self._new_encoder(rendition or self._rendition(thrifty=self.thrifty)), skip)

    def _rendition(self, *, thrifty: bool) -> Rendition:
        return at_lower_bitrate(self.rendition) if thrifty else self.rendition
