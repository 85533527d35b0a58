"""Listeners' tickets: a keyed hash over a place in line, cheap to make and to check, good at all edges with the key.

A ticket is version and flags u8 · key period u8 · made u32 · slot u32 · group u16 · nonce (8 bytes), big-endian, and
BLAKE2b-128 (RFC 7693) over the room and that, in Base64url: 48 characters. ``made`` and ``slot`` are Unix seconds, the
place in line is (slot, group) (room/door), the nonce tells the holder from all others. Nothing is stored for it.

Keys rotate by derivation: a period of 6 h has the key BLAKE2b(secret, period), so edges that share the secret need
not talk about it, and what leaks of one period says nothing of another.
"""

import binascii
import hmac
import os
import struct
from hashlib import blake2b

from stentor.clock import NS_PER_S, UnixNs
from stentor.room.door import HOLDER_BYTES, Place, Ticket

LIFETIME_S = 12 * 3600
PERIOD_S = 6 * 3600
MAX_CHARS = 64
_AHEAD_S = 60
"""How far the clock of the edge that made a ticket may be ahead."""
_BODY = struct.Struct(f">BBIIH{HOLDER_BYTES}s")
_MAC_BYTES = 16
_CHARS = (_BODY.size + _MAC_BYTES) * 4 // 3
_VERSION = 0x10
_REHEARSAL, _ADMITTED = 1, 2
_PERSON = b"stentor ticket 1"
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_+/", b"+/!!")
_MOST_SEALS = 4_096


def new_holder() -> bytes:
    """Return what tells a new ticket's holder from all others."""
    return os.urandom(HOLDER_BYTES)


class Tickets:
    """Makes and checks tickets. ``key``: 16 to 64 secret bytes, the same at every edge of an installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._seals: dict[tuple[str, int], blake2b] = {}

    def text(self, room: str, ticket: Ticket) -> str:
        """Return a ticket as it is given out."""
        flags = _VERSION | (_REHEARSAL if ticket.rehearsal else 0) | (_ADMITTED if ticket.admitted else 0)
        period = ticket.made_s // PERIOD_S
        body = _BODY.pack(flags, period & 0xFF, ticket.made_s, *ticket.place, ticket.holder)
        seal = self._seal(room, period)
        seal.update(body)
        return binascii.b2a_base64(body + seal.digest(), newline=False).translate(_TO_URL).decode()

    def read(self, room: str, text: str, now: UnixNs) -> Ticket | None:
        """Return what a ticket says, or None when it is not ours, too old or for another room."""
        if len(text) != _CHARS:
            return None
        try:
            raw = binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL), strict_mode=True)
            flags, key, made_s, slot, group, holder = _BODY.unpack_from(raw)
        except (ValueError, struct.error):
            return None
        now_s, period = now // NS_PER_S, made_s // PERIOD_S
        if flags & 0xF0 != _VERSION or key != period & 0xFF or not now_s - LIFETIME_S <= made_s <= now_s + _AHEAD_S:
            return None
        seal = self._seal(room, period)
        seal.update(raw[: _BODY.size])
        if not hmac.compare_digest(raw[_BODY.size :], seal.digest()):
            return None
        return Ticket(Place(slot, group), holder, made_s, bool(flags & _ADMITTED), bool(flags & _REHEARSAL))

    def issue(self, room: str, now: UnixNs, *, rehearsal: bool = False) -> str:
        """Return a new ticket for a room that has no door: it tells its holder from others, and lets nobody in."""
        now_s = now // NS_PER_S
        return self.text(room, Ticket(Place(now_s, 0), new_holder(), now_s, rehearsal=rehearsal))

    def holder(self, room: str, text: str, now: UnixNs) -> bytes | None:
        """Return what distinguishes the ticket's holder, or None when the ticket is not good."""
        ticket = self.read(room, text, now)
        return None if ticket is None else ticket.holder

    def _seal(self, room: str, period: int) -> blake2b:
        """Return the hash of a period's key that has taken in the room."""
        seal = self._seals.get((room, period))
        if seal is None:
            if len(self._seals) >= _MOST_SEALS:
                self._seals.clear()
            secret = blake2b(period.to_bytes(8), digest_size=32, key=self._key, person=_PERSON).digest()
            seal = blake2b(room.encode() + b"\0", digest_size=_MAC_BYTES, key=secret)
            self._seals[room, period] = seal
        return seal.copy()
