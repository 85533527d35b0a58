"""Who is inside at one edge, and whose places it keeps: one live entry a ticket.

A place is let go only when the leader has heard of the edge that has it now, or when no edge would let its ticket in
any more (docs/door.md has why).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stentor.room.door import GRACE_S, NS_PER_S, TOLD_S, Cut, Ticket
from stentor.room.door_news import SLICES, Item, Kind, encode, is_after, millisecond, slice_of, whole

_TOLD_NS = int(TOLD_S * NS_PER_S)
_GRACE_NS = int(GRACE_S * NS_PER_S)
_UNKNOWN_NS = 12 * NS_PER_S
"""For how long another edge may let in a ticket that it last heard to be here, and some."""
_REPEATS = 3
_MOST_CHANGES = 4_000


@dataclass(slots=True)
class Entry:
    """One listener at this edge.

    ``told_until_ns``: until when other edges may let in the ticket unseen. ``origin``: the run of the edge they came
    over from. ``unheard``: the first report that counts them, when another edge keeps their place until then; else 0.
    """

    entry: int
    holder: bytes | None
    since_ms: int
    here: bool
    rehearsal: bool
    told_until_ns: int = 0
    origin: str = ""
    unheard: int = 0


@dataclass(slots=True)
class Hold:
    """A place kept for a holder until a time. ``told``: they have yet to come; else they dropped, and may come back.

    ``since_ms``: when they last came in here, if they did. ``firm``: this edge may let them in again with it; else it
    only counts until all edges know that their ticket is spent.
    ``goes_to``: the edge and the report by which they are there now; it goes when the leader has heard that.
    """

    until_ns: int
    told: bool
    since_ms: int | None = None
    goes_to: tuple[str, int] | None = None
    firm: bool = True


class Entries:
    """The entries and kept places of one room at one edge. ``run`` names the edge's run, ``alive``: see EdgeDoor."""

    def __init__(self, run: str, alive: Callable[[int], bool]) -> None:
        self._run = run
        self._alive = alive
        self._going: set[bytes] = set()
        self.last = 0
        self._by_entry: dict[int, Entry] = {}
        self._by_holder: dict[bytes, Entry] = {}
        self.holds: dict[bytes, Hold] = {}
        self._due: tuple[deque[tuple[int, bytes]], deque[tuple[int, bytes]]] = (deque(), deque())
        self._changed: dict[bytes, int] = {}
        self._kept: dict[bytes, tuple[int, int]] = {}
        self._spent: dict[bytes, tuple[int, int]] = {}
        self._cuts: list[Cut] = []
        self.rehearsal = 0
        self.freed = 0
        self.let: dict[str, int] = {}

    @property
    def inside(self) -> int:
        """Return how many are inside."""
        return len(self._by_entry)

    def of(self, holder: bytes) -> Entry | None:
        """Return a holder's entry."""
        return self._by_holder.get(holder)

    def all(self) -> list[Entry]:
        """Return everybody inside."""
        return list(self._by_entry.values())

    def tell(self, holder: bytes, now_ns: int) -> None:
        """Keep a place for somebody who is told to come in, or is told again."""
        hold = self.holds.get(holder)
        if hold is not None and hold.told and hold.firm and hold.until_ns > now_ns + _TOLD_NS - NS_PER_S:
            return
        self._spent.pop(holder, None)
        self._hold(holder, now_ns + _TOLD_NS, told=True)

    def begin(self, ticket: Ticket | None, now_ns: int, *, here: bool = False) -> Entry:
        """Let somebody in, into the place kept for them if there is one."""
        self.last += 1
        holder = ticket.holder if ticket else None
        until = 0
        if ticket is not None and ticket.admitted:
            until = min(now_ns + _TOLD_NS, ticket.made_s * NS_PER_S + _TOLD_NS + NS_PER_S)
        rehearsal = ticket is not None and ticket.rehearsal
        entry = Entry(self.last, holder, millisecond(now_ns), here, rehearsal, until)
        self._by_entry[entry.entry] = entry
        self.rehearsal += rehearsal
        if holder is not None:
            self.holds.pop(holder, None)
            self._spent.pop(holder, None)
            self._by_holder[holder] = entry
            self._changed[holder] = _REPEATS
        return entry

    def replace(self, entry: Entry, now_ns: int, *, here: bool) -> tuple[Entry, int]:
        """Give an entry's place to a new one of the same ticket; return that, and the old one's number."""
        old = entry.entry
        del self._by_entry[old]
        self.last += 1
        entry.entry, entry.since_ms, entry.here = self.last, millisecond(now_ns), here
        self._by_entry[entry.entry] = entry
        if entry.holder is not None:
            self._changed[entry.holder] = _REPEATS
        return entry, old

    def follow(self, entry: Entry, since_ms: int) -> None:
        """Say that an entry is the later one of two, whatever the clocks of the edges say."""
        if not is_after(entry.since_ms, since_ms):
            entry.since_ms = (since_ms + 1) % (1 << 32)

    def second_use(self, entry: Entry, *, here: bool) -> bool:
        """Tell whether somebody who comes with an entry's ticket has to stay out."""
        return not here and self._alive(entry.entry)

    def end(self, number: int, now_ns: int, *, dropped: bool) -> bool:
        """End an entry; tell whether there was one."""
        entry = self._by_entry.get(number)
        if entry is None:
            return False
        self._remove(entry)
        holder = entry.holder
        if holder is not None and dropped:
            self._hold(holder, now_ns + _GRACE_NS, told=False, since_ms=entry.since_ms)
        elif holder is not None:
            self._use_up(entry, holder, now_ns)
        else:
            self.freed += 1
        return True

    def _use_up(self, entry: Entry, holder: bytes, now_ns: int) -> None:
        """Keep a place until no edge would let its ticket in any more."""
        self._hold(holder, max(entry.told_until_ns, now_ns + _UNKNOWN_NS), told=True, since_ms=entry.since_ms)
        self._spent[holder] = (0, now_ns // NS_PER_S)

    def keeps(self, holder: bytes) -> bool:
        """Tell whether there is a place here for a holder, inside or kept."""
        if holder in self._by_holder:
            return True
        hold = self.holds.get(holder)
        return hold is not None and hold.firm

    def send_back(self, entry: Entry, now_ns: int) -> None:
        """End an entry of which nobody else knows, perhaps: the leader may have heard of it, or not."""
        self.cut(entry, elsewhere=False)
        if entry.holder is not None:
            self._use_up(entry, entry.holder, now_ns)
            self.holds[entry.holder].firm = False

    def _remove(self, entry: Entry) -> None:
        del self._by_entry[entry.entry]
        self.rehearsal -= entry.rehearsal
        if entry.holder is not None:
            del self._by_holder[entry.holder]
            self._changed[entry.holder] = _REPEATS

    def cut(self, entry: Entry, *, elsewhere: bool) -> None:
        """End an entry that has no place any more."""
        self._remove(entry)
        self._cuts.append(Cut(entry.entry, elsewhere))

    def send_away(self, now_ns: int) -> None:
        """End all entries, and keep their places."""
        for entry in self.all():
            self.cut(entry, elsewhere=False)
            if entry.holder is not None:
                self._hold(entry.holder, now_ns + _GRACE_NS, told=False, since_ms=entry.since_ms)

    def go_on(self, last: int, cuts: list[Cut]) -> None:
        """Number entries after those of an earlier run, and say who of it is cut."""
        self.last, self._cuts = last, cuts

    def drain_cuts(self) -> list[Cut]:
        """Return who was cut since the last call."""
        cuts, self._cuts = self._cuts, []
        return cuts

    def _hold(self, holder: bytes, until_ns: int, *, told: bool, since_ms: int | None = None) -> None:
        self.holds[holder] = Hold(until_ns, told, since_ms)
        self._due[told].append((until_ns, holder))
        if not told:
            self._changed[holder] = _REPEATS

    def expire(self, now_ns: int) -> None:
        """Let go of the places that nobody came for."""
        for due in self._due:
            while due and due[0][0] <= now_ns:
                until_ns, holder = due.popleft()
                hold = self.holds.get(holder)
                if hold is not None and hold.until_ns == until_ns:
                    self._let_go(holder)
                    self.freed += 1

    def prolong(self, now_ns: int) -> None:
        """Keep all places for a while yet: nobody could come while this edge was cut off."""
        until = now_ns + _TOLD_NS
        for holder, hold in list(self.holds.items()):
            if hold.firm and hold.until_ns < until:
                hold.until_ns = until
                self._due[True].append((until, holder))
                self._changed[holder] = _REPEATS

    def _let_go(self, holder: bytes) -> None:
        self._going.discard(holder)
        self._spent.pop(holder, None)
        if not self.holds.pop(holder).told:
            self._changed[holder] = _REPEATS

    def claimed(self, item: Item, run: str, report: int, now_ns: int) -> None:
        """Hear that a holder is inside at another edge, by its ``report``."""
        entry = self._by_holder.get(item.holder)
        if entry is None:
            hold = self.holds.get(item.holder)
            if hold is not None and (hold.since_ms is None or is_after(item.value, hold.since_ms)):
                hold.goes_to = hold.goes_to or (run, report)
                self._going.add(item.holder)
        elif is_after(item.value, entry.since_ms) or (item.value == entry.since_ms and run > self._run):
            if item.kind is Kind.INSIDE and self._alive(entry.entry):
                self._kept[item.holder] = (item.value, _REPEATS)
                return
            self.cut(entry, elsewhere=True)
            self._hold(item.holder, now_ns + _GRACE_NS, told=True, since_ms=entry.since_ms)
            self.holds[item.holder].goes_to = (run, report)
            self._going.add(item.holder)

    def kept(self, item: Item) -> None:
        """Hear that another edge keeps a holder whom this one let in later."""
        entry = self._by_holder.get(item.holder)
        if entry is not None and entry.since_ms == item.value and not entry.here:
            self.cut(entry, elsewhere=True)

    def heard(self, runs: dict[str, int]) -> None:
        """Hear which reports of the edges the leader has heard: let go of the places that are there now."""
        for holder in list(self._going):
            hold = self.holds.get(holder)
            if hold is None or hold.goes_to is None:
                self._going.discard(holder)
            elif runs.get(hold.goes_to[0], 0) >= hold.goes_to[1]:
                self._let_go(holder)
                self.let[hold.goes_to[0]] = self.let.get(hold.goes_to[0], 0) + 1

    def followed(self, number: int) -> None:
        """Hear that all edges follow report ``number``: no other lets in the tickets that were spent by then."""
        for holder in [holder for holder, (since, _) in self._spent.items() if 0 < since <= number]:
            del self._spent[holder]
            hold = self.holds.get(holder)
            if hold is not None and hold.goes_to is None:
                self._let_go(holder)
                self.freed += 1

    def news(self, number: int, now_ns: int) -> str:
        """Return who came and went of late, and everybody of a slice, for report ``number``."""
        return encode([*self._whole(number % SLICES, now_ns), *self._changes(now_ns), *self._used_up(number)])

    def _used_up(self, number: int) -> Iterator[Item]:
        for holder, (since, at_s) in self._spent.items():
            self._spent[holder] = (since or number, at_s)
            yield Item(Kind.SPENT, holder, at_s)

    def _whole(self, part: int, now_ns: int) -> Iterator[Item]:
        yield whole(part)
        for holder in self._by_holder:
            if slice_of(holder) == part:
                yield self._item(holder, now_ns)
        for holder, hold in self.holds.items():
            if slice_of(holder) == part and not hold.told:
                yield self._item(holder, now_ns)

    def _changes(self, now_ns: int) -> Iterator[Item]:
        for holder in list(self._changed)[:_MOST_CHANGES]:
            yield self._item(holder, now_ns)
            self._changed[holder] -= 1
            if not self._changed[holder]:
                del self._changed[holder]
        for holder, (value, repeats) in list(self._kept.items()):
            yield Item(Kind.KEPT, holder, value)
            if repeats > 1:
                self._kept[holder] = (value, repeats - 1)
            else:
                del self._kept[holder]

    def _item(self, holder: bytes, now_ns: int) -> Item:
        entry = self._by_holder.get(holder)
        if entry is not None:
            return Item(Kind.HERE if entry.here else Kind.INSIDE, holder, entry.since_ms)
        hold = self.holds.get(holder)
        if hold is None or hold.told:
            return Item(Kind.GONE, holder)
        return Item(Kind.HELD, holder, max(0, hold.until_ns - now_ns) // NS_PER_S)
