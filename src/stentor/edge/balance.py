"""The load of one machine, spread: new listeners over its edges, and those of an edge that stops over seconds.

Edges that accept from one shared socket are woken as the kernel likes, and an edge that was just started holds nobody.
So each writes how many connections it has into a small shared file and reads the others': one that is above the mean
and well above the least stops accepting until it is no longer above the mean. So they stay within 5 % and a few of one
another, as far as new listeners come; those who are there are never moved.

The file has 16 bytes a slot (int64: monotonic time of the last word, connections). Slots are written by their owners
alone; a reader that meets a half-written word is wrong until the next look.
"""

import mmap
import os
from pathlib import Path

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.telemetry import logger

RETURNS_PER_S = 2_000
MIN_SPREAD_S, MAX_SPREAD_S = 3.0, 60.0

SPREAD = 1.05
SLACK = 4
DEAD_NS = 3 * NS_PER_S
FRESH_NS = NS_PER_S // 2
_SLOT_BYTES = 16
_WORDS = _SLOT_BYTES // 8
_AT, _CONNECTIONS = range(2)

log = logger("edge")


def retry_spread_s(listeners: int) -> float:
    """Return over how many seconds the listeners of one edge are to come back, so that 2,000 a second do."""
    return min(MAX_SPREAD_S, max(MIN_SPREAD_S, listeners / RETURNS_PER_S))


class Balance:
    """Whether this edge accepts now. Without a file (``Balance()``) it always does.

    ``note`` is to be called every 0.25 s, every 10 ms while paused, and after each few connections that were
    accepted: it costs a few words read for each edge and no system call. Where all have paused, arrivals wait until
    the least one's next note.
    """

    def __init__(self, words: memoryview | None = None, slot: int = 0) -> None:
        """``words``: the file's int64 values, two a slot; ``slot``: which of them is ours."""
        self._words = words
        self._own = slot * _WORDS
        self._paused = False

    @classmethod
    def open(cls, path: Path, slot: int, slots: int) -> "Balance":
        """Return the balance of the edge with slot 0 … ``slots`` - 1 in a file that the first one makes.

        An edge alone always accepts. So it does where there can be no such file, and says so in the log.
        """
        if slots == 1:
            return cls()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(descriptor).st_size < slots * _SLOT_BYTES:
                    os.ftruncate(descriptor, slots * _SLOT_BYTES)
                mapped = mmap.mmap(descriptor, slots * _SLOT_BYTES)
            finally:
                os.close(descriptor)
        except OSError as error:
            log.warning("balance_missing", path=str(path), reason=error.strerror)
            return cls()
        return cls(memoryview(mapped).cast("q"), slot)

    @property
    def shared(self) -> bool:
        """Tell whether other edges accept from the same socket."""
        return self._words is not None

    def may_accept(self) -> bool:
        """Tell whether new connections are to be accepted, as of the last ``note``."""
        return not self._paused

    def note(self, connections: int, now: MonotonicNs) -> None:
        """Write down how many connections this edge has, and decide anew."""
        words, own = self._words, self._own
        if words is None:
            return
        words[own + _CONNECTIONS] = connections
        words[own + _AT] = now
        others = [
            (words[slot + _CONNECTIONS], now - words[slot + _AT] < FRESH_NS)
            for slot in range(0, len(words), _WORDS)
            if slot != own and 0 <= now - words[slot + _AT] < DEAD_NS
        ]
        counts = [connections, *(count for count, _ in others)]
        mean = sum(counts) / len(counts)
        above = connections > mean and (self._paused or connections > min(counts) * SPREAD + SLACK)
        # Whoever is not above the mean accepts, or will at its next note; one that hangs does not.
        self._paused = above and any(fresh and count <= mean for count, fresh in others)

    def leave(self) -> None:
        """Say that this edge has stopped, so that no other leaves new listeners to it."""
        if self._words is not None:
            self._words[self._own + _AT] = 0
