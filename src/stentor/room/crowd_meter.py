"""Crowd or attack: what of those who arrive behaves like people, and what does not. Pure.

Edges watch what each address does that is new to them and judge it as below; control adds up what they report. An
address stands for everybody behind it, so a whole carrier counts as one arrival, and as people as soon as one of them
listens.

- *people*: listened for 10 s, sent a player's beacon, solved a challenge, or loaded the page and then asked for what
  the page asks for;
- *not people*: asked on although refused, connected without asking for anything, left a challenge unsolved, asked
  much or for tickets alone and listened to nothing;
- *too early*: anything else, such as a page that was opened a moment ago.
"""

from collections.abc import Sequence
from enum import IntFlag, StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

MINUTE_S = 60
LISTENED_S = 10
_EARLY_S = 20
_INSISTED = 20
_MUCH = 30
_PAGE_REQUESTS = 40
"""A page, its files and what it asks for first; beyond that a page asks for less than one thing a second."""


class Did(IntFlag):
    """What an arrival has done."""

    ASKED = 1
    PAGE = 2
    STATE = 4
    TICKET = 8
    CHALLENGED = 16
    SOLVED = 32
    LISTENED = 64
    BEACONED = 128
    REHEARSED = 256


SHOWN = {
    "page": Did.PAGE,
    "state": Did.STATE,
    "ticket": Did.TICKET,
    "solved": Did.SOLVED,
    "listened": Did.LISTENED,
    "beaconed": Did.BEACONED,
}
"""What is told of arrivals, in the order in which a listener's page does it."""
_SURELY = Did.LISTENED | Did.BEACONED | Did.SOLVED
_OPENED = Did.PAGE | Did.STATE


class Behaves(StrEnum):
    """Like what an arrival behaves."""

    PEOPLE = "people"
    NOT_PEOPLE = "not-people"
    EARLY = "early"


class Arrival(NamedTuple):
    """An address that was new, ``age_s`` ago; ``refused`` of its ``requests`` were over its budget."""

    age_s: float
    did: int
    requests: int
    refused: int


def judge(arrival: Arrival) -> Behaves:
    """Return like what an arrival behaves, by what it has done so far."""
    did = arrival.did
    if did & _SURELY:
        return Behaves.PEOPLE
    if arrival.refused >= _INSISTED:
        return Behaves.NOT_PEOPLE
    if did & _OPENED == _OPENED and arrival.requests <= _PAGE_REQUESTS + arrival.age_s:
        return Behaves.PEOPLE
    if arrival.age_s < _EARLY_S:
        return Behaves.EARLY
    silent = not did & Did.ASKED
    tickets_alone = bool(did & Did.TICKET) and not did & Did.PAGE
    if silent or tickets_alone or did & Did.CHALLENGED or arrival.requests >= _MUCH:
        return Behaves.NOT_PEOPLE
    return Behaves.EARLY


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class MinuteSums(_Said):
    """Who arrived within one minute (``at_s``, Unix, its beginning).

    ``did`` counts all, ``lacks`` those who are not people, by the words of ``SHOWN``.
    """

    at_s: int
    arrivals: int = 0
    people: int = 0
    not_people: int = 0
    early: int = 0
    requests: int = 0
    refused: int = 0
    did: dict[str, int] = {}
    lacks: dict[str, int] = {}


class RoomMeter(_Said):
    """One room's arrivals at one edge; ``agents``: the programs that they say they are, and how many said so."""

    minutes: tuple[MinuteSums, ...] = ()
    agents: dict[str, int] = {}


class MeterReport(_Said):
    """What one edge saw, said every 5 s. ``rooms``: by the room that was asked for first, empty: none.

    ``networks``: who asked most since the last report: network (/24, /48), requests, refused. ``challenged``: whether
    this edge asks newcomers for a proof of work; ``cut``: connections cut unheard.
    """

    edge: str
    at_ns: int
    rooms: dict[str, RoomMeter] = {}
    networks: tuple[tuple[str, int, int], ...] = ()
    challenged: bool = False
    requests_per_s: float = 0.0
    refused_per_s: float = 0.0
    cut_per_s: float = 0.0

    def to_bytes(self) -> bytes:
        """Return the report as JSON."""
        return self.model_dump_json().encode()


def sums(at_s: int, arrivals: Sequence[Arrival], counted: float = 1.0) -> MinuteSums:
    """Return the sums of a minute's arrivals; each of them stands for ``counted``."""
    kinds = dict.fromkeys(Behaves, 0)
    did, lacks = dict.fromkeys(SHOWN, 0), dict.fromkeys(SHOWN, 0)
    for arrival in arrivals:
        kind = judge(arrival)
        kinds[kind] += 1
        for word, bit in SHOWN.items():
            if arrival.did & bit:
                did[word] += 1
            elif kind is Behaves.NOT_PEOPLE:
                lacks[word] += 1

    def scaled(count: int) -> int:
        return round(count * counted)

    people, not_people, early = (scaled(kinds[kind]) for kind in Behaves)
    return MinuteSums(
        at_s=at_s,
        arrivals=people + not_people + early,
        people=people,
        not_people=not_people,
        early=early,
        requests=scaled(sum(arrival.requests for arrival in arrivals)),
        refused=scaled(sum(arrival.refused for arrival in arrivals)),
        did={word: scaled(count) for word, count in did.items()},
        lacks={word: scaled(count) for word, count in lacks.items()},
    )


def merged(minutes: Sequence[MinuteSums]) -> list[MinuteSums]:
    """Add up what several edges say, minute by minute, the oldest first."""
    by_minute: dict[int, list[MinuteSums]] = {}
    for minute in minutes:
        by_minute.setdefault(minute.at_s, []).append(minute)
    return [_added(at_s, parts) for at_s, parts in sorted(by_minute.items())]


def _added(at_s: int, parts: Sequence[MinuteSums]) -> MinuteSums:
    def by_word(which: str) -> dict[str, int]:
        return {word: sum(getattr(part, which).get(word, 0) for part in parts) for word in SHOWN}

    return MinuteSums(
        at_s=at_s,
        arrivals=sum(part.arrivals for part in parts),
        people=sum(part.people for part in parts),
        not_people=sum(part.not_people for part in parts),
        early=sum(part.early for part in parts),
        requests=sum(part.requests for part in parts),
        refused=sum(part.refused for part in parts),
        did=by_word("did"),
        lacks=by_word("lacks"),
    )


class Alarm:
    """Whether the meter wants newcomers challenged.

    It begins when 30 of the last minutes' arrivals, and half of those judged, are not people; it ends when for five
    minutes it has been less than a quarter.
    """

    _LEAST = 30
    _CALM_S = 300

    def __init__(self) -> None:
        self.on = False
        self._calm_since_s: float | None = None

    def note(self, lately: Sequence[MinuteSums], now_s: float) -> bool:
        """Take the sums of the last two minutes; return whether to challenge."""
        not_people = sum(minute.not_people for minute in lately)
        judged = not_people + sum(minute.people for minute in lately)
        if not_people >= self._LEAST and not_people * 2 >= judged:
            self.on, self._calm_since_s = True, None
        elif self.on and not_people * 4 >= judged and not_people >= self._LEAST // 2:
            self._calm_since_s = None
        elif self.on:
            self._calm_since_s = now_s if self._calm_since_s is None else self._calm_since_s
            self.on = now_s - self._calm_since_s < self._CALM_S
        return self.on
