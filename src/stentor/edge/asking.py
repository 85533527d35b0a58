"""Players of LL-HLS: who asks for playlists at this edge, and who at the others.

A player has no connection of its own; its requests may reach several edges in turn. So edges tell each other, by
keys of 8 bytes, who asks: a player whom several see is counted by the one whose name comes first. News goes out with
each report, and everything again in 16 slices, so that what was lost on the way is mended within half a minute.
"""

from stentor.clock import NS_PER_S, MonotonicNs

SEEN_NS = 6 * NS_PER_S
KEY_BYTES = 8
SLICES = 16
_MAX_PLAYERS = 100_000
_MAX_NEWS = 10_000


def slice_of(key: bytes) -> int:
    """Return in which of the slices a key goes out."""
    return key[-1] % SLICES


class Asking:
    """The players of one room who asked for a playlist within 6 s. ``name`` is this edge's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: dict[bytes, MonotonicNs] = {}
        self._slices: list[set[bytes]] = [set() for _ in range(SLICES)]
        self._came: dict[bytes, None] = {}
        self._stopped: dict[bytes, None] = {}
        self._next_slice = 0
        self._elsewhere: dict[str, list[set[bytes]]] = {}
        self._theirs: set[bytes] = set()

    def __len__(self) -> int:
        """Return how many players this edge counts."""
        return len(self._seen) - len(self._theirs)

    def keys(self) -> list[bytes]:
        """Return who asks here."""
        return list(self._seen)

    @property
    def idle(self) -> bool:
        """Tell whether nobody asks here and nothing waits to be said."""
        return not (self._seen or self._came or self._stopped)

    def anywhere(self, key: bytes) -> bool:
        """Tell whether this or another edge sees a player."""
        at = slice_of(key)
        return key in self._seen or any(key in slices[at] for slices in self._elsewhere.values())

    def note(self, key: bytes, now: MonotonicNs) -> bool:
        """Note a request; return whether this edge begins to count the player with it."""
        if self._seen.pop(key, None) is not None:
            self._seen[key] = now  # Last in line: the longest silent stay first.
            return False
        if len(self._seen) >= _MAX_PLAYERS:
            return False
        self._seen[key] = now
        self._slices[slice_of(key)].add(key)
        self._stopped.pop(key, None)
        self._came[key] = None
        self._settle(key)
        return key not in self._theirs

    def forget(self, now: MonotonicNs) -> int:
        """Forget players who have not asked for 6 s; return how many of them this edge counted."""
        silent = 0
        while self._seen:
            key = next(iter(self._seen))
            if self._seen[key] > now - SEEN_NS:
                break
            del self._seen[key]
            self._slices[slice_of(key)].discard(key)
            self._came.pop(key, None)
            if len(self._stopped) < _MAX_PLAYERS:  # Beyond that the slices say it.
                self._stopped[key] = None
            silent += key not in self._theirs
            self._theirs.discard(key)
        return silent

    def _settle(self, key: bytes) -> None:
        """Decide whether another edge counts a player whom this one sees."""
        at = slice_of(key)
        if any(edge < self._name and key in slices[at] for edge, slices in self._elsewhere.items()):
            self._theirs.add(key)
        else:
            self._theirs.discard(key)

    # What edges say to each other.

    def news(self) -> tuple[list[bytes], list[bytes], int, list[bytes]]:
        """Return who came and who stopped since the last time, and a slice of all with its number."""
        came, stopped = _first(self._came), _first(self._stopped)
        number, self._next_slice = self._next_slice, (self._next_slice + 1) % SLICES
        return came, stopped, number, list(self._slices[number])

    def take(self, edge: str, came: list[bytes], stopped: list[bytes], number: int, whole: list[bytes]) -> None:
        """Take another edge's news. A slice without a valid number is left aside."""
        slices = self._elsewhere.setdefault(edge, [set() for _ in range(SLICES)])
        changed = set(came) | set(stopped)
        for key in stopped:
            slices[slice_of(key)].discard(key)
        for key in came:
            slices[slice_of(key)].add(key)
        if 0 <= number < SLICES:
            told = {key for key in whole if slice_of(key) == number}
            changed |= told ^ slices[number]
            slices[number] = told
        for key in changed & self._seen.keys():
            self._settle(key)

    def forget_edge(self, edge: str) -> None:
        """Forget an edge that says nothing any more: whom it counted as well is ours now."""
        if self._elsewhere.pop(edge, None) is not None:
            for key in tuple(self._theirs):
                self._settle(key)


def _first(waiting: dict[bytes, None]) -> list[bytes]:
    """Take the longest waiting out, no more than a message holds."""
    first = [key for key, _ in zip(waiting, range(_MAX_NEWS), strict=False)]
    for key in first:
        del waiting[key]
    return first
