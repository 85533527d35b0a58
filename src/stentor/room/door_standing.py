"""How one run of an edge stands with the door's leader and the other edges: what it may do, whom it knows."""

from collections import deque

from stentor.room.door import GRACE_S, LEASE_S, LOST_S, NS_PER_S, TAKE_UP_S, Ticket
from stentor.room.door_news import Item, Kind, Peer, decode
from stentor.room.door_view import View
from stentor.room.door_words import DoorReport, DoorWord, Limits

_LEASE_NS = int(LEASE_S * NS_PER_S)
_VOID_NS = int((LOST_S - 3) * NS_PER_S)
_UNUSED_NS = int((TAKE_UP_S + 1) * NS_PER_S)
_GRACE_NS = int(GRACE_S * NS_PER_S)
_FRESH_NS = 6 * NS_PER_S
_OLD_WORDS = 4
_MOST_OTHERS = 64


class Standing:
    """One run, ``started_ns``, of an edge. ``limits``: what it may use. ``known``: the leader has heard of it.

    ``since_ns``: since when it acts without a break.
    """

    def __init__(self, edge: str, started_ns: int, view: View | None = None) -> None:
        self.edge = edge
        self.started_ns = started_ns
        self.run = f"{edge}@{started_ns}"
        self.view = view
        self.limits = Limits()
        self.known = False
        self.number = 0
        self._sent: deque[tuple[int, int]] = deque()
        self._until_ns = 0
        self.since_ns = 0
        self._others: dict[str, Peer] = {}
        self.peers: dict[str, Peer] = {}
        self.lost: dict[str, Peer] = {}

    def acts(self, now_ns: int) -> bool:
        """Tell whether the leader has heard this run of late: only then it may let people in."""
        return now_ns < self._until_ns

    def is_void(self, now_ns: int) -> bool:
        """Tell whether it was cut off for so long that its places may be others' by now."""
        return self.known and now_ns >= self._until_ns + _VOID_NS

    def next_report(self, now_ns: int) -> int:
        """Return the number of a report that goes out now."""
        self.number += 1
        self._sent.append((self.number, now_ns))
        while len(self._sent) > 2 and now_ns - self._sent[0][1] > 2 * _LEASE_NS:
            self._sent.popleft()
        return self.number

    def is_news(self, word: DoorWord) -> bool:
        """Tell whether a word is newer than the newest."""
        last = self.view.word if self.view else None
        return last is None or (word.term, word.number) > (last.term, last.number)

    def take_word(self, word: DoorWord, now_ns: int) -> bool:
        """Follow a word; return False when the leader has forgotten this run, whose places are others' now."""
        self.view = View(word, self.view)
        mine = word.edges.get(self.edge)
        if mine is not None and mine.started_ns == self.started_ns:
            self.known = True
            self.limits = mine.limits
            while self._sent and self._sent[0][0] <= mine.number:
                heard, sent_ns = self._sent.popleft()
                if heard == mine.number:
                    if not self.acts(now_ns):
                        self.since_ns = now_ns
                    self._until_ns = max(self._until_ns, sent_ns + _LEASE_NS)
        elif self.known and self.run not in word.lost:
            return False
        self._sort(word)
        return True

    def _sort(self, word: DoorWord) -> None:
        runs = heard_runs(word)
        known = {**self._others, **self.lost, **self.peers}
        for run in runs.keys() | word.lost.keys():
            known.setdefault(run, Peer())
        known.pop(self.run, None)
        self.peers = {run: peer for run, peer in known.items() if run in runs}
        self.lost = {run: peer for run, peer in known.items() if run in word.lost and run not in runs}
        others = {run: peer for run, peer in known.items() if run not in runs and run not in word.lost}
        self._others = dict(list(others.items())[-_MOST_OTHERS:])

    def take_report(self, report: DoorReport, now_ns: int) -> list[Item]:
        """Hear another edge; return what its news say of holders who are inside there, or are kept there."""
        run = report.name
        peer = self.peers.get(run) or self.lost.get(run) or self._others.setdefault(run, Peer())
        word = self.view.word if self.view else None
        if report.number <= peer.number or word is None:
            return []
        peer.number = report.number
        peer.followed_me = report.followed.get(self.run, 0)
        if report.term != word.term or report.word + _OLD_WORDS < word.number:
            return []
        peer.followed, peer.at_ns = report.number, now_ns
        items = list(decode(report.news))
        for item in items:
            peer.take(item, now_ns)
        return [item for item in items if item.kind in (Kind.INSIDE, Kind.HERE, Kind.KEPT)]

    @property
    def followed(self) -> int:
        """Return the newest of this run's reports that all others follow."""
        return min((peer.followed_me for peer in self.peers.values()), default=self.number)

    def is_spent(self, ticket: Ticket) -> bool:
        """Tell whether a ticket has been used up elsewhere."""
        return any(ticket.made_s <= peer.spent.get(ticket.holder, (-1, 0))[0] for peer in self.peers.values())

    def keeper(self, holder: bytes, now_ns: int) -> str | None:
        """Return the run of another edge that has a place for a holder."""
        for run, peer in self.peers.items():
            if now_ns - peer.at_ns <= _FRESH_NS and peer.keeps(holder, now_ns):
                return run
        return None

    def takes_unused(self, ticket: Ticket, now_ns: int) -> bool:
        """Tell whether another edge has a place for a ticket that has not been used, as far as can be known here."""
        made_ns = ticket.made_s * NS_PER_S
        if abs(now_ns - made_ns) > _UNUSED_NS or made_ns < self.since_ns:
            return False
        return not self.is_spent(ticket)

    def may_be_lost(self, holder: bytes, now_ns: int) -> bool:
        """Tell whether somebody may come from an edge that is gone; a run that is young cannot know who was there."""
        if self.view is None or not self.view.word.lost:
            return False
        return now_ns - self.started_ns < _GRACE_NS or self.was_lost(holder)

    def was_lost(self, holder: bytes) -> bool:
        """Tell whether a holder had a place at an edge that is gone."""
        return any(peer.has(holder) for peer in self.lost.values())


def heard_runs(word: DoorWord) -> dict[str, int]:
    """Return the newest report heard of each run."""
    return {f"{edge}@{state.started_ns}": state.number for edge, state in word.edges.items()}
