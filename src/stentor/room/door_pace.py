"""How fast the line moves: an estimate that says how uncertain it is, and gets worse only with a reason."""

from collections import deque
from math import sqrt

from stentor.room.door import NS_PER_S, Because
from stentor.room.door_view import waits
from stentor.room.door_words import DoorWord, Pace

_LONGEST_NS = 600 * NS_PER_S
_SHORTEST_NS = 20 * NS_PER_S
_ENOUGH = 100
_SPREAD = 1.3
_FOLLOW = 0.5
_TOLERANCE = 1.15
_TOLERANCE_S = 3.0
_SAID_NS = 35 * NS_PER_S
_RATES_NS = 10 * NS_PER_S


class Pacer:
    """One room's pace. Counts are cumulative; ``because`` is said for 35 s, until everybody has asked once."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int, int, float]] = deque()
        self._pace: Pace | None = None
        self._steps = 0.0
        self._because: Because | None = None
        self._because_until_ns = 0
        self._exposure = 0.0

    def resume(self, word: DoorWord, now_ns: int) -> None:
        """Go on from what another leader said, as if it had been seen here for a while."""
        low, high = word.pace.leaving_low, word.pace.leaving_high
        full = max(1.0, word.inside + word.held + word.called + min(word.pace.free, word.cap or 0))
        seconds = _ENOUGH / ((low + high) / 2) if high else 0.0
        if 0 < seconds <= _LONGEST_NS / NS_PER_S / 2:
            self._exposure = full * seconds
            self._samples.append((now_ns - int(seconds * NS_PER_S), 0, -_ENOUGH, 0.0))
            self._samples.append((now_ns, 0, 0, self._exposure))
        self._pace = word.pace
        if word.waiting:
            self._say(word.because or Because.SLOWER, now_ns)

    def slow_down(self, because: Because, now_ns: int) -> None:
        """Say why what was said before holds no more."""
        self._pace = None
        self._say(because, now_ns)

    def _say(self, because: Because, now_ns: int) -> None:
        self._because, self._because_until_ns = because, now_ns + _SAID_NS

    def because(self, now_ns: int) -> Because | None:
        """Return why it goes slower than was said."""
        return self._because if now_ns < self._because_until_ns else None

    def sample(self, now_ns: int, *, admitted: int, freed: int, inside: int) -> None:
        """Hear how many have come and gone, and how many are inside."""
        if self._samples:
            self._exposure += inside * (now_ns - self._samples[-1][0]) / NS_PER_S
        self._samples.append((now_ns, admitted, freed, self._exposure))
        while now_ns - self._samples[0][0] > _LONGEST_NS:
            self._samples.popleft()

    def rates(self) -> tuple[float, float]:
        """Return how many came in, and how many places became free, a second of the last ten."""
        if len(self._samples) < 2:
            return 0.0, 0.0
        now_ns, admitted, freed, _ = self._samples[-1]
        first = next(s for s in self._samples if now_ns - s[0] <= _RATES_NS)
        if first[0] == now_ns:
            return 0.0, 0.0
        seconds = (now_ns - first[0]) / NS_PER_S
        return (admitted - first[1]) / seconds, (freed - first[2]) / seconds

    def leaving(self, full: float) -> tuple[float, float]:
        """Return at least and at most how many leave a second when ``full`` are inside; at least 0: nobody knows."""
        now_ns, _, freed, exposure = self._samples[-1]
        low = high = 0.0
        for at_ns, _, before, exposed in reversed(self._samples):
            many = freed - before
            if exposure <= exposed:
                continue
            spread = _SPREAD * sqrt(many + 1)
            low, high = ((many + by) / (exposure - exposed) * full for by in (-spread, spread))
            if now_ns - at_ns >= _SHORTEST_NS and many >= _ENOUGH:
                break
        return max(0.0, low), high

    def pace(self, now_ns: int, found: Pace, steps: float, waiting: int) -> Pace:
        """Return what to tell: ``found`` where it is better than what was said, and where it is a good deal worse.

        ``steps``: by how much positions have got better, in all; ``waiting``: who have not been called.
        """
        if self._pace is None:
            said = found
        else:
            before = self._pace._replace(free=max(0.0, self._pace.free - (steps - self._steps)))
            low = before.leaving_low + max(0.0, found.leaving_low - before.leaving_low) * _FOLLOW
            said = Pace(max(before.free, found.free), found.per_second, round(low, 3), found.leaving_high)
            slack = max(5.0, said.free / 10, 2 * self.rates()[0])
            if self._is_worse(found._replace(free=found.free + slack), said, waiting):
                said = found
                self._say(self.because(now_ns) or Because.SLOWER, now_ns)
        self._pace, self._steps = said, steps
        return said

    @staticmethod
    def _is_worse(found: Pace, said: Pace, waiting: int) -> bool:
        for position in {1, said.free, found.free + 1, waiting // 2, waiting} - {0}:
            before = waits(position, said, said.leaving_low)
            now = waits(position, found, found.leaving_low)
            if position > waiting or before is None:
                continue
            if now is None or now > before * _TOLERANCE + _TOLERANCE_S:
                return True
        return False
