"""The leader of an installation's doors: one Leader a room, and how the installation's dials are shared by them."""

from collections.abc import Callable

from stentor.room.documents import Dials
from stentor.room.door import Because
from stentor.room.door_words import DoorReport, DoorWord


class Leaders:
    """Leads the doors of all rooms in one ``term``. ``draw_salt`` returns 32 hex digits that nobody can guess."""

    def __init__(self, leader: str, term: int, *, draw_salt: Callable[[], str]) -> None:
        self._leader = leader
        self._term = term
        self._draw_salt = draw_salt

    def installation(self, door: Dials, *, because: Because | None = None) -> None:
        """Put the dials of the whole installation in force, with what the ladder made of them."""
        raise NotImplementedError

    def follow(self, room: str, door: Dials, *, is_open: bool, now_ns: int, word: DoorWord | None = None) -> None:
        """Lead a room, or hear what changed. ``word``: the last one of the leader before, where there was one.

        Every open room is to be followed where the installation has dials: they are a part of its audience.
        """
        raise NotImplementedError

    def forget(self, room: str) -> None:
        """Lead a room no longer: it is over, or has no door any more."""
        raise NotImplementedError

    def take_report(self, report: DoorReport, now_ns: int) -> None:
        """Hear an edge."""
        raise NotImplementedError

    def tick(self, now_ns: int) -> list[tuple[DoorWord, bool]]:
        """Return each room's next word, and whether it has to be stored before anybody hears it.

        To be called each REPORT_NS. When such a word cannot be stored, it must not be published.
        """
        raise NotImplementedError
