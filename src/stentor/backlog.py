"""The one bounded queue: limits in items and bytes, a policy for what happens when it is full, counters.

Every queue in Stentor is one of these, or a ring; docs/backpressure.md lists them all.
"""

import asyncio
from collections import deque
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class WhenFull(Enum):
    """What ``put`` does when a limit is reached."""

    DROP_OLDEST = "drop_oldest"
    REFUSE = "refuse"


class Backlog(Generic[T]):
    """A first-in, first-out queue that never blocks its writer.

    One reader awaits ``get``; any code on the same event loop may ``put``. ``dropped`` counts items
    that were discarded (DROP_OLDEST) or turned away (REFUSE) since the start.
    """

    def __init__(self, *, max_items: int, max_bytes: int | None = None, when_full: WhenFull) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._when_full = when_full
        self._filled = asyncio.Event()
        self._closed = False
        self.size_bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._items)

    def put(self, item: T, size_bytes: int = 0) -> bool:
        """Add an item at once; return False if it was refused."""
        if self._closed:
            return False
        while self._items and self._overflows(size_bytes):
            if self._when_full is WhenFull.REFUSE:
                self.dropped += 1
                return False
            _, old_bytes = self._items.popleft()
            self.size_bytes -= old_bytes
            self.dropped += 1
        self._items.append((item, size_bytes))
        self.size_bytes += size_bytes
        self._filled.set()
        return True

    def _overflows(self, size_bytes: int) -> bool:
        too_many = len(self._items) >= self._max_items
        too_large = self._max_bytes is not None and self.size_bytes + size_bytes > self._max_bytes
        return too_many or too_large

    async def get(self) -> T:
        """Return the oldest item; raises ``StopAsyncIteration`` once closed and empty."""
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        item, size_bytes = self._items.popleft()
        self.size_bytes -= size_bytes
        return item

    def close(self) -> None:
        """Take no more items; readers drain what is left and then stop."""
        self._closed = True
        self._filled.set()

    def __aiter__(self) -> "Backlog[T]":
        """Iterate until closed and empty."""
        return self

    async def __anext__(self) -> T:
        """Return the next item."""
        return await self.get()
