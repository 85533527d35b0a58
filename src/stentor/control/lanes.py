"""Lanes of the staff port: so that a crowd that comes to the wrong door keeps no host out.

Connections: an address has 128 at a time, and all who have shown no session have 1,024; then the one that has been
silent longest makes room, so that whoever comes gets in. Who has shown a session that is good is *known*, is counted by
it and no longer by the address, and never makes room. Requests without a known session: 400 at once and 40 a second
from one address, 2,000 and 200 from all; with one: 200 at once and 50 a second for each session. WHIP offers: 30 at
once and two a second for each person.

Counts are this process's alone, in bounded memory; nothing here asks the catalogue.
"""

from collections import OrderedDict
from hashlib import blake2b
from math import ceil
from typing import Protocol

from prometheus_client import Counter, Gauge

from stentor.clock import Clock
from stentor.control.limits import TooManyRequestsError
from stentor.room.rate import Rate

LANE = "stentor.lane"
"""Under which a request's state holds the connection that it came by."""
OF_AN_ADDRESS = 128
UNKNOWN = 1_024
_KNOWN_SESSIONS = 10_000
_ALL = "all"

UNKNOWN_OPEN = Gauge("stentor_control_unknown_connections_count", "Connections that have shown no session yet")
TURNED_AWAY = Counter("stentor_control_turned_away_total", "Connections and requests over their limits", ["what"])


class Lane(Protocol):
    """A connection, as the lanes see it."""

    def cut(self) -> None:
        """Close it at once."""
        ...


class Lanes:
    """Who may connect to the staff port and ask there. One for the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unknown: OrderedDict[Lane, str] = OrderedDict()
        self._open: dict[str, int] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._by_address, self._by_all = Rate(400, 40, 10_000), Rate(2_000, 200, 1)
        self._by_session, self._by_person = Rate(200, 50, _KNOWN_SESSIONS), Rate(30, 2, _KNOWN_SESSIONS)

    # Connections.

    def connected(self, lane: Lane, address: str) -> bool:
        """Take on a connection; return False when it is one too many for its address."""
        if self._open.get(address, 0) >= OF_AN_ADDRESS:
            TURNED_AWAY.labels("connection").inc()
            return False
        self._open[address] = self._open.get(address, 0) + 1
        self._unknown[lane] = address
        if len(self._unknown) > UNKNOWN:
            oldest = next(iter(self._unknown))
            self.gone(oldest)
            TURNED_AWAY.labels("silent").inc()
            oldest.cut()
        UNKNOWN_OPEN.set(len(self._unknown))
        return True

    def gone(self, lane: Lane) -> None:
        """Forget a connection; nothing happens when it is no longer counted."""
        address = self._unknown.pop(lane, None)
        if address is None:
            return
        left = self._open[address] - 1
        if left:
            self._open[address] = left
        else:
            del self._open[address]
        UNKNOWN_OPEN.set(len(self._unknown))

    # Requests.

    def ask(self, lane: Lane | None, address: str, token: str) -> None:
        """Count a request, by its session where that is known; raises TooManyRequestsError."""
        now_ns = self._clock.monotonic_ns()
        if token and self._is_known(token):
            if lane is not None:
                self.gone(lane)
            wait_s = self._by_session.wait_s(_key(token), now_ns)
        else:
            if lane is not None and lane in self._unknown:
                self._unknown.move_to_end(lane)
            wait_s = self._by_address.wait_s(address, now_ns) or self._by_all.wait_s(_ALL, now_ns)
        if wait_s:
            TURNED_AWAY.labels("request").inc()
            raise _too_many(wait_s, "Too much is asked for from here")

    def know(self, token: str) -> None:
        """Remember a session, or a link's own token, that has proven good."""
        key = _key(token)
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN_SESSIONS:
            self._known.popitem(last=False)

    def forget(self, token: str) -> None:
        """Forget a session that is good no more."""
        self._known.pop(_key(token), None)

    def offer(self, person: str) -> None:
        """Count a WHIP offer; raises TooManyRequestsError."""
        wait_s = self._by_person.wait_s(person, self._clock.monotonic_ns())
        if wait_s:
            TURNED_AWAY.labels("offer").inc()
            raise _too_many(wait_s, "You have connected too often in a short time")

    def _is_known(self, token: str) -> bool:
        return _key(token) in self._known


def _key(token: str) -> str:
    return blake2b(token.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _too_many(wait_s: float, what: str) -> TooManyRequestsError:
    seconds = max(1, ceil(wait_s))
    return TooManyRequestsError(f"{what}. Wait {seconds} s.", retry_after_s=seconds)
