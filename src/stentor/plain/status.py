"""The status for people and programs: a page in each language, and JSON. The same at every edge and in the store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache

from stentor.plain.page import Frame, element, join, link, page, pill
from stentor.plain.words import LANGUAGES, Safe, Words, bare, foreign, iso, zone_of
from stentor.room.documents import Dials, RoomDocument
from stentor.room.installation import InstallationDocument
from stentor.room.states import OPEN_STATES, RoomState
from stentor.room.status import AWAY_NS, Happening, StatusDocument, StatusEvent

REFRESH_S = 15
_LAST_STEP = 5
_MOST_LISTED = 5


@dataclass(frozen=True, slots=True)
class Numbers:
    """A room's numbers now; see RoomLine."""

    listeners: int = 0
    by_beacon: int = 0
    waiting: int = 0
    admitted_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StatusView:
    """All that whoever shows the status knows. ``connected``: the bus answers."""

    now_ns: int
    connected: bool = True
    said: StatusDocument | None = None
    installation: InstallationDocument = InstallationDocument()
    rooms: tuple[RoomDocument, ...] = ()
    numbers: Mapping[str, Numbers] = field(default_factory=dict)

    @property
    def control_there(self) -> bool:
        """Tell whether control has spoken lately."""
        return self.said is not None and self.now_ns - self.said.at_ns < AWAY_NS

    @property
    def open_rooms(self) -> list[RoomDocument]:
        """Return the rooms that are open, those with the most people first."""
        found = [room for room in self.rooms if room.state in OPEN_STATES]
        return sorted(found, key=lambda room: (-self.of(room).listeners - self.of(room).waiting, room.room))

    @property
    def planned_rooms(self) -> list[tuple[int, RoomDocument]]:
        """Return the rooms that open by themselves, each with its time, the next one first."""
        planned = [(room.planned_start_ns or 0, room) for room in self.rooms if room.state is RoomState.SCHEDULED]
        return sorted((each for each in planned if each[0]), key=lambda each: (each[0], each[1].room))

    @property
    def past_rooms(self) -> list[tuple[int, RoomDocument]]:
        """Return the rooms whose recordings are there, each with when it ended, the newest first."""
        published = (room for room in self.rooms if room.state is RoomState.PUBLISHED and room.recorded)
        past = [(room.ended_ns or 0, room) for room in published]
        return sorted(past, key=lambda each: (-each[0], each[1].room))

    @property
    def waiting(self) -> int:
        """Return how many stand in line, before all doors."""
        return sum(self.of(room).waiting for room in self.open_rooms)

    @property
    def zone(self) -> tzinfo:
        """Return the zone of the rooms that are open, or of the next one; UTC where they differ or name none."""
        about = self.open_rooms or [room for _, room in self.planned_rooms[:1]]
        names = {room.time_zone for room in about}
        return zone_of(names.pop() if len(names) == 1 else None)

    def of(self, room: RoomDocument) -> Numbers:
        """Return a room's numbers."""
        return self.numbers.get(room.room, Numbers())


@dataclass(frozen=True, slots=True)
class Summary:
    """How things are, in a sentence (``status.{key}``) and a level: well, quiet, busy or broken."""

    key: str
    level: str


def summary(view: StatusView) -> Summary:
    """Return how things are; the worst comes first."""
    if not view.connected:
        return Summary("lost", "broken")
    if not view.control_there:
        return Summary("away", "broken")
    if not view.open_rooms:
        return Summary("nothing", "quiet")
    if view.installation.ladder.step >= _LAST_STEP:
        return Summary("full", "busy")
    if view.waiting:
        return Summary("slowly" if _per_minute(view) >= 1 else "full", "busy")
    if view.installation.ladder.step:
        return Summary("sparing", "busy")
    return Summary("well", "well")


def _per_minute(view: StatusView) -> int:
    return round(60 * sum(view.of(room).admitted_per_s for room in view.open_rooms))


