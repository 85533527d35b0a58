"""The program of one epoch: ticks of sound in, chunks of three renditions out. Pure: it counts samples.

While the room is off air the chunks come from a loop that was encoded beforehand. What is given to ``tick`` then is
not looked at, and no encoder exists that could hear it. Going on air starts new encoders on the step boundary;
going off air closes them with silence behind the boundary.
"""

from collections.abc import Mapping

import numpy as np

from stentor.media.chunk import Chunk
from stentor.media.chunker import Chunker
from stentor.media.encoder import Encoder, Pcm
from stentor.media.grid import STEP_SAMPLES, TICK_SAMPLES, Segment, Step, first_step, segment_of
from stentor.media.hold import Loop, silence_loop
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.origin.track import LEAD_TICKS, EncoderFactory, Track

TICKS_PER_STEP = STEP_SAMPLES // TICK_SAMPLES


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
            Track(
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
        self._thrifty_wanted = False
        self._thrifty = False
        self._thrifty_step = first

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
    def thrifty(self) -> bool:
        """Return whether the encoders have their lower bitrates (media/rendition)."""
        return self._thrifty

    @property
    def thrifty_step(self) -> Step:
        """Return the step from which the present ``thrifty`` holds."""
        return self._thrifty_step

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
            self._change_bitrate()
            for track in self._tracks:
                chunks += track.feed(pcm)
        self._tick += 1
        if self._tick == TICKS_PER_STEP:
            self._tick = 0
            self._step = Step(self._step + 1)
            if not self._on_air:
                chunks += self._play(self._hold)
        return chunks

    def want_bitrate(self, *, thrifty: bool) -> None:
        """Have the lower bitrates, or the usual ones, from the next segment that is not too near.

        Nothing is heard of the change. Encoders that start later have it at once.
        """
        self._thrifty_wanted = thrifty

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
        self._thrifty, self._thrifty_step = self._thrifty_wanted, self._step
        for track in self._tracks:
            track.open(self._step, thrifty=self._thrifty)

    def _change_bitrate(self) -> None:
        """Begin what is wanted, or note that it has come about."""
        if any(track.changing for track in self._tracks):
            return
        came = {track.thrifty for track in self._tracks} - {self._thrifty}
        if came:
            self._thrifty, self._thrifty_step = came.pop(), first_step(segment_of(self._step))
        boundary = first_step(Segment(segment_of(self._step) + 1))
        ahead_ticks = (boundary - self._step) * TICKS_PER_STEP - self._tick
        if self._thrifty_wanted is not self._thrifty and ahead_ticks >= LEAD_TICKS:
            at_sample = self._step * STEP_SAMPLES + self._tick * TICK_SAMPLES
            for track in self._tracks:
                track.change(boundary, at_sample, thrifty=self._thrifty_wanted)

    def _close(self) -> list[Chunk]:
        return [chunk for track in self._tracks for chunk in track.close(self._step)]

    def _play(self, loop: Loop, *, silent: bool = False) -> list[Chunk]:
        return [chunk for track in self._tracks for chunk in track.play(loop, self._step, silent=silent)]
