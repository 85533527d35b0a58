"""What a listener costs a server for a second, measured only while every listener receives at the full rate."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from bench.account import cpu_ns
from bench.crowd import Crowd, Said
from stentor.media.grid import STEP_NS

STEP_S = STEP_NS / 1e9
WINDOW_S = 24 * STEP_S
"""Six blocks of 0.96 s, 24 of 0.24 s: everybody is due the same number of bytes."""
FULL_RATE = 4_000
"""32 kbit/s in bytes a second, before any framing."""


@dataclass(frozen=True)
class Cost:
    """CPU of a server in microseconds a listener-second, and what its listeners got for it."""

    us: float
    window: Said
    steps: int

    @property
    def mouth_to_ear(self) -> str:
        """Return how long after a chunk is due it is there: the newest of a block, and the oldest, which has waited."""
        lag = self.window.spread("lag_us")
        waited = (self.steps - 1) * STEP_S
        newest, late = lag.at(0.5) / 1e6, lag.at(0.99) / 1e6
        return f"{newest:.3f} to {newest + waited:.3f} s (p99 {late:.3f} to {late + waited:.3f})"

    @property
    def block_bytes(self) -> float:
        """Return what a block has in the mean, all framing included."""
        return self.window.spread("bytes").total / self.window.spread("late_us").count


async def cost(listeners: Crowd, pids: Iterable[int], *, steps: int) -> Cost:
    """Measure for 5.76 s what ``listeners`` cost the processes ``pids``; ``steps`` is what one block (or page) carries.

    Raises AssertionError when one listener was lost or got less than the full rate but for a block and a half, or when
    blocks were of another size: an edge that lacks headroom makes them larger by itself.
    """
    pids = list(pids)
    await listeners.open()
    used, begun = cpu_ns(pids), time.monotonic()
    await asyncio.sleep(WINDOW_S)
    seconds = time.monotonic() - begun
    used = cpu_ns(pids) - used
    window = await listeners.close()
    got = window.spread("bytes")
    least = FULL_RATE * (window.seconds - 1.5 * max(steps, 2) * STEP_S)
    assert window["open"] == listeners.count, f"listeners are missing: {window.brief()}"
    blocks, due = window.spread("late_us").count / listeners.count, window.seconds / STEP_S / steps
    # Of somebody else's WebSocket or stream the crowd knows no blocks.
    assert not blocks or abs(blocks - due) < 1.5, (
        f"not blocks of {steps} steps: {blocks:.1f} instead of {due:.1f} in {seconds:.2f} s"
    )
    assert got.smallest >= least, f"not the full rate: {got.smallest} bytes instead of {least:.0f} in {seconds:.2f} s"
    return Cost(used / 1e3 / listeners.count / seconds, window, steps)
