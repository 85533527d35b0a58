"""What edges that feed themselves from this one are told of doors and of the installation, and say of them.

Whoever has proven the relay key is one of us: words and reports go down, its reports go up. Others are told the dials
and the ladder alone: nobody could check what they say, so they let nobody into a room with a door.
"""

from collections.abc import Callable, Coroutine
from typing import Protocol

from pydantic import ValidationError

from stentor.bus.port import Core, Document, door_report_subject, door_word_subject
from stentor.bus.upstream_wire import Kind, pack
from stentor.edge.websocket import Opcode, frame
from stentor.errors import MediaError
from stentor.room.door_words import DoorReport
from stentor.room.installation import KEY, InstallationDocument

_BUCKET = "installation"


class Tell(Protocol):
    """What sends frames to relays."""

    def __call__(self, said: bytes, *, trusted: bool) -> None:
        """Send to those who have proven the key, or to the others."""
        ...


class DoorsBelow:
    """The doors as relays see them."""

    def __init__(self, core: Core, tell: Tell) -> None:
        self.spawn: Callable[[Coroutine[object, object, None]], None]
        self._core = core
        self._tell = tell
        self._documents: dict[str, tuple[bytes, bytes]] = {}
        self._words: dict[str, bytes] = {}

    def said(self, *, trusted: bool) -> bytes:
        """Return all that a relay is told as it joins."""
        documents = b"".join(pair[0 if trusted else 1] for pair in self._documents.values())
        return documents + b"".join(self._words.values()) if trusted else documents

    def document_changed(self, document: Document) -> None:
        """Tell of a document of the bucket ``installation``; lists of networks and permits are not for everybody."""
        name = f"{_BUCKET}/{document.key}"
        if document.value is None:
            self._documents.pop(name, None)
            for trusted in (True, False):
                self._tell(_say(Kind.GONE, name), trusted=trusted)
            return
        pair = (document.value, _public(document.value) if document.key == KEY else document.value)
        self._documents[name] = said = (_say(Kind.DOCUMENT, name, pair[0]), _say(Kind.DOCUMENT, name, pair[1]))
        self._tell(said[0], trusted=True)
        self._tell(said[1], trusted=False)

    def word_heard(self, room: str, payload: bytes) -> None:
        """Pass on a word of the leader's."""
        self._words[room] = _say(Kind.DOCUMENT, f"doors/{room}", payload)
        self._tell(_say(Kind.MESSAGE, door_word_subject(room), payload), trusted=True)

    def door_gone(self, room: str) -> None:
        """Forget a room that has no door any more."""
        if self._words.pop(room, None) is not None:
            self._tell(_say(Kind.GONE, f"doors/{room}"), trusted=True)

    def report_heard(self, room: str, payload: bytes) -> None:
        """Pass on what an edge says of a door."""
        self._tell(_say(Kind.MESSAGE, door_report_subject(room), payload), trusted=True)

    def take_report(self, room: str, payload: bytes) -> None:
        """Take what a relay that has proven the key says of a door. Raises MediaError for what is no report."""
        try:
            report = DoorReport.model_validate_json(payload)
        except ValidationError as error:
            raise MediaError("What a relay says of a door cannot be read.") from error
        if report.room != room:
            raise MediaError("A relay reports on one door in the name of another.")
        self.spawn(self._core.publish(door_report_subject(room), payload))


def _public(value: bytes) -> bytes:
    try:
        document = InstallationDocument.model_validate_json(value)
    except ValidationError:
        return InstallationDocument().to_bytes()
    return document.model_copy(update={"allow": (), "deny": (), "permits": ()}).to_bytes()


def _say(kind: Kind, name: str, payload: bytes = b"") -> bytes:
    return frame(Opcode.BINARY, pack(kind, name, payload))
