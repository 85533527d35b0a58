"""What one edge knows of one room's door, and what it may do by itself. Rules and proofs: docs/door.md."""

from collections import deque
from collections.abc import Callable

from stentor.room.door import (
    DIRECT,
    EARLY,
    EARLY_GROUPS,
    GROUPS,
    HOLDER_BYTES,
    NS_PER_S,
    TOLD_S,
    Answer,
    Because,
    Cut,
    Entrance,
    Place,
    Ticket,
    Verdict,
)
from stentor.room.door_entries import Entries, Entry
from stentor.room.door_issue import Issued
from stentor.room.door_news import Kind
from stentor.room.door_standing import Standing, heard_runs
from stentor.room.door_view import View
from stentor.room.door_words import DoorReport, DoorWord

_TOLD_NS = int(TOLD_S * NS_PER_S)
_YOUNG_NS = 10 * NS_PER_S
_SETTLED_NS = 3 * NS_PER_S
_HOLDER_SPACE = 1 << 8 * HOLDER_BYTES
_COUNTING_S = 1.3
_SOON_S = 1.0
_HERE, _FIRST, _OWED, _LOST = ".here", ".first", ".owed", ".lost"


class EdgeDoor:
    """One room's door at one edge.

    ``draw(n)`` returns a whole number below n that nobody can guess. ``alive(entry)`` tells whether the client of an
    entry at this edge still acknowledges what it is sent. ``started_ns`` is when this run of the edge began: the same
    for all its rooms, another after each start. Nothing here grows with those who wait.
    """

    def __init__(
        self, room: str, edge: str, started_ns: int, *, draw: Callable[[int], int], alive: Callable[[int], bool]
    ) -> None:
        self.room = room
        self.edge = edge
        self._draw = draw
        self._alive = alive
        self._made_ns = started_ns
        self._issued = Issued()
        self._begin(started_ns)

    def _begin(self, started_ns: int, view: View | None = None) -> None:
        self._standing = Standing(self.edge, started_ns, view)
        self._entries = Entries(self._standing.run, self._alive)
        self._told: dict[int, int] = {}
        self._told_total = self._direct = self._returned = self._dropped = self._left = 0
        self._wanted: set[bytes] = set()
        self._wanted_back: set[bytes] = set()
        self._owed: dict[bytes, None] = {}
        self._unheard: dict[bytes, Entry] = {}
        self._moved: dict[str, int] = {}
        self._unsettled: deque[tuple[int, Entry]] = deque()
        self._acted = self._rests = False

    @property
    def word(self) -> DoorWord | None:
        """Return the newest word, for state.json and for whoever is to lead next."""
        return self._standing.view.word if self._standing.view else None

    @property
    def inside(self) -> int:
        """Return how many are inside at this edge."""
        return self._entries.inside

    def acts(self, now_ns: int) -> bool:
        """Tell whether the leader has heard this edge of late: only then it lets people in."""
        return self._standing.acts(now_ns)

    def ask(self, ticket: Ticket | None, now_ns: int) -> Answer:
        """Answer one who asks to come in; ``ticket`` has been checked, None: they have none (that is good)."""
        view = self._standing.view
        if ticket is None:
            return self._arrive(view, now_ns)
        if ticket.admitted:
            return self._again(ticket, now_ns)
        place, holder = ticket.place, ticket.holder
        if view is None or not view.word.is_open:
            return self._closed(view, place, holder, now_ns)
        rank = view.rank(place)
        if rank < view.watermark:
            if self._entries.keeps(holder):
                self._entries_told(holder, now_ns)
                return Answer(admitted=True, make=True, place=place, holder=holder)
            if rank < view.over:
                return self._missed(holder, now_ns)
            return self._tell(view, ticket, now_ns)
        return self._waiting(view, rank, place, holder, now_ns)

    def _entries_told(self, holder: bytes, now_ns: int) -> None:
        entry = self._entries.of(holder)
        if entry is not None:
            entry.told_until_ns = now_ns + _TOLD_NS
        else:
            self._entries.tell(holder, now_ns)

    def _arrive(self, view: View | None, now_ns: int) -> Answer:
        drawn = self._draw(_HOLDER_SPACE * EARLY_GROUPS)
        group, number = divmod(drawn, _HOLDER_SPACE)
        holder = number.to_bytes(HOLDER_BYTES, "big")
        if view is not None and view.word.is_open and self._may_go_straight(view, now_ns):
            self._charge_direct()
            self._entries.tell(holder, now_ns)
            place = Place(now_ns // NS_PER_S, DIRECT)
            return Answer(admitted=True, make=True, place=place, holder=holder)
        return self._to_the_end(view, group, holder, now_ns)

    def _to_the_end(self, view: View | None, group: int, holder: bytes, now_ns: int) -> Answer:
        closed = view is not None and not view.word.is_open
        slot = EARLY if closed else max(self._issued.slot, now_ns // NS_PER_S)
        place = Place(slot, group if closed else group % GROUPS)
        self._issued.add(*place)
        if closed:
            return self._closed(view, place, holder, now_ns)._replace(make=True)
        return self._counting(place, holder, now_ns)._replace(make=True)

    def _counting(self, place: Place, holder: bytes, now_ns: int) -> Answer:
        away = 0.0 if self.acts(now_ns) else 3.0
        again = _COUNTING_S + away + (holder[-1] + holder[-2] / 256) / 256 * (1 + away)
        return Answer(
            admitted=False, make=False, place=place, holder=holder, retry_after_s=again, because=Because.COUNTING
        )

    def _closed(self, view: View | None, place: Place, holder: bytes, now_ns: int) -> Answer:
        if view is None:
            return self._counting(place, holder, now_ns)
        again = view.ask_again_s(holder, None, now_ns)
        return Answer(
            admitted=False, make=False, place=place, holder=holder, retry_after_s=again, because=Because.DOORS_CLOSED
        )

    def _waiting(self, view: View, rank: tuple[int, int], place: Place, holder: bytes, now_ns: int) -> Answer:
        ahead = view.ahead(rank) if self.acts(now_ns) else None
        if ahead is None:
            return self._counting(place, holder, now_ns)
        wait = view.wait_s(ahead)
        again = view.ask_again_s(holder, ahead, now_ns)
        position = 1 + int(ahead)
        return Answer(False, False, place, holder, position, wait, again, view.word.because)  # noqa: FBT003 on the way of 10,000 a second

    def _missed(self, holder: bytes, now_ns: int) -> Answer:
        answer = self._to_the_end(self._standing.view, self._draw(EARLY_GROUPS), holder, now_ns)
        return answer._replace(because=Because.MISSED)

    def _tell(self, view: View, ticket: Ticket, now_ns: int) -> Answer:
        place, holder = ticket.place, ticket.holder
        if not self.acts(now_ns) or self._told_total >= self._standing.limits.places:
            self._wanted.add(holder)
            because = None if self.acts(now_ns) else Because.COUNTING
            return Answer(
                admitted=False, make=False, place=place, holder=holder, position=1, wait_s=(0.0, 2.0),
                retry_after_s=_SOON_S + holder[-1] / 256, because=because,
            )  # fmt: skip
        self._told_total += 1
        batch = view.batch(view.rank(place))
        self._told[batch] = self._told.get(batch, 0) + 1
        self._owed.pop(holder, None)
        self._entries.tell(holder, now_ns)
        return Answer(admitted=True, make=True, place=place, holder=holder)

    def _again(self, ticket: Ticket, now_ns: int) -> Answer:
        """Answer one who was told to come in before."""
        holder = ticket.holder
        hold = self._entries.holds.get(holder)
        if hold is not None and hold.told and hold.firm and not self._standing.is_void(now_ns):
            self._entries.tell(holder, now_ns)
            return Answer(admitted=True, make=True, place=ticket.place, holder=holder)
        way = self._way_in(ticket, now_ns)
        if way is not None and way != _OWED:
            return Answer(admitted=True, make=False, place=ticket.place, holder=holder)
        if way == _OWED and self._standing.view is not None:
            return self._tell(self._standing.view, ticket, now_ns)
        if self._in_doubt(holder, now_ns):
            return self._counting(ticket.place, holder, now_ns)
        return self._missed(holder, now_ns)

    def enter(self, ticket: Ticket | None, now_ns: int, *, here: bool = False) -> Entrance:
        """Take a place for one who comes in; without a ticket only where nobody waits and there is room.

        ``here``: a person asked to listen here, and no longer elsewhere.
        """
        if ticket is None:
            if self._standing.view is None or not self._may_go_straight(self._standing.view, now_ns):
                return Entrance(Verdict.DOOR, retry_after_s=_SOON_S + 1)
            self._charge_direct()
            return Entrance(Verdict.IN, self._entries.begin(None, now_ns).entry)
        entry = self._entries.of(ticket.holder)
        if entry is not None:
            if self._entries.second_use(entry, here=here):
                return Entrance(Verdict.ELSEWHERE)
            entry, old = self._entries.replace(entry, now_ns, here=here)
            return Entrance(Verdict.IN, entry.entry, cut=old)
        if self._entries.keeps(ticket.holder) and not self._standing.is_void(now_ns):
            return Entrance(Verdict.IN, self._entries.begin(ticket, now_ns, here=here).entry)
        way = self._way_in(ticket, now_ns) if ticket.admitted else None
        if way is None or way == _OWED:
            return Entrance(Verdict.DOOR, retry_after_s=_SOON_S)
        return Entrance(Verdict.IN, self._come_over(ticket, way, now_ns, here=here).entry)

    def _come_over(self, ticket: Ticket, way: str, now_ns: int, *, here: bool) -> Entry:
        entry = self._entries.begin(ticket, now_ns, here=here)
        if way == _LOST:
            self._returned += 1
            return entry
        entry.unheard = self._standing.number + 1
        self._unheard[ticket.holder] = entry
        peer = self._standing.peers.get(way)
        if peer is not None:
            entry.origin = way
            self._unsettled.append((now_ns, entry))
            since_ms = peer.since(ticket.holder)
            if since_ms is not None:
                self._entries.follow(entry, since_ms)
        return entry

    def adopt(self, ticket: Ticket | None, now_ns: int) -> int:
        """Return an entry for one who has been listening since before the room had a door."""
        if ticket is not None and self._entries.of(ticket.holder) is not None:
            ticket = None
        return self._entries.begin(ticket, now_ns).entry

    def leave(self, entry: int, now_ns: int, *, dropped: bool) -> None:
        """End an entry. ``dropped``: not by their will, so that their place is kept for GRACE_S.

        No error where it has been replaced or cut.
        """
        if self._entries.end(entry, now_ns, dropped=dropped):
            self._dropped += dropped
            self._left += not dropped

    def _way_in(self, ticket: Ticket, now_ns: int) -> str | None:
        """Return what lets in somebody who was told to come: the run of the edge that keeps their place, or _….

        None: nothing does, at least now.
        """
        holder = ticket.holder
        if self._entries.keeps(holder):
            return None if self._standing.is_void(now_ns) else _HERE
        if not self.acts(now_ns):
            return None
        keeper = self._standing.keeper(holder, now_ns)
        if keeper is not None:
            return keeper
        if holder in self._owed:
            return _OWED
        if self._standing.takes_unused(ticket, now_ns):
            return _FIRST
        if self._standing.may_be_lost(holder, now_ns):
            if self._returned < self._standing.limits.returns:
                return _LOST
            self._wanted_back.add(holder)
        return None

    def _in_doubt(self, holder: bytes, now_ns: int) -> bool:
        """Tell whether somebody who is not let in now may be so in a moment."""
        if not self.acts(now_ns) or now_ns - self._standing.started_ns < _YOUNG_NS or holder in self._owed:
            return True
        return self._standing.may_be_lost(holder, now_ns)

    def is_straight(self, now_ns: int) -> bool:
        """Tell whether somebody without a ticket would be let in at once."""
        view = self._standing.view
        return view is not None and view.word.is_open and self._may_go_straight(view, now_ns)

    def _may_go_straight(self, view: View, now_ns: int) -> bool:
        word = view.word
        free = self._told_total < self._standing.limits.places
        return word.direct and free and self.acts(now_ns) and self._issued.last < word.watermark.slot

    def _charge_direct(self) -> None:
        self._told_total += 1
        self._direct += 1

    def take_word(self, word: DoorWord, now_ns: int) -> bool:
        """Follow a word of the leader's; return False when it is not newer than what is known."""
        last = self.word
        if not self._standing.is_news(word):
            return False
        if last is None or word.term != last.term:
            self._issued.say_all()
        was_known, acted = self._standing.known, self.acts(now_ns)
        if not self._standing.take_word(word, now_ns):
            self._begin_anew(now_ns)
            return True
        if was_known and not acted and self.acts(now_ns):
            self._entries.prolong(now_ns)
        mine = word.edges.get(self.edge)
        number = mine.number if mine is not None and mine.started_ns == self._standing.started_ns else 0
        self._issued.heard(number)
        self._unheard = {h: entry for h, entry in self._unheard.items() if entry.unheard > number}
        self._entries.heard(heard_runs(word))
        self._entries.followed(self._standing.followed)
        oldest = min((batch.number for batch in word.batches), default=0)
        self._told = {batch: told for batch, told in self._told.items() if batch >= oldest}
        self._issued.forget(word.over.slot)
        return True

    def _begin_anew(self, now_ns: int) -> None:
        """Begin a new run: the leader has given this one's places to others."""
        cuts = [Cut(entry.entry, elsewhere=False) for entry in self._entries.all()]
        cuts += self._entries.drain_cuts()
        last = self._entries.last
        self._begin(now_ns, self._standing.view)
        self._entries.go_on(last, cuts)
        self._issued.say_all()

    def take_report(self, report: DoorReport, now_ns: int) -> None:
        """Hear another edge (its own reports may come back, and do nothing)."""
        if report.edge == self.edge or report.room != self.room:
            return
        for item in self._standing.take_report(report, now_ns):
            if item.kind is Kind.KEPT:
                self._entries.kept(item)
            else:
                self._entries.claimed(item, report.name, report.number, now_ns)

    def report(self, now_ns: int) -> DoorReport | None:
        """Return what to tell the others; to be called each REPORT_NS. None: nothing moves, it can wait."""
        self._look_after(now_ns)
        here = self._entries.inside or self._entries.holds
        moves = here or self._issued.unheard or self._wanted or not self._acted
        self._rests = not moves and not self._rests
        if self._rests:
            return None
        self._settle(now_ns)
        standing, entries, word = self._standing, self._entries, self.word
        number = standing.next_report(now_ns)
        slot = max(self._issued.slot, now_ns // NS_PER_S)
        self._issued.slot = slot
        report = DoorReport(
            room=self.room, edge=self.edge, started_ns=standing.started_ns, made_ns=self._made_ns, number=number,
            term=word.term if word else 0, word=word.number if word else 0, slot=slot,
            issued=self._issued.portion(number), inside=entries.inside, twice=self._twice(),
            rehearsal=entries.rehearsal,
            held=len(entries.holds), told=dict(self._told), told_total=self._told_total, direct=self._direct,
            returned=self._returned, dropped=self._dropped, left=self._left, freed=entries.freed,
            wanted=len(self._wanted), wanted_back=len(self._wanted_back), moved=dict(self._moved),
            let=dict(entries.let), followed={run: peer.followed for run, peer in standing.peers.items()},
            news=entries.news(number, now_ns),
        )  # fmt: skip
        self._wanted.clear()
        self._wanted_back.clear()
        return report

    def _settle(self, now_ns: int) -> None:
        while self._unsettled and now_ns - self._unsettled[0][0] >= _SETTLED_NS:
            entry = self._unsettled.popleft()[1]
            if entry.holder is not None and self._entries.of(entry.holder) is entry:
                self._moved[entry.origin] = self._moved.get(entry.origin, 0) + 1

    def _twice(self) -> int:
        """Return how many have come over of late from edges that have not said yet that they are gone there."""
        peers = self._standing.peers
        return sum(
            entry.holder is not None
            and self._entries.of(entry.holder) is entry
            and entry.origin in peers
            and peers[entry.origin].since(entry.holder) is not None
            for _, entry in self._unsettled
        )

    def cuts(self, now_ns: int) -> list[Cut]:
        """Return the entries that are to be cut, once each; to be called after each word or report, and REPORT_NS.

        They have ended: ``leave`` need not be called for them.
        """
        self._look_after(now_ns)
        return self._entries.drain_cuts()

    def _look_after(self, now_ns: int) -> None:
        """Let go of what is over; while cut off, keep it, and send those away whom nobody else knows to be here."""
        self._acted = self.acts(now_ns)
        if self._acted:
            self._entries.expire(now_ns)
            return
        for holder, entry in self._unheard.items():
            if self._entries.of(holder) is entry:
                self._entries.send_back(entry, now_ns)
                self._owed[holder] = None
        self._unheard = {}
        if self._standing.is_void(now_ns):
            self._entries.send_away(now_ns)
