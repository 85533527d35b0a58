"""How many listen to a room: here, by transport, and at the other edges by their reports.

Push and progressive listeners are connections and are counted as such. Players of LL-HLS only ask: one counts as a
listener for 6 s after it last asked for a playlist, and is told from others by its ticket, or by its address
and User-Agent. So players behind one address with the same browser and no ticket count as one: too low, never too high.
"""

import hashlib

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.room.documents import AudienceReport

SEEN_S = 6.0
REPORT_S = 7.0
_MAX_SEEN = 100_000
_MAX_EDGES = 1_000


class Audience:
    """The listeners of one room who only ask, and what other edges say."""

    def __init__(self) -> None:
        self._seen: dict[bytes, MonotonicNs] = {}
        self._reports: dict[str, tuple[int, MonotonicNs]] = {}

    def note_player(self, holder: bytes | None, address: str, user_agent: str, now: MonotonicNs) -> None:
        """Note a request of a player; ``holder`` is what its ticket says, if it has a good one."""
        key = holder or hashlib.blake2b(f"{address}\0{user_agent}".encode(), digest_size=8).digest()
        if key in self._seen or len(self._seen) < _MAX_SEEN:
            self._seen[key] = now

    def note_report(self, report: AudienceReport, now: MonotonicNs) -> None:
        """Note what another edge says; it is forgotten after 7 s."""
        if report.edge in self._reports or len(self._reports) < _MAX_EDGES:
            self._reports[report.edge] = (max(0, report.listeners), now)

    def players(self) -> int:
        """Return how many players of LL-HLS listen at this edge (as of the last ``forget``)."""
        return len(self._seen)

    def elsewhere(self) -> int:
        """Return how many listen at the other edges (as of the last ``forget``)."""
        return sum(listeners for listeners, _ in self._reports.values())

    def forget(self, now: MonotonicNs) -> None:
        """Forget players and edges that have been silent for too long."""
        seen_after, report_after = now - int(SEEN_S * NS_PER_S), now - int(REPORT_S * NS_PER_S)
        self._seen = {key: at for key, at in self._seen.items() if at > seen_after}
        self._reports = {edge: report for edge, report in self._reports.items() if report[1] > report_after}
