"""The status of the installation: what happened lately, for everybody. Bucket ``installation``, key ``status``.

Control is its only writer (control/status); edges and the archive show it (plain/status). Events carry what happened
as a kind and its values, never as a sentence: whoever shows them has the words of a language.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from stentor.room.documents import Dials
from stentor.room.states import RoomState

KEY = "status"
KEPT_NS = 24 * 3600 * 1_000_000_000
KEPT_EVENTS = 60
SAID_EVERY_NS = 5_000_000_000
"""Control says the document at least so often, changed or not: by its age others tell whether control is there."""
AWAY_NS = 20_000_000_000


class Happening(StrEnum):
    """What can happen, as everybody may know it."""

    OPENED = "room-opened"
    STARTED = "room-started"
    HELD = "room-held"
    RESUMED = "room-resumed"
    ENDED = "room-ended"
    REPLAY = "recording-ready"
    ANNOUNCED = "announcement"
    ROOM_DOOR = "room-door"
    DOOR = "door"
    LADDER_UP = "ladder-up"
    LADDER_DOWN = "ladder-down"
    EDGE_LOST = "edge-lost"
    EDGE_BACK = "edge-back"
    EDGE_RESTARTED = "edge-restarted"
    ORIGIN_MOVED = "origin-moved"
    SAID = "said"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StatusEvent(_Document):
    """Something that happened. Times in Unix nanoseconds.

    ``room`` and ``title`` are of the room it happened in, if any; ``text`` is an announcement or the operator's own
    words; ``step`` of the ladder; ``door`` the dials as they are since; ``count``: so many of the same at once.
    """

    id: str
    at_ns: int
    kind: Happening
    room: str | None = None
    title: str = ""
    text: str | None = None
    step: int | None = None
    door: Dials | None = None
    count: int = 1


class RoomLine(_Document):
    """A room as the status has it: by what was last said of it control tells what is new, also after a restart.

    ``waiting`` and ``admitted_per_s`` are the door's (room/door_words); ``by_beacon``: players beside ``listeners``
    whom only their beacons show.
    """

    room: str
    title: str
    state: RoomState
    epoch: int = 0
    announced_ns: int = 0
    door: Dials = Dials()
    listeners: int = 0
    by_beacon: int = 0
    waiting: int = 0
    admitted_per_s: float = 0.0


class StatusDocument(_Document):
    """The status as of ``at_ns``. ``events``: the newest first, of the last 24 hours, 60 at most.

    ``next_update_ns`` is when the operator promised to say more; ``ladder`` and ``door`` are what the newest events
    have told of.
    """

    at_ns: int
    next_update_ns: int | None = None
    ladder: int = 0
    door: Dials = Dials()
    rooms: tuple[RoomLine, ...] = ()
    events: tuple[StatusEvent, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the document as JSON."""
        return self.model_dump_json(exclude_defaults=True).encode()


COPY_SUBJECT = "archive.status"
"""Core subject on which the archive says each half minute how it stands with the copy (``CopyReport``)."""


class CopyReport(_Document):
    """How it stands with the copy in the object store: when it was last written, and what is wrong, if anything."""

    written_ns: int | None = None
    problem: str | None = None

    def to_bytes(self) -> bytes:
        """Return the report as JSON."""
        return self.model_dump_json().encode()
