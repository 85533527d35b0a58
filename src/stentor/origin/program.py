"""The program of one epoch: ticks of sound in, chunks of three renditions out. Pure: it counts samples.

While the room is off air the chunks come from a loop that was encoded beforehand. What is given to ``tick`` then is
not looked at, and no encoder exists that could hear it. Going on air starts new encoders on the step boundary;
going off air closes them with silence behind the boundary.
"""

from collections.abc import Callable, Mapping

import numpy as np

from stentor.media.chunk import Chunk
from stentor.media.chunker import Chunker
from stentor.media.encoder import Encoder, Pcm, ProgramEncoder
from stentor.media.grid import STEP_SAMPLES, TICK_SAMPLES, Step, first_unit
from stentor.media.hold import Loop, silence_loop
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName

TICKS_PER_STEP = STEP_SAMPLES // TICK_SAMPLES
EncoderFactory = Callable[[Rendition], ProgramEncoder]


class Program:
    """What listeners hear, from the first step of an epoch on.

    ``first`` is the epoch's first step, on a segment boundary; ``heads`` the head of the last chunk of each
    rendition before this epoch, or the room's genesis (media/proof). Every method returns the chunks that have
    become whole: in order within each rendition, at the end of their step plus the encoder's delay.
    """

    def __init__(  # noqa: PLR0913  an epoch is made of these, each named by its caller
        self,
        room: str,
        *,
        epoch: int,
        discontinuity: int,
        first: Step,
        heads: Mapping[RenditionName, bytes],
        hold: Loop,
        new_encoder: EncoderFactory = Encoder,
    ) -> None:
        self._tracks = [
            _Track(
                Chunker(room, rendition, epoch=epoch, discontinuity=discontinuity, first=first, head=heads[name]),
                new_encoder,
            )
            for name, rendition in RENDITIONS.items()
        ]
        self._hold = hold
        self._step = first
        self._tick = 0
        self._on_air = False
        self._on_air_step = first

    @property
    def step(self) -> Step:
        """Return the step in which the next tick falls."""
        return self._step

    @property
    def on_air(self) -> bool:
        """Return whether voices go out now."""
        return self._on_air

    @property
    def on_air_step(self) -> Step:
        """Return the step from which the present ``on_air`` holds."""
        return self._on_air_step

    @property
    def heads(self) -> dict[RenditionName, bytes]:
        """Return the head of the last whole chunk of each rendition."""
        return {track.rendition.name: track.chunker.head for track in self._tracks}

    def tick(self, pcm: Pcm, on_air: bool) -> list[Chunk]:  # noqa: FBT001  the one question of each tick
        """Take the next 20 ms, (1, 960) float32.

        ``on_air`` is what is wanted. It takes hold at a step boundary: with this tick if it is the first of a step,
        else with the next step.
        """
        chunks: list[Chunk] = []
        if self._tick == 0 and on_air != self._on_air:
            chunks += self._switch(on_air=on_air)
        if self._on_air:
            for track in self._tracks:
                chunks += track.feed(pcm)
        self._tick += 1
        if self._tick == TICKS_PER_STEP:
            self._tick = 0
            self._step = Step(self._step + 1)
            if not self._on_air:
                chunks += self._play(self._hold)
        return chunks

    def fill(self, until_step: Step) -> list[Chunk]:
        """Fill the steps up to ``until_step`` with silence that is marked as such, at once.

        For the hole at an epoch's start, or where the machine was away. Only between two steps.

        Raises:
            ValueError: a step has been begun.
        """
        if self._tick:
            raise ValueError("A hole can be filled only between two steps.")
        chunks = self._close() if until_step > self._step else []
        silence = silence_loop()
        while self._step < until_step:
            self._step = Step(self._step + 1)
            chunks += self._play(silence, silent=True)
        if chunks and self._on_air:
            self._open()
        return chunks

    def finish(self) -> list[Chunk]:
        """End the epoch: pad to the end of the step with silence and return what was still to come."""
        chunks: list[Chunk] = []
        nothing = np.zeros((1, TICK_SAMPLES), np.float32)
        while self._tick:
            chunks += self.tick(nothing, on_air=self._on_air)
        return chunks + self._close()

    def _switch(self, *, on_air: bool) -> list[Chunk]:
        self._on_air, self._on_air_step = on_air, self._step
        if not on_air:
            return self._close()
        self._open()
        return []

    def _open(self) -> None:
        for track in self._tracks:
            track.open(self._step)

    def _close(self) -> list[Chunk]:
        return [chunk for track in self._tracks for chunk in track.close(self._step)]

    def _play(self, loop: Loop, *, silent: bool = False) -> list[Chunk]:
        return [chunk for track in self._tracks for chunk in track.play(loop, self._step, silent=silent)]


class _Track:
    """One rendition of the program: its chunker, and its encoder while on air."""

    def __init__(self, chunker: Chunker, new_encoder: EncoderFactory) -> None:
        self.chunker = chunker
        self.rendition = chunker.rendition
        self._new_encoder = new_encoder
        self._encoder: ProgramEncoder | None = None
        self._skip_samples = 0

    def open(self, step: Step) -> None:
        """Start an encoder on a step boundary.

        Its first access unit is the first that starts in the step (up to a frame behind the boundary); leaving out
        the priming before it makes unit k decode to samples ``[k f, (k + 1) f)``.
        """
        first_sample = self.chunker.next_unit * self.rendition.frame_samples
        self._skip_samples = first_sample + self.rendition.priming_samples - step * STEP_SAMPLES
        self._encoder = self._new_encoder(self.rendition)

    def feed(self, pcm: Pcm) -> list[Chunk]:
        """Encode a tick."""
        if self._encoder is None:
            return []
        skipped = min(self._skip_samples, pcm.shape[1])
        self._skip_samples -= skipped
        return self.chunker.add(self._encoder.encode(pcm[:, skipped:])) if skipped < pcm.shape[1] else []

    def close(self, step: Step) -> list[Chunk]:
        """End the encoder: silence behind the boundary brings out the access units that start before it."""
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return []
        end = first_unit(step, self.rendition.frame_samples)
        nothing = np.zeros((1, self.rendition.frame_samples), np.float32)
        chunks: list[Chunk] = []
        while self.chunker.next_unit < end:
            units = encoder.encode(nothing)
            chunks += self.chunker.add(units[: end - self.chunker.next_unit])
        return chunks

    def play(self, loop: Loop, until: Step, *, silent: bool) -> list[Chunk]:
        """Put out a loop's access units up to a step."""
        end = first_unit(until, self.rendition.frame_samples)
        return self.chunker.add(loop.between(self.rendition, self.chunker.next_unit, end), silent=silent)
