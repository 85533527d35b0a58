"""Listeners' tickets: a keyed hash, cheap by the hundred thousand, good at every edge that has the key.

A ticket is expiry (u32, Unix seconds) · nonce (9 bytes) · BLAKE2b-128 over room, expiry and nonce, in Base64url.
It admits and counts; it grants nothing, and so may stand in a query.
"""

import base64
import hashlib
import secrets
import struct

from stentor.clock import NS_PER_S, UnixNs

LIFETIME_S = 12 * 3600
_BODY = struct.Struct(">I9s")
_MAC_BYTES = 16


class Tickets:
    """Makes and checks tickets. ``key``: 16 to 64 secret bytes, the same at every edge of an installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, room: str, now: UnixNs) -> str:
        """Return a new ticket for a room."""
        body = _BODY.pack(now // NS_PER_S + LIFETIME_S, secrets.token_bytes(9))
        return base64.urlsafe_b64encode(body + self._mac(room, body)).decode().rstrip("=")

    def holder(self, room: str, ticket: str, now: UnixNs) -> bytes | None:
        """Return what distinguishes the ticket's holder, or None when it is not ours, expired or for another room."""
        try:
            raw = base64.b64decode(ticket + "=" * (-len(ticket) % 4), altchars=b"-_", validate=True)
            body, mac = raw[: _BODY.size], raw[_BODY.size :]
            expiry, nonce = _BODY.unpack(body)
        except (ValueError, struct.error):
            return None
        if expiry * NS_PER_S < now or not secrets.compare_digest(mac, self._mac(room, body)):
            return None
        return bytes(nonce)

    def _mac(self, room: str, body: bytes) -> bytes:
        return hashlib.blake2b(room.encode() + b"\0" + body, digest_size=_MAC_BYTES, key=self._key).digest()
