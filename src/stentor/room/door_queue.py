"""The line as the leader knows it: how many tickets each slot and group has, and how far they have been called."""

from array import array
from collections.abc import Iterator

from stentor.room.door import EARLY, groups, permutation
from stentor.room.door_words import DoorReport, DoorWord, Mark, pack, unpack


class Queue:
    """One room's line. ``mark``: who has been called. ``counted``: the slots before it are final."""

    def __init__(self) -> None:
        self.mark = Mark()
        self.counted = 0
        self.is_early_counted = False
        self._ranks: tuple[int, ...] = ()
        self._heard: dict[tuple[str, int, int], str] = {}
        self._tickets: dict[int, array[int]] = {}
        self._sums: dict[int, int] = {}
        self._told_of: dict[int, int] = {}
        self._missing: dict[int, int] = {}

    def resume(self, word: DoorWord) -> None:
        """Go on from another leader's word: how many there are in each slot; the groups will be reported again."""
        self.mark = word.watermark
        counts = word.counts()
        self.counted = word.line_from + len(counts)
        self.is_early_counted = word.early is not None
        self._told_of = {word.line_from + index: count for index, count in enumerate(counts) if count}
        self._missing = dict(self._told_of)
        if word.early and word.watermark.slot == EARLY:
            self._told_of[EARLY] = self._missing[EARLY] = word.early
        first = self._missing.get(self.mark.slot, 0)
        self._missing[self.mark.slot] = first - first * self.mark.rank // groups(self.mark.slot)

    def open(self, salt: str) -> None:
        """Shuffle the early."""
        self._ranks = permutation(salt)

    def take(self, report: DoorReport) -> None:
        """Count the tickets that an edge reports."""
        for slot, text in report.issued.items():
            key = (report.edge, report.made_ns, slot)
            before = self._heard.get(key, "")
            if text == before or slot < self.mark.slot:
                continue
            self._heard[key] = text
            self._count(slot, unpack(before), unpack(text))

    def _count(self, slot: int, before: list[int], now: list[int]) -> None:
        tickets = self._tickets.get(slot)
        if tickets is None:
            tickets = self._tickets[slot] = array("q", bytes(8 * groups(slot)))
        for sign, counts in ((-1, before), (1, now)):
            for group, count in enumerate(counts):
                if count:
                    tickets[group % len(tickets)] += sign * count
        self._sums[slot] = sum(tickets)

    def by_rank(self, slot: int) -> list[int]:
        """Return how many each rank of a slot has; who is known only by a leader's word is spread over those left."""
        size = groups(slot)
        tickets = self._tickets.get(slot)
        counts = list(tickets) if tickets is not None else [0] * size
        if slot == EARLY and self._ranks:
            sorted_counts = [0] * size
            for group, rank in enumerate(self._ranks):
                sorted_counts[rank] = counts[group]
            counts = sorted_counts
        done = self.mark.rank if slot == self.mark.slot else 0
        missing = self._missing.get(slot, 0) - sum(counts[done:])
        if missing > 0:
            left = size - done
            for index in range(left):
                counts[done + index] += missing * (index + 1) // left - missing * index // left
        return counts

    def remaining(self, slot: int) -> int:
        """Return how many of a slot have not been called."""
        if slot == self.mark.slot and self.mark.rank:
            return sum(self.by_rank(slot)[self.mark.rank :])
        if slot < self.mark.slot:
            return 0
        return max(self._sums.get(slot, 0), self._missing.get(slot, 0))

    def slots(self) -> list[int]:
        """Return the slots that somebody may stand in, in order."""
        return sorted(slot for slot in self._tickets.keys() | self._missing.keys() if slot >= self.mark.slot)

    def waiting(self) -> int:
        """Return how many have not been called."""
        return sum(self.remaining(slot) for slot in self.slots())

    def count_to(self, slot: int, *, early: bool) -> None:
        """Hear that no ticket is made any more for slots before one; ``early``: nor for slot EARLY."""
        if early and not self.is_early_counted:
            self.is_early_counted = True
            self._told_of[EARLY] = self.remaining(EARLY)
        if not self.is_early_counted:
            return
        for each in self.slots():
            if max(1, self.counted) <= each < slot:
                self._told_of[each] = self.remaining(each)
        self.counted = max(self.counted, slot)

    def groups_ahead(self) -> Iterator[tuple[Mark, int]]:
        """Yield the mark after each group that can be called next, and how many there are in it; empty ones joined.

        After a slot's last one the next slot begins: positions are told as if groups were even, and would count those
        who never came.
        """
        if not self.is_early_counted:
            return
        for slot in self.slots():
            if slot >= self.counted and slot != EARLY:
                break
            counts = self.by_rank(slot)
            start = self.mark.rank if slot == self.mark.slot else 0
            ranks = [rank for rank in range(start, len(counts)) if counts[rank]]
            for rank in ranks:
                last = rank == ranks[-1] and slot != EARLY
                yield Mark(slot + 1, 0) if last else Mark(slot, rank + 1), counts[rank]
        yield Mark(max(self.counted, self.mark.slot), 0 if self.counted > self.mark.slot else self.mark.rank), 0

    def call(self, mark: Mark) -> float:
        """Call all up to a mark, and forget what lies behind it; return by how much positions in line get better."""
        before = self._passed(self.mark)
        steps = float(sum(count for slot, count in self._told_of.items() if self.mark.slot <= slot < mark.slot))
        steps += self._passed(mark) - before
        if mark.rank and mark.slot in self._missing:
            self._missing[mark.slot] = sum(self.by_rank(mark.slot)[mark.rank :])
        self.mark = mark
        for slot in [slot for slot in self._tickets if slot < mark.slot]:
            del self._tickets[slot]
        for slots in (self._missing, self._told_of, self._sums):
            for slot in [slot for slot in slots if slot < mark.slot]:
                del slots[slot]
        for key in [key for key in self._heard if key[2] < mark.slot]:
            del self._heard[key]
        return steps

    def _passed(self, mark: Mark) -> float:
        return self._told_of.get(mark.slot, 0) * mark.rank / groups(mark.slot)

    def line(self) -> tuple[int, str]:
        """Return the first slot of the line as edges are told it, and the counts from there on."""
        known = [slot for slot, count in self._told_of.items() if count and slot != EARLY]
        first = self.mark.slot or min(known, default=self.counted)
        return first, pack(self._told_of.get(slot, 0) for slot in range(first, self.counted))

    def early(self) -> int | None:
        """Return how many of the early there were, while it is their turn; None: they are not counted yet."""
        return self._told_of.get(EARLY, 0) if self.is_early_counted else None
