"""What a dial would do, before it is turned: "4,000 wait; at 500 a second the last enters at 20:09"."""

from dataclasses import dataclass

from stentor.room.documents import Dials
from stentor.room.door import NS_PER_S
from stentor.room.door_view import waits
from stentor.room.door_words import DoorWord, Pace

_MINUTES = 60
_UNLIMITED = 1 << 40


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
    free = None if dials.cap is None else max(0, dials.cap - word.inside - word.held - word.called)
    pace = Pace(_UNLIMITED if free is None else free, dials.per_second or 0.0)
    stuck = dials.per_second == 0
    last_s = None if stuck and word.waiting else waits(word.waiting, pace, leaving_per_s)
    entered = [0]
    while len(entered) <= _MINUTES and entered[-1] < word.waiting and not stuck:
        seconds = 60 * len(entered)
        by_rate = pace.per_second * seconds if pace.per_second else word.waiting
        entered.append(min(word.waiting, int(min(by_rate, pace.free + leaving_per_s * seconds))))
    return Forecast(
        waiting=word.waiting,
        free=free,
        last_enters_ns=None if last_s is None else word.at_ns + int(last_s * NS_PER_S),
        per_minute=tuple(after - before for before, after in zip(entered, entered[1:], strict=False)),
    )
