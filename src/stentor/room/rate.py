"""A token bucket for each of many names, in bounded memory: how often somebody may do something. Pure."""

_NS_PER_S = 1_000_000_000


class Rate:
    """``burst`` at once, then ``per_s``, for each name; the newest ``most`` names are remembered.

    A bucket is one number (the generic cell rate algorithm, ITU-T I.371, annex A): when it will be full again.
    """

    def __init__(self, burst: float, per_s: float, most: int = 50_000) -> None:
        self._interval_ns = int(_NS_PER_S / per_s)
        self._burst_ns = int(_NS_PER_S * (burst - 1) / per_s)
        self._most = most
        self._due: dict[str, int] = {}

    def wait_s(self, name: str, now_ns: int) -> float:
        """Count one and return 0, or return the seconds after which there is room for one; monotonic time."""
        due = max(self._due.pop(name, now_ns), now_ns)
        over_ns = due - now_ns - self._burst_ns
        self._due[name] = due if over_ns > 0 else due + self._interval_ns
        if len(self._due) > self._most:
            del self._due[next(iter(self._due))]
        return max(0, over_ns) / _NS_PER_S

    def take(self, name: str, now_ns: int) -> bool:
        """Count one; return False when it is one too many."""
        return not self.wait_s(name, now_ns)
