"""A bad network: which packets are lost and how late the others are, the same for every run with the same seed.

``Network.delays_ms`` decides; ``Proxy`` does it to UDP on loopback, and bench.loss to packets in virtual time.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

_BASE_MS = 5.0


@dataclass(frozen=True)
class Network:
    """Loss and jitter of a line.

    Args:
        loss: the share of packets lost, 0 to 1.
        run: how many in a row are lost at a time; 1 is one here and one there.
        jitter_ms: each packet is late or early by up to so much, evenly spread, each by itself: they overtake another.
    """

    loss: float = 0.0
    run: int = 1
    jitter_ms: float = 0.0

    def delays_ms(self, seed: int) -> Iterator[float | None]:
        """Yield for one packet after the other how long it is under way, or None if it is lost; without an end."""
        dice = random.Random(seed)  # to be the same each time, not to be secret
        # With runs of n and chance p that one begins, n p / (n p + 1 - p) of all are lost.
        chance = self.loss / (self.run - self.loss * (self.run - 1))
        losing = 0
        while True:
            late_ms = _BASE_MS + self.jitter_ms * (1 + dice.uniform(-1, 1))
            if not losing and dice.random() < chance:
                losing = self.run
            yield None if losing else late_ms
            losing = max(0, losing - 1)


NETWORKS = {
    "1": Network(loss=0.01),
    "5": Network(loss=0.05),
    "10": Network(loss=0.10),
    "20": Network(loss=0.20),
    "burst": Network(loss=0.05, run=3),
    "jitter": Network(jitter_ms=40.0),
}
"""The rows of bench.loss."""
