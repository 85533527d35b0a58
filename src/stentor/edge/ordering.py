"""Chunks of one rendition, each once and in order, out of a stream that may miss, repeat or contradict itself."""

from stentor.media.chunk import Chunk
from stentor.media.grid import Step

MAX_WAITING = 256
"""More than an edge catches up with (relay.HISTORY_SEGMENTS)."""


class Ordering:
    """Decides what goes out next. Pure: it is told chunks and answers with those that may go out now.

    The key is (epoch, step). Steps only grow; once an epoch has been given out, chunks of a lower one are stale.
    Nothing goes out before ``begin``. When a chunk comes ahead of its turn it waits, and ``gap`` says after which
    step something is missing; the owner offers what it finds elsewhere and at last calls ``skip``.
    """

    def __init__(self) -> None:
        self._waiting: dict[Step, Chunk] = {}
        self._begun = False
        self.step = Step(-1)
        self.epoch = 0
        self.stale = 0
        self.repeated = 0
        self.missing = 0

    def offer(self, chunk: Chunk) -> list[Chunk]:
        """Take a chunk from wherever it came; return the chunks that go out now, in order."""
        if chunk.epoch < self.epoch:
            self.stale += 1
            return []
        if chunk.step <= self.step:
            self.repeated += 1
            return []
        rival = self._waiting.get(chunk.step)
        if rival is not None and rival.epoch >= chunk.epoch:
            self.repeated += 1
            return []
        self._waiting[chunk.step] = chunk
        if not self._begun:
            if len(self._waiting) > MAX_WAITING:
                del self._waiting[min(self._waiting)]
            return []
        return self.skip() if len(self._waiting) > MAX_WAITING else self._run()

    def begin(self) -> list[Chunk]:
        """Start with the oldest chunk at hand."""
        self._begun = True
        if self._waiting:
            self.step = Step(min(self._waiting) - 1)
        return self._run()

    @property
    def gap(self) -> tuple[Step, Step] | None:
        """Return (last step given out, first step that waits behind the hole), or None when nothing is missing."""
        if not self._begun or not self._waiting or self.step < 0:
            return None
        return self.step, Step(min(self._waiting))

    def skip(self) -> list[Chunk]:
        """Give the first hole up; return what waited behind it."""
        if not self._waiting:
            return []
        first = min(self._waiting)
        if self.step >= 0:
            self.missing += first - self.step - 1
        self.step = Step(first - 1)
        return self._run()

    def _run(self) -> list[Chunk]:
        ready: list[Chunk] = []
        while self._waiting:
            step = Step(self.step + 1) if self.step >= 0 else min(self._waiting)
            chunk = self._waiting.pop(step, None)
            if chunk is None:
                break
            if chunk.epoch < self.epoch:
                self.stale += 1
                break
            self.step, self.epoch = chunk.step, chunk.epoch
            ready.append(chunk)
        return ready
