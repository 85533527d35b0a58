"""Players that only their beacons show: what a cache or CDN answers never reaches an edge.

A beacon lands at any edge, and the player's next one perhaps at another. So every edge tells the others whose beacon it
heard, and each keeps the same table of all; the number is not added up over edges. Whoever an edge sees by
their requests is left out. A player counts from 5 s after its beacon, when every edge has said whom it
sees, and is forgotten 70 s after its last one.
"""

from collections import deque
from collections.abc import Callable

from stentor.clock import NS_PER_S, MonotonicNs

HEARD_NS = 70 * NS_PER_S
SETTLE_NS = 5 * NS_PER_S
_MAX_PLAYERS = 200_000
_MAX_NEWS = 10_000


class _Player:
    """``origin``: the key of its address and User-Agent. ``waiting``: whether it counts is still to be decided."""

    __slots__ = ("at", "counted", "gone", "origin", "waiting")

    def __init__(self, at: MonotonicNs, origin: bytes) -> None:
        self.at = at
        self.origin = origin
        self.counted = False
        self.waiting = False
        self.gone = False


class ByBeacon:
    """The beacons' players of one room; ``seen`` tells whether any edge sees a key by its requests."""

    def __init__(self, seen: Callable[[bytes], bool]) -> None:
        self._seen = seen
        self._players: dict[bytes, _Player] = {}
        self._due: deque[tuple[MonotonicNs, _Player, bytes]] = deque()
        self._counted = 0
        self._heard: dict[bytes, bytes] = {}
        self._gone: dict[bytes, None] = {}

    def __len__(self) -> int:
        """Return how many players only their beacons show."""
        return self._counted

    @property
    def idle(self) -> bool:
        """Tell whether nobody is known and nothing waits to be said."""
        return not (self._players or self._heard or self._gone)

    def heard(self, key: bytes, origin: bytes, now: MonotonicNs) -> None:
        """Note a beacon that came to this edge."""
        if self._note(key, origin, now):
            self._gone.pop(key, None)
            if len(self._heard) < _MAX_PLAYERS:
                self._heard[key] = origin

    def left(self, key: bytes) -> None:
        """Forget a player who says goodbye, or who listens by a connection now."""
        if self._drop(key):
            self._heard.pop(key, None)
            if len(self._gone) < _MAX_PLAYERS:
                self._gone[key] = None

    def uncount(self, key: bytes) -> None:
        """Leave a player out whom an edge sees, until its next beacon at least."""
        player = self._players.get(key)
        if player is not None:
            self._count(player, counted=False)

    def forget(self, now: MonotonicNs) -> None:
        """Decide whom to count, and forget who has been silent for 70 s."""
        while self._due and self._due[0][0] <= now:
            _, player, key = self._due.popleft()
            player.waiting = False
            if not player.gone:
                self._count(player, counted=not (self._seen(key) or self._seen(player.origin)))
        while self._players:
            key = next(iter(self._players))
            if self._players[key].at > now - HEARD_NS:
                break
            self._drop(key)

    def _note(self, key: bytes, origin: bytes, now: MonotonicNs) -> bool:
        player = self._players.pop(key, None)
        if player is None:
            if len(self._players) >= _MAX_PLAYERS:
                return False
            player = _Player(now, origin)
        player.at, player.origin = now, origin
        self._players[key] = player
        if not player.waiting:
            player.waiting = True
            self._due.append((MonotonicNs(now + SETTLE_NS), player, key))
        return True

    def _drop(self, key: bytes) -> bool:
        player = self._players.pop(key, None)
        if player is None:
            return False
        self._count(player, counted=False)
        player.gone = True
        return True

    def _count(self, player: _Player, *, counted: bool) -> None:
        self._counted += counted - player.counted
        player.counted = counted

    # What edges say to each other.

    def news(self) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
        """Return whose beacons came (key and origin) and who left since the last time."""
        heard = [entry for entry, _ in zip(self._heard.items(), range(_MAX_NEWS), strict=False)]
        gone = [key for key, _ in zip(self._gone, range(_MAX_NEWS), strict=False)]
        for key, _ in heard:
            del self._heard[key]
        for key in gone:
            del self._gone[key]
        return heard, gone

    def take(self, heard: list[tuple[bytes, bytes]], gone: list[bytes], now: MonotonicNs) -> None:
        """Take another edge's news."""
        for key, origin in heard:
            self._note(key, origin, now)
        for key in gone:
            self._drop(key)
