"""A token bucket per address: how often somebody may fail before they are asked to wait."""

from collections import OrderedDict

from stentor.clock import NS_PER_S, Clock
from stentor.errors import RequestError

_ADDRESSES = 10_000


class TooManyRequestsError(RequestError):
    """Failed too often: wait."""

    status = 429
    slug = "too-many-requests"


class FailureLimit:
    """Allows ``burst`` failures at once and one more each ``refill_s``; remembers the newest 10,000 addresses."""

    def __init__(self, clock: Clock, *, burst: int = 20, refill_s: float = 3.0) -> None:
        self._clock = clock
        self._burst = burst
        self._refill_ns = int(refill_s * NS_PER_S)
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def fail(self, address: str) -> None:
        """Count a failure; raises TooManyRequestsError when it was one too many."""
        now = self._clock.monotonic_ns()
        left, at = self._buckets.pop(address, (float(self._burst), now))
        left = min(self._burst, left + (now - at) / self._refill_ns)
        self._buckets[address] = (max(0.0, left - 1), now)
        if len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)
        if left < 1:
            seconds = max(1, round((1 - left) * self._refill_ns / NS_PER_S))
            raise TooManyRequestsError(
                f"Too many links that are not valid came from here. Wait {seconds} s and check the link.",
                retry_after_s=seconds,
            )
