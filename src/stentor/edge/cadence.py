"""How many steps go into one write: the dial that sheds latency before listeners.

A block is ``k`` steps, 1 to 16 (0.24 to 3.84 s). It at most doubles, and is announced so far ahead that a player which
slows to 0.94 has by then as much more in its buffer as the longer block needs; an emergency holds from the next step.
Smaller blocks hold from the next step, too: they need nothing of anybody.
"""

import math
from dataclasses import dataclass

from stentor.media.grid import Step

MAX_BLOCK_STEPS = 16
BLOCKS = (1, 2, 4, 8, 16)
_SLOWED = 0.06
"""By how much less than a second a player may play in a second without anybody minding."""


@dataclass(frozen=True, slots=True)
class Change:
    """From step ``from_step`` on blocks have ``block_steps`` steps."""

    block_steps: int
    from_step: Step
    emergency: bool


class Cadence:
    """The block's length over time. Pure: told the present step, it answers for any step near it."""

    def __init__(self, block_steps: int = 1) -> None:
        self._past = block_steps
        self._change: Change | None = None

    def at(self, step: Step) -> int:
        """Return the steps of a block that ends with ``step``."""
        change = self._change
        return self._past if change is None or step < change.from_step else change.block_steps

    def want(self, block_steps: int, now: Step, *, emergency: bool = False) -> Change | None:
        """Move towards a wish (one of ``BLOCKS``) and return what to announce, if anything changes.

        While a change is announced and has not come, nothing moves but for an emergency or back to smaller blocks.
        """
        present, change = self.at(now), self._change
        if change is not None and now >= change.from_step:
            self._past, self._change, change = present, None, None
        coming = present if change is None else change.block_steps
        if block_steps < coming:
            return self._set(Change(block_steps, Step(now + 1), emergency=False))
        longer = min(present * 2, MAX_BLOCK_STEPS)
        if block_steps <= present or longer == present or (change is not None and not emergency):
            return None
        ahead = 1 if emergency else present + math.ceil((longer - present) / _SLOWED)
        return self._set(Change(longer, Step(now + ahead), emergency))

    def _set(self, change: Change) -> Change:
        self._past = self.at(Step(change.from_step - 1))
        self._change = change
        return change
