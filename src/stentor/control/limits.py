"""How often somebody may fail before they are asked to wait."""

from math import ceil

from stentor.clock import Clock
from stentor.errors import RequestError
from stentor.room.rate import Rate

_ADDRESSES = 10_000


class TooManyRequestsError(RequestError):
    """Failed, or asked, too often: wait."""

    status = 429
    slug = "too-many-requests"


class FailureLimit:
    """Allows ``burst`` failures at once and one more each ``refill_s``; remembers the newest 10,000 addresses."""

    def __init__(self, clock: Clock, *, burst: int = 20, refill_s: float = 3.0) -> None:
        self._clock = clock
        self._rate = Rate(burst, 1 / refill_s, _ADDRESSES)

    def fail(self, address: str) -> None:
        """Count a failure; raises TooManyRequestsError when it was one too many."""
        wait_s = self._rate.wait_s(address, self._clock.monotonic_ns())
        if wait_s:
            seconds = ceil(wait_s)
            raise TooManyRequestsError(
                f"Too many links that are not valid came from here. Wait {seconds} s and check the link.",
                retry_after_s=seconds,
            )
