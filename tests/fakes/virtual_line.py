"""A line in virtual time: packets go into a playout as they arrive, a tick of sound comes out each 20 ms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stentor.media.playout import Playout

TICK_MS = 20
NS_PER_MS = 1_000_000


@dataclass
class Heard:
    """What came out: ``pcm`` (samples,) from time 0 on, and the playout as it is at the end."""

    pcm: NDArray[np.float32]
    playout: Playout


def through(
    packets: Sequence[bytes],
    arrivals_ms: Sequence[float | None],
    *,
    ticks: int | None = None,
    first_timestamp: int = 0,
    playout: Playout | None = None,
) -> Heard:
    """Play packets of 20 ms that arrive when told; None for one that is lost. Ticks are due at 0, 20, 40 ms…"""
    playout = playout or Playout()
    coming = sorted((at, number) for number, at in enumerate(arrivals_ms) if at is not None)
    last = coming[-1][0] if coming else 0.0
    out = []
    position = 0
    for tick in range(ticks if ticks is not None else int(last) // TICK_MS + 1):
        while position < len(coming) and coming[position][0] <= tick * TICK_MS:
            at, number = coming[position]
            position += 1
            timestamp = (first_timestamp + number * 960) % 2**32
            playout.push(number % 2**16, timestamp, packets[number], int(at * NS_PER_MS))
        out.append(playout.pull(tick * TICK_MS * NS_PER_MS)[0].copy())
    return Heard(np.concatenate(out), playout)


def on_time(count: int, *, after_ms: float = 5.0, **moved: float | None) -> list[float | None]:
    """Return arrivals each 20 ms; ``p7=300.0`` moves one, ``p8=None`` loses one."""
    return [moved.get(f"p{number}", number * TICK_MS + after_ms) for number in range(count)]
