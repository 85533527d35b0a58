"""What a dial would do, before it is turned: "4,000 wait; at 500 a second the last enters at 20:09"."""

from dataclasses import dataclass

from stentor.room.documents import Dials
from stentor.room.door_words import DoorWord


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of the line. ``per_minute``: how many enter in each of the next minutes, 60 at most.

    ``last_enters_ns`` (Unix) is for the last who waits now, None when nobody can tell: they depend on people leaving,
    and nobody leaves. ``free``: how many places there are at once.
    """

    waiting: int
    free: int | None
    last_enters_ns: int | None
    per_minute: tuple[int, ...]


def forecast(word: DoorWord, dials: Dials, leaving_per_s: float) -> Forecast:
    """Return what would become of the line of ``word`` with other ``dials``.

    ``leaving_per_s``: how many leave a second, ``word.leaving_per_s`` or an assumption.
    """
    raise NotImplementedError
