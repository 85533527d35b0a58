"""Who is let into one room: what the leader of the door works out from the edges' reports. Rules: docs/door.md."""

from dataclasses import dataclass, field
from math import inf

from stentor.room.documents import Dials
from stentor.room.door import CALL_S, NS_PER_S, Because
from stentor.room.door_ledger import Ledger
from stentor.room.door_pace import Pacer
from stentor.room.door_queue import Queue
from stentor.room.door_words import Batch, DoorReport, DoorWord, Mark, Pace

_CALL_NS = int(CALL_S * NS_PER_S)
_MOST_STRAIGHT = 200
_STRAIGHT_S = 4.0
_REFUND_SHARE = 0.25
_UNLIMITED = 1 << 40
_OCCUPIED = 0.9
"""The share of all places given away in which somebody listens, to begin with; it is followed slowly."""
_FOLLOW = 0.02


@dataclass(slots=True)
class Turn:
    """A batch, and how many of it each run of an edge has told."""

    batch: Batch
    told_by: dict[str, int] = field(default_factory=dict)

    @property
    def told(self) -> int:
        """Return how many of it have been told to come in."""
        return max(self.batch.told, sum(self.told_by.values()))

    @property
    def told_here(self) -> int:
        """Return how many of them this leader has heard of, those aside who were not counted when it was called."""
        return max(0, min(self.batch.size, self.told) - self.batch.told)

    @property
    def open(self) -> int:
        """Return how many have not asked yet."""
        return max(0, self.batch.size - self.told)


