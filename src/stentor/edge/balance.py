"""The load of one machine, spread: new listeners over its edges, and those of an edge that stops over seconds.

Edges that accept from one shared socket are woken as the kernel likes, and an edge that was just started holds nobody.
So each writes how many connections it has into a small shared file and reads the others': one that is above the mean
and well above the least stops accepting until it is no longer above the mean. All are then within 8 % of the least one,
as far as new listeners come; those who are there are never moved.

The file has 32 bytes a slot (int64: monotonic time of the last word, connections, 1 while paused, unused). Slots are
written by their owners alone; a reader that meets a half-written word is wrong until the next look.
"""

import mmap
import os
from pathlib import Path

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.telemetry import logger

RETURNS_PER_S = 2_000
MIN_SPREAD_S, MAX_SPREAD_S = 3.0, 60.0

SPREAD = 1.08
SLACK = 4
DEAD_NS = 3 * NS_PER_S
FRESH_NS = NS_PER_S // 2
_SLOT_BYTES = 32
_WORDS = _SLOT_BYTES // 8
_AT, _CONNECTIONS, _PAUSED = range(3)

log = logger("edge")


def retry_spread_s(listeners: int) -> float:
    """Return over how many seconds the listeners of one edge are to come back, so that 2,000 a second do."""
    return min(MAX_SPREAD_S, max(MIN_SPREAD_S, listeners / RETURNS_PER_S))


class Balance:
    """Whether this edge accepts now. Without a file (``Balance()``) it always does.

    ``note`` is to be called every 0.25 s or more often, paused or not, and after each few connections that were
    accepted: it costs a few words read for each edge and no system call.
    """

    def __init__(self, words: memoryview | None = None, slot: int = 0) -> None:
        """``words``: the file's int64 values, four a slot; ``slot``: which of them is ours."""
        self._words = words
        self._own = slot * _WORDS
        self._paused = False

    @classmethod
    def open(cls, path: Path, slot: int, slots: int) -> "Balance":
        """Return the balance of the edge with slot 0 … ``slots`` - 1 in a file that the first one makes.

        Where there can be no such file it always accepts, and says so in the log.
        """
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
        edges, total, least = 1, connections, connections
        for slot in range(0, len(words), _WORDS):
            if slot != own and 0 <= now - words[slot + _AT] < DEAD_NS:
                theirs = words[slot + _CONNECTIONS]
                edges, total, least = edges + 1, total + theirs, min(least, theirs)
        if self._paused:
            wish = connections * edges > total
        else:
            wish = connections * edges > total and connections > least * SPREAD + SLACK
        # First said, then looked: of two that pause at the same moment at least one sees the other.
        words[own + _PAUSED] = int(wish)
        self._paused = wish and self._somebody_accepts(words, now)
        words[own + _PAUSED] = int(self._paused)

    def leave(self) -> None:
        """Say that this edge has stopped, so that no other leaves new listeners to it."""
        if self._words is not None:
            self._words[self._own + _AT] = 0

    def _somebody_accepts(self, words: memoryview, now: MonotonicNs) -> bool:
        """Tell whether another edge, alive a moment ago, is not paused: nobody may pause where everybody would."""
        return any(
            not words[slot + _PAUSED]
            for slot in range(0, len(words), _WORDS)
            if slot != self._own and 0 <= now - words[slot + _AT] < FRESH_NS
        )