def _more(view: StatusView, words: Words, said: Summary) -> list[Safe]:
    """Return the sentences below the summary."""
    lines: list[Safe] = []
    if said.level == "broken":
        lines.append(words.t("line.away"))
        if view.said is not None:
            lines.append(words.t("line.as-of", when=words.clock(view.said.at_ns, view.zone)))
    if view.waiting:
        lines.append(join(words.n("waiting", view.waiting), "."))
    if said.key == "slowly":
        lines += [words.n("line.rate", _per_minute(view)), words.t("line.wait")]
    elif said.key == "full" and view.waiting:
        lines += [words.t("line.full"), words.t("line.wait")]
    return lines


# The page.


def status_page(view: StatusView, words: Words, frame: Frame, *, copy: bool = False) -> bytes:
    """Return the page; ``copy``: it is written down to be shown elsewhere."""
    said = summary(view)
    head = element("h1", words.t(f"status.{said.key}"))
    more = join(*(element("p", line) for line in _more(view, words, said)))
    body = join(
        element("section", join(head, more), class_=f"card level-{said.level}"),
        _measures(view, words),
        _rooms(view, words, frame),
        _listed(words.t("status.soon"), view.planned_rooms, words, frame),
        _next(view, words, frame, copy=copy),
        _history(view.said.events if view.said is not None else (), words.language, view.zone),
        _listed(words.t("status.past"), view.past_rooms, words, frame),
    )
    return page(words, frame, words.t("status.title"), body)


def _measures(view: StatusView, words: Words) -> Safe:
    step = view.installation.ladder.step
    if not step:
        return Safe("")
    lines = (element("li", words.t(f"ladder.{each}")) for each in range(1, step + 1) if words.has(f"ladder.{each}"))
    return _section(words.t("status.measures"), element("ol", join(*lines), class_="lines"))


def _rooms(view: StatusView, words: Words, frame: Frame) -> Safe:
    if not view.open_rooms:
        return Safe("")
    lines = []
    for room in view.open_rooms:
        numbers = view.of(room)
        title = element("a", foreign(room.title, room.language), href=f"{frame.site}/r/{room.room}")
        facts = [pill(words, room.state), element("span", words.n("listeners", numbers.listeners))]
        if numbers.by_beacon:
            facts.append(element("span", words.n("cached", numbers.by_beacon)))
        if numbers.waiting:
            facts.append(element("span", words.n("waiting", numbers.waiting)))
        lines.append(element("li", join(element("p", title), element("p", join(*facts), class_="facts"))))
    return _section(words.t("status.rooms"), element("ul", join(*lines), class_="lines"))


def _listed(title_of_all: Safe, rooms: list[tuple[int, RoomDocument]], words: Words, frame: Frame) -> Safe:
    """Return the first of some rooms, each with its time; nothing where there is none."""
    lines = []
    for at_ns, room in rooms[:_MOST_LISTED]:
        title = element("a", foreign(room.title, room.language), href=f"{frame.site}/r/{room.room}")
        when = words.moment(at_ns, zone_of(room.time_zone))
        lines.append(element("li", join(element("p", title), element("p", when, class_="facts"))))
    return _section(title_of_all, element("ul", join(*lines), class_="lines")) if lines else Safe("")


def _next(view: StatusView, words: Words, frame: Frame, *, copy: bool) -> Safe:
    lines = []
    promised = view.said.next_update_ns if view.said is not None else None
    if promised is not None:
        key = "status.next.at" if promised > view.now_ns else "status.next.late"
        lines.append(words.t(key, when=words.clock(promised, view.zone)))
    if frame.refresh_s is not None:
        lines.append(words.n("status.next.itself", frame.refresh_s))
    if copy:
        lines.append(words.t("status.copy", when=words.clock(view.now_ns, view.zone)))
        go = link(frame.to("/status"), words.t("status.live"))
    elif frame.refresh_s is None:
        again = link(frame.itself(), words.t("status.again"))
        go = join(again, link(frame.itself(still=""), words.t("status.renewing")))
    else:
        lines.append(words.t("line.as-of", when=words.clock(view.now_ns, view.zone)))
        go = link(frame.itself(still="1"), words.t("status.still"))
    said = join(*(element("p", line) for line in lines), element("p", go, class_="row"))
    return _section(words.t("status.next"), said)


