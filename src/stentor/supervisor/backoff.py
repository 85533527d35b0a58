"""How long to wait before a crashed process is started again."""

STABLE_S = 60.0
DELAYS_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


class Backoff:
    """Quick at first, then slower up to 10 s; quick again after a run of a minute."""

    def __init__(self) -> None:
        self._crashes = 0

    def after(self, ran_for_s: float) -> float:
        """Count a crash after a run of ``ran_for_s`` and return how many seconds to wait."""
        if ran_for_s >= STABLE_S:
            self._crashes = 0
        delay_s = DELAYS_S[min(self._crashes, len(DELAYS_S) - 1)]
        self._crashes += 1
        return delay_s
