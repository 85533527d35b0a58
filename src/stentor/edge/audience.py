"""How many listen to a room: here, by transport, at the other edges by their reports, and behind caches by beacons.

Push and progressive listeners are connections and are counted as such. Players of LL-HLS only ask: one counts as a
listener for 6 s after it last asked for a playlist, and is told from others by its ticket, or by its address
and User-Agent. So players behind one address with the same browser and no ticket count as one: too low, never too high.
A player whom no edge sees at all counts by its beacons (``by_beacon``), if it has a good ticket.
"""

from base64 import b64decode, b64encode

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.asking import KEY_BYTES, Asking
from stentor.edge.beacons import Beacon, BeaconSums, BeaconTransport, origin_key
from stentor.edge.by_beacon import ByBeacon
from stentor.edge.metrics import DROPPED, Leave
from stentor.edge.tally import Tally
from stentor.room.documents import AudienceNews, AudienceReport

_REHEARSING_NS = 6 * NS_PER_S
_MAX_EDGES = 1_000


class Audience:
    """The audience of one room, as the edge ``name`` knows it; ``started_ns`` is since when its sums count."""

    def __init__(self, name: str = "", tally: Tally | None = None, started_ns: int = 0) -> None:
        self.tally = tally or Tally()
        self._name = name
        self._started_ns = started_ns
        self._asking = Asking(name)
        self._by_beacon = ByBeacon(self._asking.anywhere)
        self._sums: dict[BeaconTransport, BeaconSums] = {}
        self._reports: dict[str, tuple[AudienceReport, MonotonicNs]] = {}
        self._heard_some = False
        self._rehearsing: dict[bytes, MonotonicNs] = {}

    # What listeners do.

    def note_rehearsal(self, holder: bytes, now: MonotonicNs) -> None:
        """Note a generator's request for a playlist: it is nobody's player and is counted apart."""
        self._rehearsing[holder] = now

    def note_player(self, holder: bytes | None, address: str, user_agent: str, now: MonotonicNs) -> None:
        """Note a player's request for a playlist; ``holder`` is what its ticket says, if it has a good one."""
        key = holder[:KEY_BYTES] if holder else origin_key(address, user_agent)
        if self._asking.note(key, now):
            self.tally.joined("hls")
            self._by_beacon.uncount(key)

    def note_beacon(
        self, beacon: Beacon, holder: bytes | None, address: str, user_agent: str, now: MonotonicNs
    ) -> None:
        """Add up what a player says, and count it if nothing else shows it.

        Push and progressive are connections to an edge, which counts them.
        """
        sums = self._sums.get(beacon.transport)
        if sums is None:
            sums = self._sums[beacon.transport] = BeaconSums(beacon.transport)
        sums.add(beacon)
        self._heard_some = True
        if holder is None:
            return
        if beacon.bye or beacon.transport is not BeaconTransport.HLS:
            self._by_beacon.left(holder[:KEY_BYTES])
        else:
            self._by_beacon.heard(holder[:KEY_BYTES], origin_key(address, user_agent), now)

    def note_connected(self, holder: bytes) -> None:
        """Note that a ticket's holder listens by a connection now."""
        self._by_beacon.left(holder[:KEY_BYTES])

    # Counts.

    def asking(self) -> list[bytes]:
        """Return the keys of the players of LL-HLS who ask here."""
        return self._asking.keys()

    def joins_anywhere(self) -> int:
        """Return how many have begun to listen at all edges, since they began."""
        reports = (report for report, _ in self._reports.values())
        return sum(self.tally.joins.values()) + sum(sum(report.joins.values()) for report in reports)

    def players(self) -> int:
        """Return how many players of LL-HLS this edge counts (as of the last ``forget``)."""
        return len(self._asking)

    def rehearsing(self) -> int:
        """Return how many players of LL-HLS here are a generator's (as of the last ``forget``)."""
        return len(self._rehearsing)

    def rehearsal_elsewhere(self) -> int:
        """Return how many of a rehearsal listen at the other edges (as of the last ``forget``)."""
        return sum(max(0, report.rehearsal) for report, _ in self._reports.values())

    def edges(self) -> int:
        """Return how many edges have listeners of this room or had some lately, this one included."""
        return 1 + len(self._reports)

    def elsewhere(self) -> int:
        """Return how many listen at the other edges (as of the last ``forget``)."""
        return sum(max(0, report.listeners) for report, _ in self._reports.values())

    def by_beacon(self) -> int:
        """Return how many players only their beacons show: the most that any edge knows of, as all keep one table."""
        return max(len(self._by_beacon), max((report.by_beacon for report, _ in self._reports.values()), default=0))

    def forget(self, now: MonotonicNs) -> None:
        """Forget players and edges that have been silent for too long."""
        silent = self._asking.forget(now)
        if silent:
            self.tally.left("hls", Leave.LEFT, silent)
        for edge in [edge for edge, (said, at) in self._reports.items() if at <= now - said.good_for_ns]:
            del self._reports[edge]
            self._asking.forget_edge(edge)
        self._by_beacon.forget(now)
        for holder in [holder for holder, at in self._rehearsing.items() if at <= now - _REHEARSING_NS]:
            del self._rehearsing[holder]

    # What edges tell each other.

    @property
    def idle(self) -> bool:
        """Tell whether there is nobody to speak of here, and nothing new."""
        return self._asking.idle and self._by_beacon.idle and not self._heard_some

    def report(
        self, by_transport: dict[str, int], block_steps: int, rehearsal: int = 0, every_s: float = 2.0
    ) -> AudienceReport:
        """Return what this edge tells the others and control; each piece of news is told once."""
        self._heard_some = False
        came, stopped, number, whole = self._asking.news()
        heard, gone = self._by_beacon.news()
        news = AudienceNews(
            came=_joined(came),
            stopped=_joined(stopped),
            slice=number,
            whole=_joined(whole),
            heard=_joined([key + origin for key, origin in heard]),
            gone=_joined(gone),
        )
        return AudienceReport(
            edge=self._name,
            listeners=sum(by_transport.values()),
            by_transport=by_transport,
            by_beacon=len(self._by_beacon),
            started_ns=self._started_ns,
            block_steps=block_steps,
            joins=dict(self.tally.joins),
            leaves=_copied(self.tally.leaves),
            cuts=_copied(self.tally.cuts),
            players={transport.value: sums.report() for transport, sums in self._sums.items()},
            rehearsal=rehearsal,
            news=news,
            every_s=every_s,
        )

    def note_report(self, report: AudienceReport, now: MonotonicNs) -> None:
        """Note what another edge says; it is forgotten when no more comes (``AudienceReport.good_for_ns``)."""
        if report.edge not in self._reports and len(self._reports) >= _MAX_EDGES:
            return
        earlier, _ = self._reports.get(report.edge, (report, now))
        if earlier.started_ns != report.started_ns:
            self._asking.forget_edge(report.edge)  # It has begun anew and sees nobody whom it saw before.
        self._reports[report.edge] = (report, now)
        news = report.news
        if news is None:
            return
        try:
            came, stopped, whole = (_keys(text) for text in (news.came, news.stopped, news.whole))
            heard = [(entry[:KEY_BYTES], entry[KEY_BYTES:]) for entry in _keys(news.heard, 2 * KEY_BYTES)]
            gone = _keys(news.gone)
        except ValueError:
            DROPPED.labels("garbled").inc()
            return
        self._asking.take(report.edge, came, stopped, news.slice, whole)
        self._by_beacon.take(heard, gone, now)
        for key in came:
            self._by_beacon.uncount(key)


def _copied(sums: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {transport: dict(reasons) for transport, reasons in sums.items()}


def _joined(keys: list[bytes]) -> str:
    return b64encode(b"".join(keys)).decode()


def _keys(text: str, size_bytes: int = KEY_BYTES) -> list[bytes]:
    """Return keys that were put one behind the other; raises ValueError."""
    joined = b64decode(text, validate=True)
    if len(joined) % size_bytes:
        raise ValueError("a key is cut short")
    return [joined[at : at + size_bytes] for at in range(0, len(joined), size_bytes)]
