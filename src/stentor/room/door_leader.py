"""Who is let into one room: what the leader of the door works out from the edges' reports. Rules: docs/door.md."""

from stentor.room.documents import Dials
from stentor.room.door import Because
from stentor.room.door_words import DoorReport, DoorWord


class Leader:
    """Leads one room's door in one ``term``, at edge ``leader``.

    ``salt`` (32 hex digits that nobody can guess) is what the early are shuffled with, should the doors open in this
    term. After another leader give ``resume`` its last word first.
    """

    def __init__(self, room: str, *, leader: str, term: int, salt: str) -> None:
        self.room = room
        self._leader = leader
        self._term = term
        self._salt = salt

    def resume(self, word: DoorWord, now_ns: int) -> None:
        """Go on from the last word of the leader before: the stored one, or a newer one that this edge has heard."""
        raise NotImplementedError

    def set(self, dials: Dials, *, is_open: bool, because: Because | None, now_ns: int) -> None:
        """Put dials in force, the least of room, installation and ladder, and say whether the doors stand open.

        ``because``: why it goes slower than was said, when these dials are lower than those before.
        """
        raise NotImplementedError

    def take_report(self, report: DoorReport, now_ns: int) -> None:
        """Hear an edge, the leader's own as well."""
        raise NotImplementedError

    def tick(self, now_ns: int) -> DoorWord:
        """Return the next word. It has to be STORED before it is published when ``must_store`` says so."""
        raise NotImplementedError

    @property
    def must_store(self) -> bool:
        """Tell whether the last word grants more than any stored one, and has to be stored before anybody hears it.

        Otherwise once a second is enough. Call ``stored(word)`` when it was; a leader who cannot store says nothing.
        """
        raise NotImplementedError

    def stored(self, word: DoorWord) -> None:
        """Hear that a word has been stored."""
        raise NotImplementedError
