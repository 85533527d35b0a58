"""The proof of work (ALTCHA, format 2) that newcomers are asked for when an address asks for too many tickets.

Challenges are made and checked without keeping anything but which of them were used here: each carries its room, its
network and its end, under a key that all edges derive from the tickets' secret. The answer is a number between N and
2 N whose SHA-256 was given away in part: a browser finds it by trying, in a few tenths of a second for the smallest N.
"""

import secrets
from hashlib import blake2b
from typing import Any

import altcha

from stentor.clock import NS_PER_S, Clock

LIFETIME_S = 300
SOLUTION_CHARS = 2_048
EASIEST = 80_000
HARDEST_FACTOR = 16
_MOST_USED = 100_000
_NONCE_CHARS = 32


class Challenges:
    """Makes and checks the challenges of an installation. ``key``: the tickets' secret, the same at every edge."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._clock = clock
        self._sign, self._answer, self._blur = (
            blake2b(key=key[:64], person=person, digest_size=32).digest()
            for person in (b"stentor pow sign", b"stentor pow answ", b"stentor pow netw")
        )
        self._used: dict[str, int] = {}

    def make(self, room: str, network: str, excess: float) -> dict[str, Any]:
        """Return a challenge (JSON) for somebody in a network who is over their budget ``excess`` times."""
        tries = int(EASIEST * min(HARDEST_FACTOR, 1.0 + excess))
        made = altcha.create_challenge(
            "SHA-256",
            1,
            counter=tries + secrets.randbelow(tries),
            expires_at=self._now_s() + LIFETIME_S,
            data={"for": self._for(room, network), "tries": 2 * tries},
            hmac_secret=self._sign,
            hmac_key_secret=self._answer,
        )
        return dict(made.to_dict())

    def solved(self, room: str, network: str, solution: str) -> bool:
        """Tell whether a solution (Base64 of JSON) is good, for this room and network and not used here before."""
        if not 0 < len(solution) <= SOLUTION_CHARS:
            return False
        try:
            payload = altcha.Payload.from_base64(solution)
            parameters = payload.challenge.parameters
            nonce, expires, data = parameters.nonce, parameters.expires_at, parameters.data
            ours = isinstance(nonce, str) and len(nonce) == _NONCE_CHARS
            if (
                not ours
                or not isinstance(data, dict)
                or data.get("for") != self._for(room, network)
                or nonce in self._used
            ):
                return False
            if not isinstance(expires, int) or expires < self._now_s():
                return False
            result = altcha.verify_solution(payload, self._sign, hmac_key_secret=self._answer)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False  # Whatever it is, we did not make it.
        if not result.verified:
            return False
        self._use(nonce, expires)
        return True

    def _use(self, nonce: str, expires_s: int) -> None:
        """Remember a challenge until it has expired; where too many are used at once, the oldest may be used again."""
        self._used[nonce] = expires_s
        now_s = self._now_s()
        while self._used:
            oldest = next(iter(self._used))
            if self._used[oldest] >= now_s and len(self._used) <= _MOST_USED:
                break
            del self._used[oldest]

    def _for(self, room: str, network: str) -> str:
        """Return what binds a challenge to its room and network without telling them."""
        return blake2b(f"{room}\0{network}".encode(), key=self._blur, digest_size=12).hexdigest()

    def _now_s(self) -> int:
        return self._clock.wall_ns() // NS_PER_S
