"""Who is where: what edges tell each other of holders, so that a ticket has one live entry, and a place moves with it.

News are records of 13 bytes, joined, in Base64: kind (u8) · holder (8 bytes) · value (u32, big-endian).
"""

import base64
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from stentor.room.door import HOLDER_BYTES, NS_PER_S

SLICES = 16
_RECORD = struct.Struct(">B8sI")
_MS = 1 << 32
_SPENT_NS = 30 * NS_PER_S
_STALE_S = 6
"""How much older than it seems an edge's word on a kept place may be (docs/door.md)."""


class Kind(IntEnum):
    """What is said of a holder. Values: INSIDE and HERE the millisecond of entering (mod 2^32); HELD whole seconds.

    HERE: inside, because a person asked for it. KEPT: is here, and its client answers, whatever another edge says of
    an entry begun at the value. WHOLE: all that follow are everybody of one slice, its number in the value. SPENT:
    has been here and left, so that no ticket made by the second of the value is good any more.
    """

    INSIDE = 1
    HERE = 2
    HELD = 3
    GONE = 4
    KEPT = 5
    WHOLE = 6
    SPENT = 7


@dataclass(frozen=True, slots=True)
class Item:
    """One record."""

    kind: Kind
    holder: bytes
    value: int = 0


def slice_of(holder: bytes) -> int:
    """Return which part of all holders one belongs to."""
    return holder[0] % SLICES


def millisecond(now_ns: int) -> int:
    """Return a time as news have it."""
    return now_ns // 1_000_000 % _MS


def is_after(one: int, other: int) -> bool:
    """Tell whether a millisecond comes after another."""
    return 0 < (one - other) % _MS < _MS // 2


def whole(number: int) -> Item:
    """Return the record that opens a slice."""
    return Item(Kind.WHOLE, bytes(HOLDER_BYTES), number)


def encode(items: Iterable[Item]) -> str:
    """Return records as text."""
    return base64.b64encode(b"".join(_RECORD.pack(i.kind, i.holder, i.value) for i in items)).decode()


def decode(news: str) -> Iterator[Item]:
    """Yield the records of a text; none where it is none of ours."""
    raw = base64.b64decode(news)
    for kind, holder, value in _RECORD.iter_unpack(raw[: len(raw) // _RECORD.size * _RECORD.size]):
        if kind in _KINDS:
            yield Item(Kind(kind), holder, value)


_KINDS = frozenset(int(kind) for kind in Kind)


@dataclass(slots=True)
class Peer:
    """What one run of another edge has said of its holders. ``number``: its newest report.

    ``followed``: the newest whose news were taken, at ``at_ns``; ``followed_me``: the same of this edge's reports over
    there. ``spent``: the second in which the tickets of somebody were used up there, and until when to remember that.
    ``parts``, of each holder: until when it keeps their place, or, inside, the millisecond they came, as -1 less that.
    """

    number: int = 0
    followed: int = 0
    at_ns: int = 0
    followed_me: int = 0
    spent: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    parts: list[dict[bytes, int]] = field(default_factory=lambda: [{} for _ in range(SLICES)])

    def take(self, item: Item, now_ns: int) -> None:
        """Hear one record."""
        if item.kind is Kind.WHOLE:
            self.parts[item.value % SLICES] = {}
            return
        part = self.parts[slice_of(item.holder)]
        if item.kind is Kind.SPENT:
            self.spent[item.holder] = (item.value, now_ns + _SPENT_NS)
            while (oldest := next(iter(self.spent))) and self.spent[oldest][1] <= now_ns:
                del self.spent[oldest]
        elif item.kind is Kind.GONE:
            part.pop(item.holder, None)
        elif item.kind is Kind.HELD:
            part[item.holder] = now_ns + max(0, item.value - _STALE_S) * NS_PER_S
        elif item.kind is not Kind.KEPT:
            part[item.holder] = -1 - item.value

    def has(self, holder: bytes) -> bool:
        """Tell whether it has, or had, a place for somebody."""
        return holder in self.parts[slice_of(holder)]

    def keeps(self, holder: bytes, now_ns: int) -> bool:
        """Tell whether it has a place for somebody now."""
        until = self.parts[slice_of(holder)].get(holder, 0)
        return until < 0 or until > now_ns

    def since(self, holder: bytes) -> int | None:
        """Return the millisecond at which somebody who is inside there came."""
        until = self.parts[slice_of(holder)].get(holder, 0)
        return -1 - until if until < 0 else None
