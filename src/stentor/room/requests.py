"""What control asks of a room's origin over the bus, and what it answers.

Subject ``origin.{room}.{verb}``; request and reply are JSON. A reply is either ``Reply.ok`` with the verb's
result or a problem (RFC 9457) with the status that control passes on.
"""

from pydantic import BaseModel, ConfigDict

from stentor.room.documents import Role


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_bytes(self) -> bytes:
        """Return the message as JSON."""
        return self.model_dump_json().encode()


class Offer(_Message):
    """Verb ``offer``: a person's WHIP offer. Result: ``Answered``. A newer offer replaces the person's older one.

    ``device`` is the hash of the browser's secret, None for encoders: people on one device are never fed each other.
    """

    person: str
    name: str
    role: Role
    sdp: str
    device: str | None = None


class Candidates(_Message):
    """Verb ``candidates``: a WHIP PATCH (trickle ICE, RFC 8840 fragment). Result: empty."""

    session: str
    fragment: str


class Restart(_Message):
    """Verb ``restart``: a WHIP PATCH that restarts ICE (RFC 9725, 4.3.3). Result: ``Restarted``."""

    session: str
    fragment: str


class Restarted(_Message):
    """The origin's credentials and candidates of the new ICE generation, as a fragment (RFC 8840)."""

    fragment: str


class Leave(_Message):
    """Verb ``leave``: a WHIP DELETE. Result: empty."""

    session: str


class Mute(_Message):
    """Verb ``mute``: mute or unmute a person (``by``: "self" or "host"). Result: empty. Within 500 ms."""

    person: str
    muted: bool
    by: str


class MuteAll(_Message):
    """Verb ``mute-all``: mute by the host everybody on stage whose role is not among ``spared``. Result: ``Muted``."""

    spared: tuple[Role, ...]


class Muted(_Message):
    """The people whom a ``mute-all`` has muted, by id; who was muted by a host already is not among them."""

    people: tuple[str, ...]


class GiveRole(_Message):
    """Verb ``role``: a person has another role now. Result: empty."""

    person: str
    role: Role


class Remove(_Message):
    """Verb ``remove``: end a person's media at once. Result: empty. ``keep_seat``: they come back on another device."""

    person: str
    keep_seat: bool = False


class Rename(_Message):
    """Verb ``rename``: a person's shown name has changed. Result: empty."""

    person: str
    name: str


class Announced(_Message):
    """Verb ``announce``: log the announcement (the document already carries it). Result: empty."""

    text: str


class RingRead(_Message):
    """Verb ``ring``: chunks of a rendition after a step, at most 125 (30 s). Reply: see ``ring_reply`` in bus/ring."""

    rendition: str
    after_step: int


class Answered(_Message):
    """The answer to an offer: SDP and the session's id (unguessable, for the WHIP resource)."""

    sdp: str
    session: str


class Reply(_Message):
    """Every JSON reply of an origin: exactly one of ``result`` and ``problem`` is set."""

    result: dict[str, object] | None = None
    problem: dict[str, object] | None = None
