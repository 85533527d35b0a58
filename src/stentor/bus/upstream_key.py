"""How an edge proves to the edge above that it holds the relay key, without saying it (RFC 9110, section 11).

The lower edge asks with an empty ``Authorization: Stentor-Relay`` and is answered 401 with a nonce that any edge of
the installation can check and that holds for 10 s; it comes back with an HMAC-SHA256 over nonce and its own name. So
the key crosses no wire, the clocks of two machines need not agree, and it does not matter which of several processes
behind one port answers. Who listens in on plain http can use an answer once more at another process within the 10 s;
https ends that.
"""

import base64
import hmac
import re
import secrets
import struct

from stentor.clock import NS_PER_S, UnixNs

SCHEME = "Stentor-Relay"
LIFETIME_S = 10
MIN_KEY_CHARS = 16
_BODY = struct.Struct(">Q12s")
_MAC_BYTES = 16
_UNQUOTED = re.compile(r'[^ -~]|["\\]')
_FIELD = re.compile(r'(\w+)="([^"\\]{0,200})"')


def challenge(key: str, now: UnixNs) -> str:
    """Return a nonce and when it expires, sealed."""
    body = _BODY.pack(now // NS_PER_S + LIFETIME_S, secrets.token_bytes(12))
    return base64.urlsafe_b64encode(body + _seal(key, body)).decode()


def answer(key: str, nonce: str, edge: str) -> str:
    """Return the value of the Authorization header that answers a challenge."""
    name = _UNQUOTED.sub("_", edge)[:200]
    return f'{SCHEME} edge="{name}", nonce="{nonce}", mac="{_mac(key, nonce, name)}"'


def nonce_of(header: str) -> str | None:
    """Return the nonce in a WWW-Authenticate header, or None when there is none of this scheme."""
    scheme, _, rest = header.partition(" ")
    return dict(_FIELD.findall(rest)).get("nonce") if scheme.lower() == SCHEME.lower() else None


class Gate:
    """Checks answers at the upper edge; each nonce opens it once."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._used: dict[str, int] = {}

    def admits(self, header: str, now: UnixNs) -> str | None:
        """Return the name of the edge that has proven the key with this Authorization header, or None."""
        scheme, _, rest = header.partition(" ")
        fields = dict(_FIELD.findall(rest))
        nonce, edge = fields.get("nonce", ""), fields.get("edge", "")
        now_s = now // NS_PER_S
        if not self._key or scheme.lower() != SCHEME.lower() or not edge or nonce in self._used:
            return None
        if not hmac.compare_digest(fields.get("mac", "").encode(), _mac(self._key, nonce, edge).encode()):
            return None
        expires = _expiry(self._key, nonce)
        if expires is None or expires < now_s:
            return None
        self._used = {used: until for used, until in self._used.items() if until >= now_s}
        self._used[nonce] = expires
        return str(edge)


def _expiry(key: str, nonce: str) -> int | None:
    """Return the second in which a nonce of ours expires, or None when it is not ours."""
    try:
        raw = base64.b64decode(nonce, altchars=b"-_", validate=True)
        body, seal = raw[: _BODY.size], raw[_BODY.size :]
        (expires, _) = _BODY.unpack(body)
    except (ValueError, struct.error):
        return None
    return int(expires) if hmac.compare_digest(seal, _seal(key, body)) else None


def _seal(key: str, body: bytes) -> bytes:
    return hmac.digest(key.encode(), b"stentor relay nonce 1\n" + body, "sha256")[:_MAC_BYTES]


def _mac(key: str, nonce: str, edge: str) -> str:
    text = f"stentor relay answer 1\n{nonce}\n{edge}"
    return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()
