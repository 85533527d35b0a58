"""What a leader's word means for one who waits: their position, how long it takes, when to ask again."""

from stentor.room.door import (
    ASK_EVERY_S,
    EARLY,
    EARLY_GROUPS,
    GROUPS,
    LEAST_ASK_S,
    NS_PER_S,
    Place,
    permutation,
)
from stentor.room.door_words import DoorWord, Pace, totals

_ASK_NS = int(ASK_EVERY_S * NS_PER_S)
_FRONT_PER_S = 25
"""How fast the front may move without anybody having known: who is so near asks sooner, some 50 a second in all."""


def waits(position: float, pace: Pace, leaving_per_s: float) -> float | None:
    """Return in how many seconds ``position`` is called if ``leaving_per_s`` leave; None: nobody can tell."""
    by_rate = position / pace.per_second if pace.per_second else 0.0
    if position <= pace.free:
        return by_rate
    if leaving_per_s <= 0:
        return None
    return max(by_rate, (position - pace.free) / leaving_per_s)


class View:
    """A word, ready to be asked. ``ranks``: those of the early slot, empty before the doors open."""

    def __init__(self, word: DoorWord, earlier: "View | None" = None) -> None:
        self.word = word
        same = earlier is not None and earlier.word.salt == word.salt
        self.ranks: tuple[int, ...] = ()
        if earlier is not None and same:
            self.ranks = earlier.ranks
        elif word.salt:
            self.ranks = permutation(word.salt)
        self.watermark = tuple(word.watermark)
        self.over = tuple(word.over)
        if earlier is not None and (earlier.word.line, earlier.word.line_from) == (word.line, word.line_from):
            self.line: tuple[list[int], list[int]] = earlier.line
        else:
            counts = word.counts()
            self.line = (counts, totals(counts))
        self._counts, self._before = self.line
        self._marks = [(batch.slot, batch.rank, batch.number) for batch in word.batches]
        early_left = (word.early or 0) * (EARLY_GROUPS - self.word.watermark.rank) / EARLY_GROUPS
        if word.watermark.slot == EARLY:
            self._ahead = early_left
        else:
            self._ahead = -self._counts[0] * word.watermark.rank / GROUPS if self._counts else 0.0

    def rank(self, place: Place) -> tuple[int, int]:
        """Return where a place stands in the order of the line."""
        slot, group = place
        if slot != EARLY:
            return slot, group
        return slot, self.ranks[group % EARLY_GROUPS] if self.ranks else group

    def batch(self, rank: tuple[int, int]) -> int:
        """Return the number of the batch that one whose turn it is belongs to; 0: none that is remembered."""
        for slot, above, number in self._marks:
            if rank < (slot, above):
                return number
        return 0

    def ahead(self, rank: tuple[int, int]) -> float | None:
        """Return how many are ahead in line, as far as groups are even; None: the slot is still being counted.

        It only ever falls, since the counts are final and the watermark only rises.
        """
        word = self.word
        slot, group = rank
        if word.early is None:
            return None
        if slot == EARLY:
            return word.early * (group - word.watermark.rank) / EARLY_GROUPS
        index = slot - word.line_from
        if index >= len(self._counts):
            return None
        if index < 0:
            return max(0.0, self._ahead)
        return max(0.0, self._ahead + self._before[index] + self._counts[index] * group / GROUPS)

    def wait_s(self, ahead: float) -> tuple[float, float] | None:
        """Return in how many seconds one is called: at the least, and at the most."""
        pace = self.word.pace
        position = ahead + 1
        high = waits(position, pace, pace.leaving_low)
        if high is None:
            return None
        low = waits(position, pace, max(pace.leaving_low, pace.leaving_high))
        return (min(low or 0.0, high), high + 2.0)

    def ask_again_s(self, holder: bytes, ahead: float | None, now_ns: int) -> float:
        """Return when to ask again: at the holder's own moment of each 20 s, so that questions come evenly.

        Who stands near the front asks at their turn, as far as that is known, and as often as the front may move by
        surprise, at the earliest LEAST_ASK_S from now.
        """
        draw = int.from_bytes(holder, "big") * 0x9E3779B97F4A7C15 % (1 << 64)
        phase = ((draw % _ASK_NS) - now_ns) % _ASK_NS / NS_PER_S
        phase = phase if phase >= LEAST_ASK_S else phase + ASK_EVERY_S
        if ahead is None:
            return phase
        near = LEAST_ASK_S + ahead / _FRONT_PER_S
        pace = self.word.pace
        soon = waits(ahead + 1, pace, (pace.leaving_low + pace.leaving_high) / 2)
        if soon is not None:
            near = min(near, max(soon + (draw >> 40) / (1 << 24), LEAST_ASK_S))
        return min(near, phase) if near < ASK_EVERY_S else phase
