"""How many tickets an edge has made, by slot and group: all that it remembers of those who wait."""

from array import array

from stentor.room.door import groups
from stentor.room.door_words import pack

_NEWEST = 8
_OLDEST = 64


class Issued:
    """The histogram of one room's tickets at one edge, and which part of it the leader has not heard.

    ``slot``: none is made for a lower one any more. ``last``: the newest slot that has tickets.
    """

    def __init__(self) -> None:
        self._counts: dict[int, array[int]] = {}
        self._unheard: dict[int, int] = {}
        self.slot = 0
        self.last = 0

    def add(self, slot: int, group: int) -> None:
        """Count a ticket."""
        counts = self._counts.get(slot)
        if counts is None:
            counts = self._counts[slot] = array("I", bytes(4 * groups(slot)))
        counts[group] += 1
        self._unheard[slot] = 0
        self.slot = max(self.slot, slot)
        self.last = max(self.last, slot)

    @property
    def unheard(self) -> bool:
        """Tell whether the leader has yet to hear of any."""
        return bool(self._unheard)

    def portion(self, number: int) -> dict[int, str]:
        """Return what report ``number`` says: of all that is unheard the early, the newest and the first slots."""
        slots = sorted(self._unheard)
        if len(slots) > _NEWEST + _OLDEST:
            slots = slots[:_OLDEST] + slots[-_NEWEST:]
        for slot in slots:
            self._unheard[slot] = self._unheard[slot] or number
        return {slot: pack(self._counts[slot]) for slot in slots}

    def heard(self, number: int) -> None:
        """Hear that the leader has heard report ``number``."""
        self._unheard = {slot: since for slot, since in self._unheard.items() if not 0 < since <= number}

    def say_all(self) -> None:
        """Say everything anew: another leads."""
        self._unheard = dict.fromkeys(self._counts, 0)

    def forget(self, before: int) -> None:
        """Forget the slots before one, whose turn has passed."""
        for slot in [slot for slot in self._counts if slot < before]:
            del self._counts[slot]
            self._unheard.pop(slot, None)
