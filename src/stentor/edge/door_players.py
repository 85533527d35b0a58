"""Players of LL-HLS who hold a place: known by what they ask, told apart by their tickets.

Their requests may reach several edges in turn. The edge that let a player in seals its address and User-Agent into the
address of the media playlist. Another edge that is asked takes it for somebody new, until it hears that the place is
held elsewhere; from then on whoever comes with the seal is let pass for a while, and others are not.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import blake2b

from stentor.edge.asking import SEEN_NS

_SEAL_BYTES = 9


class Player:
    """Its entry, its ticket's holder, what tells its address and User-Agent (nothing: not known yet), when it asked."""

    __slots__ = ("entry", "key", "origin", "seen_ns")

    def __init__(self, key: bytes, entry: int, origin: bytes, seen_ns: int) -> None:
        self.key, self.entry, self.origin, self.seen_ns = key, entry, origin, seen_ns


class Players:
    """The players of one room's door at this edge; ``key`` is the secret that edges share."""

    def __init__(self, room: str, key: bytes) -> None:
        self._seal = blake2b(room.encode() + b"\0", digest_size=_SEAL_BYTES, key=key[:64])
        self._players: dict[bytes, Player] = {}
        self._elsewhere: dict[bytes, int] = {}

    def __contains__(self, key: bytes) -> bool:
        """Tell whether somebody holds a place by this key."""
        return key in self._players

    def add(self, player: Player) -> None:
        """Take one on."""
        self._players[player.key] = player

    def asks(self, key: bytes, origin: bytes, now_ns: int, *, here: bool = False) -> bool:
        """Note that a player asks; False when nobody of this key and origin holds a place here."""
        player = self._players.get(key)
        if player is None or not (here or player.origin in (origin, b"")):
            return False
        player.origin, player.seen_ns = origin, now_ns
        del self._players[key]  # The longest silent stay first.
        self._players[key] = player
        return True

    def remove(self, player: Player) -> None:
        """Let one go."""
        if self._players.get(player.key) is player:
            del self._players[player.key]

    def held_elsewhere(self, player: Player, now_ns: int) -> None:
        """Let one go whose place is held at another edge."""
        self.remove(player)
        self._elsewhere.pop(player.key, None)
        self._elsewhere[player.key] = now_ns

    def is_elsewhere(self, key: bytes, now_ns: int) -> bool:
        """Tell whether a place was found to be held at another edge a moment ago."""
        return now_ns - self._elsewhere.get(key, -SEEN_NS) < SEEN_NS

    def silent(self, now_ns: int) -> list[Player]:
        """Return who has not asked for 6 s, and let them go."""
        late = []
        for player in self._players.values():
            if now_ns - player.seen_ns < SEEN_NS:
                break
            late.append(player)
        for player in late:
            del self._players[player.key]
        while self._elsewhere and now_ns - next(iter(self._elsewhere.values())) >= SEEN_NS:
            del self._elsewhere[next(iter(self._elsewhere))]
        return late

    def clear(self) -> None:
        """Forget all."""
        self._players.clear()
        self._elsewhere.clear()

    def seal(self, holder: bytes, origin: bytes) -> str:
        """Return what shows other edges that this player was let in here."""
        seal = self._seal.copy()
        seal.update(holder + origin)
        return urlsafe_b64encode(seal.digest()).decode()

    def is_sealed(self, seat: str | None, holder: bytes, origin: bytes) -> bool:
        """Tell whether an edge has let in a holder at this address with this browser."""
        return seat is not None and hmac.compare_digest(seat.encode(), self.seal(holder, origin).encode())
