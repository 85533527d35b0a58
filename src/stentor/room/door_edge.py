"""What one edge knows of one room's door, and what it may do by itself. Rules and proofs: docs/door.md."""

from collections.abc import Callable

from stentor.room.door import Answer, Cut, Entrance, Ticket
from stentor.room.door_words import DoorReport, DoorWord


class EdgeDoor:
    """One room's door at one edge.

    ``draw(n)`` returns a whole number below n that nobody can guess. ``alive(entry)`` tells whether the client of an
    entry at this edge still acknowledges what it is sent. ``started_ns`` is when this run of the edge began: the same
    for all its rooms, another after each start. Nothing here grows with those who wait.
    """

    def __init__(
        self, room: str, edge: str, started_ns: int, *, draw: Callable[[int], int], alive: Callable[[int], bool]
    ) -> None:
        self.room = room
        self.edge = edge
        self._started_ns = started_ns
        self._draw = draw
        self._alive = alive

    @property
    def word(self) -> DoorWord | None:
        """Return the newest word, for state.json and for whoever is to lead next."""
        raise NotImplementedError

    def ask(self, ticket: Ticket | None, now_ns: int) -> Answer:
        """Answer one who asks to come in; ``ticket`` has been checked, None: they have none (that is good)."""
        raise NotImplementedError

    def enter(self, ticket: Ticket | None, now_ns: int, *, here: bool = False) -> Entrance:
        """Take a place for one who comes in; without a ticket only where nobody waits and there is room.

        ``here``: a person asked to listen here, and no longer elsewhere.
        """
        raise NotImplementedError

    def adopt(self, holder: bytes | None, now_ns: int) -> int:
        """Give a place to somebody who listens already when the door is set up, whatever the dials say.

        Return its entry, until ``leave``. ``holder``: of the ticket they have, if they have one; with it they may come
        back after a drop. DOOR calls this for everybody who is there when a room becomes guarded (nobody is thrown
        out), also before the first word: they count as ``inside`` at once, and in the leader's bound.
        """
        raise NotImplementedError

    def adopt(self, ticket: Ticket | None, now_ns: int) -> int:
        """Return an entry for one who has been listening since before the room had a door."""
        raise NotImplementedError

    def leave(self, entry: int, now_ns: int, *, dropped: bool) -> None:
        """End an entry. ``dropped``: not by their will, so that their place is kept for GRACE_S.

        No error where it has been replaced or cut.
        """
        raise NotImplementedError

    def take_word(self, word: DoorWord, now_ns: int) -> bool:
        """Follow a word of the leader's; return False when it is not newer than what is known."""
        raise NotImplementedError

    def take_report(self, report: DoorReport, now_ns: int) -> None:
        """Hear another edge (its own reports may come back, and do nothing)."""
        raise NotImplementedError

    def report(self, now_ns: int) -> DoorReport | None:
        """Return what to tell the others; to be called each REPORT_NS. None: nothing moves, it can wait."""
        raise NotImplementedError

    def cuts(self, now_ns: int) -> list[Cut]:
        """Return the entries that are to be cut, once each; to be called after each word or report, and REPORT_NS.

        They have ended: ``leave`` need not be called for them.
        """
        raise NotImplementedError
