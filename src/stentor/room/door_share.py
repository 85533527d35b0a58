"""The leader of an installation's doors: one Leader a room, and how the installation's dials are shared by them."""

from collections.abc import Callable
from dataclasses import dataclass

from stentor.room.documents import Dials
from stentor.room.door import Because
from stentor.room.door_leader import Leader
from stentor.room.door_words import DoorReport, DoorWord

_LEAST_RATE = 1.0
_AT_HAND = 8
"""How many places a room has ready for who comes, unless people wait in another."""


@dataclass(slots=True)
class Led:
    """One room: its leader, its own dials, and why they went down, until that has been said."""

    leader: Leader
    door: Dials
    is_open: bool
    because: Because | None = None


class Leaders:
    """Leads the doors of all rooms in one ``term``. ``draw_salt`` returns 32 hex digits that nobody can guess."""

    def __init__(self, leader: str, term: int, *, draw_salt: Callable[[], str]) -> None:
        self._leader = leader
        self._term = term
        self._draw_salt = draw_salt
        self._door = Dials()
        self._rooms: dict[str, Led] = {}

    def installation(self, door: Dials) -> None:
        """Put the dials of the whole installation in force, with what the ladder made of them."""
        because = why_slower(self._door, door)
        self._door = door
        for led in self._rooms.values():
            led.because = led.because or because

    def follow(self, room: str, door: Dials, *, is_open: bool, now_ns: int, stored: DoorWord | None = None) -> None:
        """Lead a room, or hear what changed. ``stored``: the last stored word of the leader before, if there is one.

        Every open room is to be followed where the installation has dials: they are a part of its audience.
        """
        led = self._rooms.get(room)
        if led is None:
            leader = Leader(room, leader=self._leader, term=self._term, salt=self._draw_salt())
            if stored is not None:
                leader.resume(stored, now_ns)
            self._rooms[room] = Led(leader, door, is_open)
            return
        led.because = why_slower(led.door, door) or led.because
        led.door, led.is_open = door, is_open

    def forget(self, room: str) -> None:
        """Lead a room no longer: it is over, or has no door any more."""
        self._rooms.pop(room, None)

    def take_report(self, report: DoorReport, now_ns: int) -> None:
        """Hear an edge."""
        led = self._rooms.get(report.room)
        if led is not None:
            led.leader.take_report(report, now_ns)

    def tick(self, now_ns: int) -> list[tuple[DoorWord, bool]]:
        """Return each room's next word, and whether it has to be stored before anybody hears it.

        To be called each REPORT_NS. When such a word cannot be stored, it must not be published.
        """
        caps, rates = self._caps(), self._rates()
        words = []
        for room, led in self._rooms.items():
            dials = Dials(cap=caps[room], per_second=rates[room])
            led.leader.set(dials, is_open=led.is_open, because=led.because, now_ns=now_ns)
            led.because = None
            words.append((led.leader.tick(now_ns), led.leader.must_store))
        return words

    def stored(self, word: DoorWord) -> None:
        """Hear that a word has been stored."""
        led = self._rooms.get(word.room)
        if led is not None:
            led.leader.stored(word)

    def _caps(self) -> dict[str, int | None]:
        """Share the installation's places: each room keeps what it has, and may have as much more as the others.

        What a room has promised and does not need is asked back, and goes to others when its edges have heard.
        """
        if self._door.cap is None:
            return {room: led.door.cap for room, led in self._rooms.items()}
        free = self._door.cap - sum(led.leader.bound for led in self._rooms.values())
        at_hand = 0 if any(led.leader.waiting for led in self._rooms.values()) else _AT_HAND
        has, lacks = {}, {}
        for room, led in self._rooms.items():
            leader = led.leader
            needed = leader.taken + leader.called + leader.waiting + at_hand + int(leader.admitted_per_s)
            needed = min(needed, led.door.cap) if led.door.cap is not None else needed
            has[room] = min(leader.bound, max(needed, leader.taken))
            lacks[room] = float(max(0, needed - leader.bound))
        more = {room: int(part) for room, part in evenly(max(0, free), lacks).items()}
        rest = min(max(0, free), int(sum(lacks.values()))) - sum(more.values())
        for room in sorted(self._rooms, key=lambda room: more[room] - lacks[room])[:rest]:
            more[room] += 1
        return {room: has[room] + more[room] for room in self._rooms}

    def _rates(self) -> dict[str, float | None]:
        """Share the installation's rate among the rooms with a line; the others keep what comes, and a little."""
        if self._door.per_second is None:
            return {room: led.door.per_second for room, led in self._rooms.items()}
        wants = {}
        for room, led in self._rooms.items():
            most = self._door.per_second if led.door.per_second is None else led.door.per_second
            quiet = 1.5 * led.leader.admitted_per_s + _LEAST_RATE
            wants[room] = most if led.leader.waiting else min(most, quiet)
        return dict(evenly(self._door.per_second, wants))


def why_slower(before: Dials, after: Dials) -> Because | None:
    """Return why the line goes slower after a change of dials, if it does."""
    if after.cap is not None and (before.cap is None or after.cap < before.cap):
        return Because.CAP_LOWERED
    if after.per_second is not None and (before.per_second is None or after.per_second < before.per_second):
        return Because.RATE_LOWERED
    return None


def evenly(amount: float, wants: dict[str, float]) -> dict[str, float]:
    """Share an amount: everybody gets the same, or what they want where that is less."""
    given = {}
    left = amount
    for index, room in enumerate(sorted(wants, key=lambda room: wants[room])):
        given[room] = min(wants[room], left / (len(wants) - index))
        left -= given[room]
    return given