@lru_cache(maxsize=8)
def _history(events: tuple[StatusEvent, ...], language: str, zone: tzinfo) -> Safe:
    """Return the longest part of the page, which changes the least."""
    words = Words(language)
    if not events:
        return _section(words.t("status.history"), element("p", words.t("status.history.none")))
    lines = (
        element("li", join(words.moment(event.at_ns, zone), element("p", sentence(event, words)))) for event in events
    )
    return _section(words.t("status.history"), element("ol", join(*lines), class_="lines"))


def _section(title: Safe, content: Safe) -> Safe:
    return element("section", join(element("h2", title), content), class_="card")


def sentence(event: StatusEvent, words: Words) -> Safe:
    """Return what happened, in words."""
    key, step = f"event.{event.kind}", event.step or 0
    if event.kind in (Happening.LADDER_UP, Happening.LADDER_DOWN):
        if not words.has(f"ladder.{step}"):
            return words.t("event.ladder-none")
        return words.t(key, ladder=words.t(f"ladder.{step}"))
    dials = _dials(event.door, words)
    return words.n(key, event.count, title=event.title, text=event.text or "", dials=dials)


def _dials(door: Dials | None, words: Words) -> Safe:
    if door is None or not door.guarded:
        return words.t("dials.none")
    if door.per_second is None:
        return words.n("dials.cap", door.cap or 0)
    if door.cap is None:
        return words.t("dials.rate", rate=float(door.per_second))
    return words.n("dials.both", door.cap, rate=float(door.per_second))


# For programs.


def status_json(view: StatusView) -> dict[str, object]:
    """Return the fields of status.json (docs/design.md)."""
    said = summary(view)
    known, ladder = view.said, view.installation.ladder
    return {
        "summary": said.key,
        "level": said.level,
        "text": _texts(lambda words: [words.t(f"status.{said.key}"), *_more(view, words, said)]),
        "server_time": iso(view.now_ns),
        "control": {"there": view.control_there, "said_at": iso(known.at_ns) if known else None},
        "bus": {"there": view.connected},
        "next_update_at": iso(known.next_update_ns) if known and known.next_update_ns else None,
        "ladder": {
            "step": ladder.step,
            "by_hand": ladder.by_hand,
            "since": iso(ladder.since_ns) if ladder.since_ns else None,
        },
        "rooms": [_room_json(view, room) for room in view.open_rooms],
        "history": list(_events_json(known.events if known else ())),
    }


def _room_json(view: StatusView, room: RoomDocument) -> dict[str, object]:
    numbers = view.of(room)
    return {
        "room": room.room,
        "title": room.title,
        "state": str(room.state),
        "listeners": numbers.listeners,
        "by_beacon": numbers.by_beacon,
        "waiting": numbers.waiting,
        "admitted_per_s": round(numbers.admitted_per_s, 3),
    }


@lru_cache(maxsize=2)
def _events_json(events: tuple[StatusEvent, ...]) -> tuple[dict[str, object], ...]:
    return tuple(_event_json(event) for event in events)


def _event_json(event: StatusEvent) -> dict[str, object]:
    return {
        "at": iso(event.at_ns),
        "kind": str(event.kind),
        "room": event.room,
        "text": _texts(lambda words: [sentence(event, words)]),
    }


def _texts(of: Callable[[Words], list[Safe]]) -> dict[str, str]:
    return {code: " ".join(bare(line) for line in of(Words(code))) for code in LANGUAGES}
