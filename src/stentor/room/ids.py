"""Identifiers of rooms and people: what stands in addresses and bus subjects."""

import re
from typing import NewType

from stentor.errors import BadRequest

RoomId = NewType("RoomId", str)
PersonId = NewType("PersonId", str)
LinkId = NewType("LinkId", str)

_ROOM = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def room_id(text: str) -> RoomId:
    """Return ``text`` as a room id: 1 to 63 of a-z, 0-9 and inner hyphens. Raises BadRequest."""
    if not _ROOM.fullmatch(text):
        raise BadRequest(
            "A room's address has 1 to 63 lower-case letters, digits and hyphens, and no hyphen at either end.",
            slug="bad-room-id",
        )
    return RoomId(text)