class Leader:
    """Leads one room's door in one ``term``, at edge ``leader``.

    ``salt`` (32 hex digits that nobody can guess) is what the early are shuffled with, should the doors open in this
    term. After another leader give ``resume`` its last stored word first.
    """

    def __init__(self, room: str, *, leader: str, term: int, salt: str) -> None:
        self.room = room
        self._leader = leader
        self._term = term
        self._next_salt = salt
        self._salt = ""
        self._opened_ns = 0
        self._opened_in = 0
        self._dials = Dials()
        self._number = 0
        self._at_ns = 0
        self._ledger = Ledger()
        self._queue = Queue()
        self._pacer = Pacer()
        self._turns: list[Turn] = []
        self._over = Mark()
        self._last_batch = 0
        self._tokens = 0.0
        self._refund = 0.0
        self._straight = 0
        self._steps = 0.0
        self._occupied = _OCCUPIED
        self._admitted_before = 0
        self._direct_seen = 0
        self._told_of_turns = 0
        self._uncounted = 0
        self._word: DoorWord | None = None
        self._stored: DoorWord | None = None

    def resume(self, word: DoorWord, now_ns: int) -> None:
        """Go on from the last stored word of the leader before."""
        self._ledger.resume(word, now_ns)
        self._queue.resume(word)
        if word.is_open:
            self._salt, self._opened_ns = word.salt, word.opened_ns
            self._queue.open(word.salt)
        self._turns = [Turn(batch._replace(at_ns=now_ns)) for batch in word.batches]
        self._last_batch = max((batch.number for batch in word.batches), default=word.last_batch)
        self._over = word.over
        self._admitted_before = word.admitted
        self._stored = word
        self._pacer.resume(word, now_ns)

    def set(self, dials: Dials, *, is_open: bool, because: Because | None, now_ns: int) -> None:
        """Put dials in force, the least of room, installation and ladder, and say whether the doors stand open.

        Once open they stay so. ``because``: why it goes slower than was said, when these dials are lower than before.
        """
        self._dials = dials
        if because is not None:
            self._pacer.slow_down(because, now_ns)
        if is_open and not self._salt:
            self._salt, self._opened_ns = self._next_salt, now_ns
            self._opened_in = self._number + 1
            self._queue.open(self._salt)

    def take_report(self, report: DoorReport, now_ns: int) -> None:
        """Hear an edge, the leader's own as well."""
        if report.room != self.room:
            return
        if self._ledger.take(report, now_ns, self._term):
            self._queue.take(report)
            for turn in self._turns:
                told = report.told.get(turn.batch.number, 0)
                if told:
                    turn.told_by[report.name] = told

    @property
    def bound(self) -> int:
        """Return how many may listen at most if nothing more is granted."""
        return self._ledger.bound

    @property
    def taken(self) -> int:
        """Return how many places are taken or kept."""
        return self._ledger.taken

    @property
    def waiting(self) -> int:
        """Return how many have not been called."""
        return self._queue.waiting()

    @property
    def called(self) -> int:
        """Return how many have been called and have not asked yet."""
        return sum(turn.open for turn in self._turns)

    @property
    def admitted_per_s(self) -> float:
        """Return how many came in a second, of late."""
        return self._pacer.rates()[0]

    def tick(self, now_ns: int) -> DoorWord:
        """Return the next word. It has to be stored before anybody hears it when ``must_store`` says so."""
        self._number += 1
        passed_s = (now_ns - self._at_ns) / NS_PER_S if self._at_ns else 0.0
        self._at_ns = now_ns
        self._ledger.look(now_ns)
        self._count()
        self._end_turns(now_ns)
        self._earn(passed_s)
        if self._salt and self._ledger.settled:
            self._call(now_ns)
            self._promise()
        self._pacer.sample(
            now_ns,
            admitted=self._ledger.admitted,
            freed=self._ledger.freed,
            inside=sum(account.report.inside for account in self._ledger.accounts.values()),
        )
        self._word = self._compose(now_ns)
        return self._word

    @property
    def _free(self) -> int:
        """Return the places that may be promised, those included that are."""
        cap = self._dials.cap
        return _UNLIMITED if cap is None else max(0, cap - self._ledger.taken)

    def _count(self) -> None:
        reports = [account.report for account in self._ledger.accounts.values()]
        if not self._salt or not reports or not self._ledger.settled:
            return
        # A run that acts on a word of the opening makes no ticket for the early any more.
        shuffled = all(report.term == self._term and report.word >= self._opened_in for report in reports)
        self._queue.count_to(min(report.slot for report in reports), early=shuffled)

    def _earn(self, passed_s: float) -> None:
        self._straight -= self._ledger.direct - self._direct_seen
        self._direct_seen = self._ledger.direct
        # People who were told without having been counted when they were called are paid for now.
        told = self._ledger.admitted - self._ledger.direct
        uncounted = told - self._told_of_turns - sum(turn.told_here for turn in self._turns)
        self._tokens -= max(0, uncounted - self._uncounted)
        self._uncounted = max(self._uncounted, uncounted)
        rate = self._dials.per_second
        if rate is None:
            self._tokens, self._refund = inf, 0.0
            return
        if self._tokens == inf:
            self._tokens = 0.0
        back = min(self._refund, rate * passed_s * _REFUND_SHARE)
        self._refund -= back
        most = max(1.0, rate) - max(0, self._straight)
        self._tokens = min(self._tokens + rate * passed_s + back, most)

    def _end_turns(self, now_ns: int) -> None:
        if self._ledger.wanted:
            return  # Somebody whose turn it is has found no place at their edge: nobody loses theirs for that.
        while self._turns and now_ns - self._turns[0].batch.at_ns >= _CALL_NS:
            turn = self._turns.pop(0)
            self._over = Mark(turn.batch.slot, turn.batch.rank)
            self._refund += turn.open
            self._told_of_turns += turn.told_here

    def _call(self, now_ns: int) -> None:
        called = self.called
        free = self._free
        size, mark = 0, None
        for each, count in self._queue.groups_ahead():
            if count and (self._tokens - size < 1 or (called + size + count > free and (called + size or not free))):
                break
            size, mark = size + count, each
        if mark is None:
            return
        self._steps += self._queue.call(mark)
        if size:
            self._tokens -= size
            self._last_batch += 1
            self._turns.append(Turn(Batch(self._last_batch, mark.slot, mark.rank, now_ns, size, 0)))

    def _promise(self) -> None:
        called, wanted = self.called, self._ledger.wanted
        edges = len(self._ledger.accounts)
        places = called + max(called // 2, 8 * edges if called else 0, wanted - called)
        if self._goes_straight:
            rate = self._dials.per_second
            most = _MOST_STRAIGHT * max(1, edges) + int(_STRAIGHT_S * self.admitted_per_s)
            target = min(most, max(0, self._free - called), max(1, int(rate)) if rate is not None else most)
            pay = max(min(target - self._straight, int(self._tokens) if self._tokens != inf else target), 0)
        else:
            pay = -max(0, self._straight)
        self._straight += pay
        self._tokens -= pay
        places += max(0, self._straight)
        self._ledger.promise(self._number, min(places, self._free), self._ledger.lost_places)

    @property
    def _goes_straight(self) -> bool:
        return bool(self._salt) and self._queue.is_early_counted and not self._queue.waiting()

    def _compose(self, now_ns: int) -> DoorWord:
        ledger, queue = self._ledger, self._queue
        reports = [account.report for account in ledger.accounts.values()]
        waiting, called = queue.waiting(), self.called
        line_from, line = queue.line()
        admitted_per_s, leaving_per_s = self._pacer.rates()
        return DoorWord(
            room=self.room, term=self._term, number=self._number, at_ns=now_ns, leader=self._leader,
            cap=self._dials.cap, per_second=self._dials.per_second, is_open=bool(self._salt),
            opened_ns=self._opened_ns, salt=self._salt, watermark=queue.mark, over=self._over,
            batches=tuple(turn.batch._replace(told=turn.told) for turn in self._turns), last_batch=self._last_batch,
            direct=self._goes_straight, line_from=line_from, line=line, early=queue.early(),
            waiting=waiting, called=called, inside=sum(report.inside - report.twice for report in reports),
            rehearsal=sum(report.rehearsal for report in reports),
            held=sum(report.held for report in reports) + ledger.lost_places,
            lost={run: lost.places for run, lost in ledger.lost.items()},
            admitted=self._admitted_before + ledger.admitted, admitted_per_s=round(admitted_per_s, 2),
            leaving_per_s=round(leaving_per_s, 2), pace=self._pace(now_ns, waiting, called),
            because=self._pacer.because(now_ns), edges=ledger.edges(),
        )  # fmt: skip

    def _pace(self, now_ns: int, waiting: int, called: int) -> Pace:
        free = max(0, min(self._free - called, _UNLIMITED))
        given = self._ledger.taken + called
        inside = sum(account.report.inside for account in self._ledger.accounts.values())
        if given > 10 * free:
            self._occupied += (inside / given - self._occupied) * _FOLLOW
        full = given + free if self._dials.cap is not None else given
        low, high = self._pacer.leaving(full * self._occupied)
        found = Pace(free, self._dials.per_second or 0.0, round(low, 3), round(high, 3))
        return self._pacer.pace(now_ns, found, self._steps + self._ledger.direct, waiting)

    @property
    def must_store(self) -> bool:
        """Tell whether the last word has to be stored before anybody hears it: it grants more than the stored one.

        Otherwise once a second is enough. Call ``stored(word)`` when it was; a leader who cannot store says nothing.
        """
        word, stored = self._word, self._stored
        if word is None or stored is None:
            return word is not None
        if (word.salt, word.watermark, word.over) != (stored.salt, stored.watermark, stored.over):
            return True
        for edge, state in word.edges.items():
            before = stored.edges.get(edge)
            if before is None or before.started_ns != state.started_ns:
                return True
            if state.limits.places > before.limits.places or state.limits.returns > before.limits.returns:
                return True
        return False

    def stored(self, word: DoorWord) -> None:
        """Hear that a word has been stored."""
        self._stored = word
