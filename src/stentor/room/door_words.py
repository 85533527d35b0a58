"""What edges and the door's leader tell each other, as JSON.

``DoorWord`` goes from the leader to all edges (core subject ``door.{room}.word``, and bucket ``doors`` under the room),
``DoorReport`` from each edge to all (core subject ``door.{room}.report``). Both go out each 0.5 s (REPORT_NS), or each
second in a room where nothing moves. Rules: docs/door.md.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from stentor.room.door import NS_PER_S, Because

REPORT_NS = NS_PER_S // 2


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_bytes(self) -> bytes:
        """Return the document as JSON."""
        return self.model_dump_json().encode()


class Mark(NamedTuple):
    """A point in the line, exclusive: all in lower slots, and in ``slot`` all whose rank is below ``rank``.

    The rank of a group is the group itself; in slot EARLY the permutation's.
    """

    slot: int = 0
    rank: int = 0


class Batch(NamedTuple):
    """Those who were called at once: all below the mark (``slot``, ``rank``) who were not called before.

    ``size``: how many of them have been counted. ``told``: how many have asked since, and were told to come in.
    """

    number: int
    slot: int
    rank: int
    at_ns: int
    size: int
    told: int


class Limits(NamedTuple):
    """How many an edge may have let in since it began (``started_ns``): cumulative, so that none is used twice.

    ``places``: those told to come in, from the line or directly. ``returns``: those of an edge that is gone.
    """

    places: int = 0
    returns: int = 0


class EdgeWord(NamedTuple):
    """What the leader last heard of one edge, and grants it. ``number``: of the newest report heard in a row."""

    started_ns: int
    number: int
    limits: Limits
    inside: int
    held: int
    told: int = 0
    returned: int = 0


class Pace(NamedTuple):
    """What waiters are told to expect: the next ``free`` come in by ``per_second``, the others as people leave.

    By ``leaving_low`` to ``leaving_high`` a second then; 0: nobody knows. It gets worse only with a ``because``.
    """

    free: float = 0.0
    per_second: float = 0.0
    leaving_low: float = 0.0
    leaving_high: float = 0.0


class DoorWord(_Document):
    """The leader's word on one room.

    ``number`` grows with each word of a ``term``. ``cap`` and ``per_second`` are those in force, of room,
    installation and ladder; ``because`` says why it goes slower than was said. ``is_open``: the doors stand open, since
    ``opened_ns``, with the ``salt`` drawn then. ``watermark``: who is called, in ``batches``. ``over``: whose turn has
    passed. ``direct``: nobody waits, edges may let in who comes. ``line`` holds how many got tickets in each slot from
    ``line_from`` on, all final (``counts``). ``early``: the same of slot EARLY while it is its turn, None until
    they are counted, after the opening. ``waiting`` is everybody in
    line; ``called`` are those whose turn it is and who have not asked yet. ``inside`` counts listeners
    (``rehearsal`` of them rehearse), ``held`` places kept for people who are on their way or will be back, ``lost``
    of them for people of edges that are gone, by run. ``admitted`` counts everybody who was told to come in.
    """

    room: str
    term: int
    number: int
    at_ns: int
    leader: str
    cap: int | None = None
    per_second: float | None = None
    because: Because | None = None
    is_open: bool = False
    opened_ns: int = 0
    salt: str = ""
    watermark: Mark = Mark()
    over: Mark = Mark()
    batches: tuple[Batch, ...] = ()
    last_batch: int = 0
    direct: bool = False
    line_from: int = 0
    line: str = ""
    early: int | None = None
    waiting: int = 0
    called: int = 0
    inside: int = 0
    rehearsal: int = 0
    held: int = 0
    lost: dict[str, int] = {}
    admitted: int = 0
    admitted_per_s: float = 0.0
    leaving_per_s: float = 0.0
    pace: Pace = Pace()
    edges: dict[str, EdgeWord] = {}

    def counts(self) -> list[int]:
        """Return how many tickets were made in each slot from ``line_from`` on."""
        return unpack(self.line)


class DoorReport(_Document):
    """One edge's word on one room's door.

    ``number`` grows from 1 since ``started_ns``; ``term`` and ``word``: the newest word it acts on. ``slot``: no ticket
    of a lower slot will be made here any more. ``issued`` has, by slot, the tickets made here in each group (packed),
    and is repeated until heard. ``inside``: who listens here now, ``twice`` of them inside at
    another edge, too, by its newest report, ``rehearsal`` rehearsing; ``held``: places
    kept here for people told to come in, or who dropped. ``told``, by batch, and ``told_total`` (with those let in
    directly), ``returned``, ``dropped`` and ``left`` count since it began; ``wanted`` and ``wanted_back``: people whose
    turn it is, and people of edges that are gone, whom this edge had no place for since its last report.
    ``freed`` counts the places that nobody has any more, ``moved`` and ``let`` by run of an edge
    (``name@started_ns``) those who came over from it, and those whose places were let go as they are there now.
    ``news``: who is here, for the other edges (see door_news); ``followed``: whose news were taken, up to which report.
    """

    room: str
    edge: str
    started_ns: int
    made_ns: int = 0
    number: int
    term: int = 0
    word: int = 0
    slot: int = 0
    issued: dict[int, str] = {}
    inside: int = 0
    twice: int = 0
    rehearsal: int = 0
    held: int = 0
    told: dict[int, int] = {}
    told_total: int = 0
    direct: int = 0
    returned: int = 0
    dropped: int = 0
    left: int = 0
    freed: int = 0
    wanted: int = 0
    wanted_back: int = 0
    moved: dict[str, int] = {}
    let: dict[str, int] = {}
    followed: dict[str, int] = {}
    news: str = ""

    @property
    def name(self) -> str:
        """Return the name of this run of the edge."""
        return f"{self.edge}@{self.started_ns}"


def pack(numbers: Iterable[int]) -> str:
    """Return whole numbers, 0 or more, as text of printable ASCII; one character for each below 32.

    Base 32, least digit first, a bit that says more follow; runs of zeros are one number after ``~``.
    """
    out: list[str] = []
    zeros = 0
    for number in numbers:
        if not number:
            zeros += 1
            continue
        if zeros:
            out.append("~" + _digits(zeros))
            zeros = 0
        out.append(_digits(number))
    if zeros:
        out.append("~" + _digits(zeros))
    return "".join(out)


def unpack(text: str) -> list[int]:
    """Return the numbers of ``pack``. Raises ValueError when it is none of ours."""
    numbers: list[int] = []
    value, shift, run = 0, 0, False
    if len(text) > _LONGEST:
        raise ValueError("too many packed numbers")
    for code in text.encode("ascii"):
        if code == _RUN:
            run = True
            continue
        digit = code - _FIRST
        if not 0 <= digit < 2 * _BASE:
            raise ValueError("no packed numbers")
        value += (digit % _BASE) << shift
        if digit >= _BASE:
            shift += _BITS
            continue
        if run:
            if value > _LONGEST:
                raise ValueError("too many packed numbers")
            numbers.extend([0] * value)
        else:
            numbers.append(value)
        value, shift, run = 0, 0, False
    return numbers


def totals(counts: list[int]) -> list[int]:
    """Return how many stand before each slot of ``counts``: one more entry than there are slots."""
    return list(accumulate(counts, initial=0))


_BITS = 5
_BASE = 1 << _BITS
_FIRST = 0x30
_RUN = ord("~")
_LONGEST = 1 << 20


def _digits(number: int) -> str:
    out = []
    while True:
        number, digit = number >> _BITS, number % _BASE
        out.append(chr(_FIRST + digit + (_BASE if number else 0)))
        if not number:
            return "".join(out)
