"""What whoever shows the status has been told: documents of the bus, the newest of each."""

from collections.abc import Mapping

from stentor.plain.status import Numbers, StatusView
from stentor.room import installation, status
from stentor.room.documents import RoomDocument
from stentor.room.door_words import DoorWord
from stentor.room.installation import InstallationDocument
from stentor.room.states import RoomState
from stentor.room.status import StatusDocument

_WORD_NS = 10_000_000_000
"""The bucket has a door's word about once a second; an older one is of a leader, or a line, that is gone."""


class Known:
    """Keeps what ``take`` is given. What is garbled changes nothing."""

    def __init__(self) -> None:
        self.said: StatusDocument | None = None
        self.installation = InstallationDocument()
        self.rooms: dict[str, RoomDocument] = {}
        self._doors: dict[str, DoorWord] = {}

    def take(self, bucket: str, key: str, value: bytes | None) -> None:
        """Take a document of ``installation``, ``rooms`` or ``doors`` (None: it is gone). ValueError: it is garbled."""
        if bucket == "installation" and key == status.KEY:
            self.said = StatusDocument.model_validate_json(value) if value else None
        elif bucket == "installation" and key == installation.KEY:
            self.installation = InstallationDocument.model_validate_json(value) if value else InstallationDocument()
        elif bucket == "rooms":
            room = RoomDocument.model_validate_json(value) if value else None
            if room is not None and room.state is not RoomState.DRAFT:
                self.rooms[key] = room
            else:
                self.rooms.pop(key, None)
        elif bucket == "doors" and value is None:
            self._doors.pop(key, None)
        elif bucket == "doors" and value is not None and key != "leader":
            self._doors[key] = DoorWord.model_validate_json(value)

    def door(self, room: str, now_ns: int) -> DoorWord | None:
        """Return what was said of a room's door within the last 10 s."""
        word = self._doors.get(room)
        return word if word is not None and now_ns - word.at_ns < _WORD_NS else None

    def view(
        self,
        now_ns: int,
        *,
        connected: bool,
        rooms: tuple[RoomDocument, ...] | None = None,
        numbers: Mapping[str, Numbers] | None = None,
    ) -> StatusView:
        """Return what is to be shown. ``rooms`` and ``numbers``: where the caller knows better than the documents."""
        if numbers is None:
            lines = self.said.rooms if self.said is not None else ()
            numbers = {
                line.room: Numbers(line.listeners, line.by_beacon, line.waiting, line.admitted_per_s) for line in lines
            }
        shown = tuple(self.rooms.values()) if rooms is None else rooms
        return StatusView(now_ns, connected, self.said, self.installation, shown, numbers)
