"""The leader's books: which edge has how many places, what it was promised, and what is kept for those who lost theirs.

``bound`` is never less than the listeners there are and may yet be, whatever is lost or late (docs/door.md). Only
``promise`` makes it larger.
"""

from collections import deque
from dataclasses import dataclass, field

from stentor.room.door import GONE_S, LOST_S, NS_PER_S
from stentor.room.door_words import DoorReport, DoorWord, EdgeWord, Limits

_GONE_NS = int(GONE_S * NS_PER_S)
_LOST_NS = int(LOST_S * NS_PER_S)
_MOST_FORGOTTEN = 1_000


@dataclass(slots=True)
class Account:
    """One run of an edge: its newest report, and the limits it was sent since the one that it is known to follow."""

    report: DoorReport
    heard_ns: int
    limits: Limits = Limits()
    promised: deque[tuple[int, Limits]] = field(default_factory=deque)
    resumed: bool = False
    wanted: float = 0.0
    wanted_back: float = 0.0

    @property
    def most(self) -> Limits:
        """Return the highest limits that it may act on."""
        places = max((limits.places for _, limits in self.promised), default=0)
        returns = max((limits.returns for _, limits in self.promised), default=0)
        return Limits(max(places, self.limits.places), max(returns, self.limits.returns))

    @property
    def unused(self) -> Limits:
        """Return how many more it may let in."""
        most = self.most
        return Limits(max(0, most.places - self.report.told_total), max(0, most.returns - self.report.returned))

    @property
    def taken(self) -> int:
        """Return its places that are taken or kept."""
        return self.report.inside + self.report.held


@dataclass(slots=True)
class Lost:
    """The places of a run that is gone: ``places``, less those who came back, until ``until_ns``."""

    places: int
    until_ns: int
    account: Account


