"""The only clock: nothing else in Stentor reads the time or sleeps.

Wall time is Unix nanoseconds (UTC); monotonic time is for durations and deadlines. Tests drive a
virtual clock that has the same face.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import NewType, Protocol

UnixNs = NewType("UnixNs", int)
MonotonicNs = NewType("MonotonicNs", int)

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """What may be asked of the time."""

    def wall_ns(self) -> UnixNs:
        """Return Unix time in nanoseconds; it may step when the machine's clock is set."""
        ...

    def monotonic_ns(self) -> MonotonicNs:
        """Return nanoseconds since an arbitrary start; it never goes back."""
        ...

    async def sleep_until(self, deadline: MonotonicNs) -> None:
        """Return when ``monotonic_ns()`` has reached ``deadline`` (at once if it has passed)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of monotonic time."""
        ...


class SystemClock:
    """The machine's clock."""

    def wall_ns(self) -> UnixNs:
        """Return Unix time in nanoseconds."""
        return UnixNs(time.time_ns())

    def monotonic_ns(self) -> MonotonicNs:
        """Return monotonic nanoseconds."""
        return MonotonicNs(time.monotonic_ns())

    async def sleep_until(self, deadline: MonotonicNs) -> None:
        """Sleep until the monotonic deadline."""
        await asyncio.sleep(max(0.0, (deadline - time.monotonic_ns()) / NS_PER_S))

    async def sleep(self, seconds: float) -> None:
        """Sleep for a duration in seconds."""
        await asyncio.sleep(seconds)


def iso_utc(moment: UnixNs) -> str:
    """Return Unix nanoseconds as RFC 3339 in UTC with milliseconds, for example in state.json."""
    whole = datetime.fromtimestamp(moment // NS_PER_S, tz=UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment // 1_000_000 % 1000:03d}Z"
