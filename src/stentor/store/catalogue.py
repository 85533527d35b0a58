"""The catalogue as the rest of Stentor sees it: rooms, links, hands, recordings, the installation, the audit.

Promises of every implementation, judged by one suite (tests/ports/test_catalogue):

- What a call returned without an error is stored, whatever happens to the process next.
- Each call is one transaction; readers never see half of one.
- ``update_room`` with ``expected``, ``delete_room``, ``claim_link`` and ``give_roles`` are compare-and-set: of
  callers at the same time exactly one succeeds, the others get None or False and nothing has changed.
- A catalogue that does not answer raises StoreUnavailable; it works again by itself when the database does.

Asked by control and archive alone, never on a listener's way. Times are Unix nanoseconds.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, TypedDict

from stentor.room.documents import DEFAULT_SEATS, Announcement, Role
from stentor.room.hands import Hand
from stentor.room.states import RoomState


@dataclass(frozen=True, slots=True)
class Room:
    """One room. ``changed_by`` is the name of whoever changed its state last.

    ``block_steps``, ``seats`` and ``noise_gate``: see RoomDocument; ``cap`` and ``per_second``: its ``door``.
    """

    room: str
    title: str
    created_ns: int
    description: str = ""
    language: str = "en"
    state: RoomState = RoomState.DRAFT
    planned_start_ns: int | None = None
    time_zone: str | None = None
    zero_ns: int | None = None
    started_ns: int | None = None
    ended_ns: int | None = None
    recorded: bool = True
    changed_by: str = ""
    block_steps: int | None = None
    seats: int = DEFAULT_SEATS
    noise_gate: bool = False
    hands_open: bool = False
    cap: int | None = None
    per_second: float | None = None
    announcement: Announcement | None = None


class RoomChanges(TypedDict, total=False):
    """What can be changed in a room."""

    title: str
    description: str
    language: str
    state: RoomState
    planned_start_ns: int | None
    time_zone: str | None
    zero_ns: int | None
    started_ns: int | None
    ended_ns: int | None
    recorded: bool
    changed_by: str
    block_steps: int | None
    seats: int
    noise_gate: bool
    hands_open: bool
    cap: int | None
    per_second: float | None


@dataclass(frozen=True, slots=True)
class Link:
    """An invitation, and the person who holds it; ``room`` is None for an operator's.

    ``device`` is the hash of the secret of the browser it is bound to, ``session`` the id of that browser's
    newest session, ``asked_device`` the hash of another browser that wants it. ``whip_session`` and
    ``whip_etag`` are of the person's newest WHIP session. ``host_muted``: muted by somebody else.
    """

    link: str
    room: str | None
    role: Role
    name: str
    created_ns: int
    expires_s: int
    device: str | None = None
    session: str | None = None
    asked_device: str | None = None
    revoked_ns: int | None = None
    host_muted: bool = False
    whip_session: str | None = None
    whip_etag: str | None = None


class LinkChanges(TypedDict, total=False):
    """What can be changed in a link."""

    name: str
    device: str | None
    session: str | None
    asked_device: str | None
    revoked_ns: int | None
    host_muted: bool
    whip_session: str | None
    whip_etag: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """Somebody who was blocked in a room, by the id of the link that they had; ``author`` is who did it."""

    person: str
    name: str
    at_ns: int
    author: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A room's recording is complete and can be played."""

    room: str
    published_ns: int
    key_fingerprint: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to whom; ``detail`` is JSON text."""

    at_ns: int
    room: str | None
    person: str
    name: str
    action: str
    detail: str = "{}"


class Rooms(Protocol):
    """Rooms and their announcements."""

    async def add_room(self, room: Room, links: tuple[Link, ...] = ()) -> bool:
        """Store a new room and its first links together; return False, storing nothing, if its id is taken."""
        ...

    async def room(self, room: str) -> Room | None:
        """Return a room with its announcement, or None."""
        ...

    async def rooms(self) -> list[Room]:
        """Return every room, the newest first."""
        ...

    async def due_rooms(self, now_ns: int) -> list[Room]:
        """Return the scheduled rooms whose planned time has come, the earliest first."""
        ...

    async def update_room(self, room: str, changes: RoomChanges, *, expected: RoomState | None = None) -> Room | None:
        """Change a room if it exists and, where given, its state is ``expected``; return it as it is now, or None."""
        ...

    async def delete_room(self, room: str, *, expected: RoomState) -> bool:
        """Forget a room with its links, announcements and recording if its state is ``expected``; tell whether."""
        ...

    async def announce(self, room: str, text: str | None, *, at_ns: int, by: str) -> None:
        """Replace the room's announcement; None takes it away. Earlier ones are kept for the record."""
        ...

    async def add_recording(self, recording: Recording) -> None:
        """Store that a recording is complete; saying it twice is harmless."""
        ...

    async def recording(self, room: str) -> Recording | None:
        """Return a room's recording, or None."""
        ...


