"""Encodes what speakers hear: an own mix for who speaks, one shared mix for all who are silent."""

from collections.abc import Iterable

from stentor.media.encoder import OpusEncoder
from stentor.media.mixer import Mix

_OWN_TICKS = 100


class MinusEncoders:
    """The encoders of one room's mixes.

    A person who contributes sound (media/mixer tells who) needs a mix without it, and keeps an own encoder for two
    seconds after; all the others hear the same, so it is encoded once. Thirteen encodes a tick would cost more than
    all the rest.
    """

    def __init__(self) -> None:
        self._shared = OpusEncoder(speech=True)
        self._own: dict[str, OpusEncoder] = {}
        self._own_ticks: dict[str, int] = {}

    def encode(self, mix: Mix, hearing: Iterable[str]) -> dict[str, bytes]:
        """Return one 20 ms Opus frame for each person in ``hearing``."""
        for person in mix.minus:
            self._own_ticks[person] = _OWN_TICKS
        frames: dict[str, bytes] = {}
        shared: bytes | None = None
        for person in hearing:
            left = self._own_ticks.get(person, 0)
            if left:
                self._own_ticks[person] = left - 1
                if person not in self._own:
                    self._own[person] = OpusEncoder(speech=True)
                frames[person] = self._own[person].encode(mix.heard_by(person))
            else:
                if shared is None:
                    shared = self._shared.encode(mix.program)
                frames[person] = shared
        return frames

    def forget(self, person: str) -> None:
        """Give up a person's encoder."""
        self._own.pop(person, None)
        self._own_ticks.pop(person, None)