class Ledger:
    """The accounts of one room. ``freed``, ``admitted`` and ``direct`` count over all edges since this leader began."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.lost: dict[str, Lost] = {}
        self._forgotten: deque[str] = deque(maxlen=_MOST_FORGOTTEN)
        self._resumed = False
        self.freed = 0
        self.admitted = 0
        self.direct = 0

    def resume(self, word: DoorWord, now_ns: int) -> None:
        """Take over the accounts of the leader before; each edge has to be heard, or is gone."""
        self._resumed = True
        for edge, state in word.edges.items():
            report = DoorReport(
                room=word.room, edge=edge, started_ns=state.started_ns, number=state.number, inside=state.inside,
                held=state.held, told_total=state.told, returned=state.returned,
            )  # fmt: skip
            promised = deque([(0, state.limits)])
            self.accounts[edge] = Account(report, now_ns, state.limits, promised, resumed=True)
        for run, places in word.lost.items():
            report = DoorReport(room=word.room, edge=run, started_ns=0, number=0)
            self.lost[run] = Lost(places, now_ns + _LOST_NS, Account(report, now_ns))

    @property
    def settled(self) -> bool:
        """Tell whether every edge of the leader before has been heard, or is gone."""
        return not any(account.resumed for account in self.accounts.values())

    def take(self, report: DoorReport, now_ns: int, term: int) -> bool:
        """Hear an edge; return False when nothing of the report is new."""
        account = self.accounts.get(report.edge)
        if account is not None and account.report.started_ns != report.started_ns:
            if report.started_ns < account.report.started_ns:
                return False
            self._lose(report.edge, now_ns)
            account = None
        if account is None:
            account = self._welcome(report, now_ns)
            if account is None:
                return False
        elif report.number <= account.report.number:
            return False
        before = account.report
        if account.resumed:
            before = before.model_copy(update={"freed": report.freed, "direct": report.direct})
        self._count(before, report)
        account.report, account.heard_ns, account.resumed = report, now_ns, False
        account.wanted = account.wanted / 2 + report.wanted
        account.wanted_back = account.wanted_back / 2 + report.wanted_back
        while account.promised and report.term == term and account.promised[0][0] < report.word:
            account.promised.popleft()
        return True

    def _welcome(self, report: DoorReport, now_ns: int) -> Account | None:
        """Open an account: of a run that was thought gone, or of a new one that nobody has given places to."""
        lost = self.lost.get(report.name)
        if lost is not None:
            if report.number <= lost.account.report.number:
                return None
            del self.lost[report.name]
            account = lost.account
        elif report.name in self._forgotten or (self._resumed and _has_let_in(report)):
            return None  # Its places were given to others: it will see that it is not known, and begin anew.
        else:
            before = report.model_copy(update={"number": 0, "freed": 0, "direct": 0})
            account = Account(before, now_ns)
        self.accounts[report.edge] = account
        return account

    def _count(self, before: DoorReport, report: DoorReport) -> None:
        self.freed += max(0, report.freed - before.freed)
        self.admitted += max(0, report.told_total - before.told_total)
        self.direct += max(0, report.direct - before.direct)
        self._give_back(max(0, report.returned - before.returned))
        for run, moved in report.moved.items():
            if run in self.lost:
                came_over = max(0, moved - before.moved.get(run, 0))
                self.lost[run].places = max(0, self.lost[run].places - came_over)

    def _give_back(self, returned: int) -> None:
        for lost in self.lost.values():
            part = min(returned, lost.places)
            lost.places -= part
            returned -= part

    def look(self, now_ns: int) -> None:
        """Find out who is gone, and whose places have been kept for long enough."""
        for edge in [edge for edge, account in self.accounts.items() if now_ns - account.heard_ns > _GONE_NS]:
            self._lose(edge, now_ns)
        for run in [run for run, lost in self.lost.items() if lost.until_ns <= now_ns]:
            del self.lost[run]
            self._forgotten.append(run)

    def _lose(self, edge: str, now_ns: int) -> None:
        account = self.accounts.pop(edge)
        run = account.report.name
        let = account.report.let
        came_over = sum(
            max(0, other.report.moved.get(run, 0) - let.get(other.report.name, 0)) for other in self.accounts.values()
        )
        unused = account.unused
        places = max(0, account.taken + unused.places - came_over)
        self.lost[run] = Lost(places, now_ns + _LOST_NS, account)

    @property
    def lost_places(self) -> int:
        """Return how many places are kept for people of edges that are gone."""
        return sum(lost.places for lost in self.lost.values())

    @property
    def taken(self) -> int:
        """Return the places that nobody can be given: taken, kept, or promised to people of edges that are gone."""
        returns = sum(account.unused.returns for account in self.accounts.values())
        return sum(account.taken for account in self.accounts.values()) + max(self.lost_places, returns)

    @property
    def wanted(self) -> int:
        """Return how many people whose turn it is found no place at their edge of late."""
        return round(sum(account.wanted for account in self.accounts.values()))

    @property
    def unused(self) -> int:
        """Return how many places edges may still give away."""
        return sum(account.unused.places for account in self.accounts.values())

    @property
    def bound(self) -> int:
        """Return how many may listen at most if nothing more is promised."""
        return self.taken + self.unused

    def promise(self, number: int, places: int, back: int) -> None:
        """Share ``places``, and ``back`` for people of edges that are gone, among the edges, by word ``number``."""
        accounts = list(self.accounts.values())
        wants = [account.wanted for account in accounts]
        wants_back = [account.wanted_back for account in accounts]
        here = shares(places, wants, [account.unused.places for account in accounts])
        again = shares(back, wants_back, [account.unused.returns for account in accounts])
        for account, to_tell, to_return in zip(accounts, here, again, strict=True):
            report = account.report
            account.limits = Limits(report.told_total + to_tell, report.returned + to_return)
            account.promised.append((number, account.limits))

    def edges(self) -> dict[str, EdgeWord]:
        """Return what the word says of each edge."""
        return {
            edge: EdgeWord(
                a.report.started_ns, a.report.number, a.limits, a.report.inside, a.report.held, a.report.told_total,
                a.report.returned,
            )
            for edge, a in self.accounts.items()
        }  # fmt: skip


def _has_let_in(report: DoorReport) -> bool:
    return bool(report.told_total or report.returned or report.moved)


def shares(amount: int, wants: list[float], unused: list[int]) -> list[int]:
    """Return how many of ``amount`` each may have: by what they want, else evenly.

    ``unused`` is what each may have to this day. What it has beyond its share stays promised until it has heard, so no
    other gets that before; the sum of both never exceeds ``amount``, where ``unused`` alone does not.
    """
    if not unused:
        return []
    weights = [1.0 + 8.0 * want for want in wants]
    whole = sum(weights)
    targets = [int(amount * weight / whole) for weight in weights]
    rest = amount - sum(targets)
    for index in sorted(range(len(targets)), key=lambda index: -weights[index])[:rest]:
        targets[index] += 1
    spare = amount - sum(unused)
    for index in sorted(range(len(targets)), key=lambda index: unused[index] - targets[index]):
        more = max(0, min(targets[index] - unused[index], spare))
        spare -= more
        targets[index] = min(targets[index], unused[index] + more)
    return targets