class Links(Protocol):
    """Invitations."""

    async def add_link(self, link: Link) -> None:
        """Store a new link."""
        ...

    async def link(self, link: str) -> Link | None:
        """Return a link, or None."""
        ...

    async def links(self, room: str | None) -> list[Link]:
        """Return a room's links (None: the operators'), the oldest first, the revoked too."""
        ...

    async def claim_link(self, link: str, *, device: str, session: str, instead_of: str | None = None) -> Link | None:
        """Bind a link to a device and give it a new session; return it, or None.

        None when it is revoked, or bound to another device than ``instead_of``. A device that asked and now holds
        asks no longer.
        """
        ...

    async def update_link(self, link: str, changes: LinkChanges) -> Link | None:
        """Change a link; return it as it is now, or None when there is none."""
        ...

    async def give_roles(self, roles: Mapping[str, tuple[Role, Role]]) -> list[Link] | None:
        """Change the roles of links from what they are to what they are to be: all, or (None) nothing.

        Nothing changes when one of them has another role than expected, or is revoked.
        """
        ...

    async def mute_links(self, links: Collection[str]) -> list[Link]:
        """Note that a host has muted these people; return their links as they are now."""
        ...


class Blocks(Protocol):
    """Browsers that may not come back to a room."""

    async def block(self, room: str, block: Block, device: str) -> None:
        """Bar a device (as in ``Link.device``) from a room; repeating it is harmless."""
        ...

    async def unblock(self, room: str, person: str) -> Block | None:
        """Let in again whom ``person`` was blocked with; return what there was, or None."""
        ...

    async def blocks(self, room: str) -> list[Block]:
        """Return who is blocked in a room, the first first."""
        ...

    async def is_blocked(self, room: str, device: str) -> bool:
        """Tell whether a device is barred from a room."""
        ...


class Hands(Protocol):
    """Raised hands (room/hands), one for each key in a room."""

    async def put_hand(self, hand: Hand) -> None:
        """Store a hand in place of what its owner had. Raises StoreUnavailable where there is no such room."""
        ...

    async def hands(self, room: str) -> list[Hand]:
        """Return a room's hands, the first raised first."""
        ...

    async def rooms_with_hands(self) -> list[str]:
        """Return the rooms of which hands are stored."""
        ...

    async def delete_hand(self, hand: str) -> None:
        """Forget a hand; no error when there is none."""
        ...

    async def delete_hands(self, room: str) -> None:
        """Forget all hands of a room."""
        ...


class Installation(Protocol):
    """What holds for the whole installation: JSON texts by key."""

    async def installation(self) -> dict[str, str]:
        """Return every value by its key."""
        ...

    async def put_installation(self, values: Mapping[str, str]) -> None:
        """Store these values, all or none, in place of what their keys held; other keys stay."""
        ...


class Catalogue(Rooms, Links, Blocks, Hands, Installation, Protocol):
    """Everything of the catalogue."""

    async def write_audit(self, entry: AuditEntry) -> None:
        """Add to the audit."""
        ...

    async def audit(self, room: str | None) -> list[AuditEntry]:
        """Return a room's audit, the oldest first (None: of the installation)."""
        ...

    async def ping(self) -> None:
        """Return if the catalogue answers; raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...
