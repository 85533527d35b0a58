"""Keeps the status: told what documents and reports say, it writes down what is new in them. No clock inside."""

from dataclasses import dataclass, field

from stentor.room.documents import AudienceReport, RoomDocument, StageDocument
from stentor.room.installation import InstallationDocument
from stentor.room.states import OPEN_STATES, RoomState
from stentor.room.status import KEPT_EVENTS, KEPT_NS, Happening, RoomLine, StatusDocument, StatusEvent

EDGE_SILENT_NS = 8_000_000_000
"""Edges with listeners report every 2 s (AudienceReport)."""
_FORGET_EDGE_NS = 3600 * 1_000_000_000
_MAX_EDGES = 1_000
_ONE_ACT_NS = 60_000_000_000
"""The same again within this is one event: somebody turns a dial, several edges go at once."""
_TURNED = frozenset({Happening.ROOM_DOOR, Happening.DOOR, Happening.LADDER_UP, Happening.LADDER_DOWN})
_COUNTED = frozenset({Happening.EDGE_LOST, Happening.EDGE_BACK, Happening.EDGE_RESTARTED})
_ARRIVED = {
    RoomState.LOBBY: Happening.OPENED,
    RoomState.LIVE: Happening.STARTED,
    RoomState.HELD: Happening.HELD,
    RoomState.ENDED: Happening.ENDED,
    RoomState.PUBLISHED: Happening.REPLAY,
}


@dataclass(slots=True)
class _Edge:
    at_ns: int
    started_ns: int
    listeners: dict[str, int] = field(default_factory=dict)
    lost: bool = False

    @property
    def holds(self) -> int:
        return sum(self.listeners.values())


class StatusBook:
    """The history and what it was made of.

    What is told before ``follow`` is how things already were: it is compared with what ``resume`` brought, if that
    knew the room, and is no event otherwise.
    """

    def __init__(self) -> None:
        self.changed = False
        self._lines: dict[str, RoomLine] = {}
        self._events: list[StatusEvent] = []
        self._next_update_ns: int | None = None
        self._ladder, self._door = 0, StatusDocument(at_ns=0).door
        self._edges: dict[str, _Edge] = {}
        self._following = False
        self._number = 0

    def resume(self, document: StatusDocument) -> None:
        """Go on from what was last said."""
        self._lines = {line.room: line for line in document.rooms}
        self._events = list(document.events)
        self._next_update_ns = document.next_update_ns
        self._ladder, self._door = document.ladder, document.door

    def follow(self) -> None:
        """From now on a room that was never heard of is new."""
        self._following = True

    def document(self, now_ns: int) -> StatusDocument:
        """Return the status; drafts are nobody's business."""
        self._events = [event for event in self._events if event.at_ns > now_ns - KEPT_NS][:KEPT_EVENTS]
        return StatusDocument(
            at_ns=now_ns,
            next_update_ns=self._next_update_ns,
            ladder=self._ladder,
            door=self._door,
            rooms=tuple(line for line in self._lines.values() if line.state is not RoomState.DRAFT),
            events=tuple(self._events),
        )

    # What is heard.

    def take_room(self, document: RoomDocument, now_ns: int) -> None:
        """Take control's word on a room."""
        known = self._lines.get(document.room)
        said = document.announcement
        self._lines[document.room] = (known or _line(document)).model_copy(
            update={
                "title": document.title,
                "state": document.state,
                "announced_ns": said.at_ns if said else 0,
                "door": document.door,
            }
        )
        if document.state is RoomState.DRAFT or (known is None and not self._following):
            return
        was = known.state if known is not None else RoomState.DRAFT
        if document.state is not was:
            self._moved(document, was, now_ns)
        if said is not None and said.at_ns != (known.announced_ns if known else 0):
            self._note(Happening.ANNOUNCED, said.at_ns, document.room, document.title, text=said.text)
        if known is not None and document.door != known.door:
            self._note(Happening.ROOM_DOOR, now_ns, document.room, document.title, door=document.door)

    def _moved(self, document: RoomDocument, was: RoomState, now_ns: int) -> None:
        kind, at_ns = _ARRIVED.get(document.state), now_ns
        if document.state is RoomState.LIVE and was is RoomState.HELD:
            kind = Happening.RESUMED
        elif document.state is RoomState.LIVE:
            at_ns = document.started_ns or now_ns
        elif document.state is RoomState.ENDED:
            at_ns = document.ended_ns or now_ns
        elif document.state is RoomState.PUBLISHED and not document.recorded:
            kind = None
        if kind is not None:
            self._note(kind, at_ns, document.room, document.title)

    def forget_room(self, room: str) -> None:
        """Forget a room that was deleted, and what happened in it."""
        if self._lines.pop(room, None) is not None:
            self._events = [event for event in self._events if event.room != room]
            self.changed = True

    def take_stage(self, stage: StageDocument, now_ns: int) -> None:
        """Take an origin's word: another epoch of an open room is another origin's."""
        line = self._lines.get(stage.room)
        if line is None or stage.epoch <= line.epoch:
            return
        self._lines[stage.room] = line.model_copy(update={"epoch": stage.epoch})
        if line.epoch > 0 and line.state in OPEN_STATES:
            self._note(Happening.ORIGIN_MOVED, now_ns, stage.room, line.title)

    def take_installation(self, document: InstallationDocument, now_ns: int) -> None:
        """Take what holds for the whole installation: the ladder and the door."""
        step = document.ladder.step
        if step != self._ladder:
            kind = Happening.LADDER_UP if step > self._ladder else Happening.LADDER_DOWN
            self._ladder = step
            self._note(kind, now_ns, step=step)
        if document.door != self._door:
            self._door = document.door
            self._note(Happening.DOOR, now_ns, door=document.door)

    def take_report(self, room: str, report: AudienceReport, now_ns: int) -> None:
        """Take an edge's count."""
        edge = self._edges.get(report.edge)
        if edge is None:
            if len(self._edges) >= _MAX_EDGES:
                return
            edge = self._edges[report.edge] = _Edge(now_ns, report.started_ns)
        if edge.lost:
            self._note(Happening.EDGE_BACK, now_ns)
        elif edge.started_ns != report.started_ns and edge.holds:
            self._note(Happening.EDGE_RESTARTED, now_ns)
        if edge.started_ns != report.started_ns:
            edge.listeners.clear()
        edge.at_ns, edge.started_ns, edge.lost = now_ns, report.started_ns, False
        edge.listeners[room] = max(0, report.listeners)

    def count(self, room: str, *, listeners: int, by_beacon: int, waiting: int, admitted_per_s: float) -> None:
        """Take the numbers of a room as they are now; they are no event."""
        line = self._lines.get(room)
        if line is not None:
            numbers = {"listeners": listeners, "by_beacon": by_beacon, "waiting": waiting}
            self._lines[room] = line.model_copy(update={**numbers, "admitted_per_s": admitted_per_s})

    def rooms(self) -> tuple[str, ...]:
        """Return the rooms that are open."""
        return tuple(room for room, line in self._lines.items() if line.state in OPEN_STATES)

    def tick(self, now_ns: int, *, hearing: bool) -> None:
        """Once a second: see who has fallen silent. ``hearing``: the bus answers; while it does not, nobody is lost."""
        for name, edge in list(self._edges.items()):
            if not hearing:
                edge.at_ns = now_ns
            elif edge.holds and not edge.lost and now_ns - edge.at_ns > EDGE_SILENT_NS:
                edge.lost = True
                self._note(Happening.EDGE_LOST, now_ns)
            elif now_ns - edge.at_ns > _FORGET_EDGE_NS:
                del self._edges[name]

    # The operator's own words.

    def say(self, text: str, now_ns: int, *, next_update_ns: int | None) -> StatusEvent:
        """Write down what the operator says, and when they promise to say more (None: they promise nothing)."""
        self._next_update_ns = next_update_ns
        return self._note(Happening.SAID, now_ns, text=text)

    def take_back(self, event: str) -> StatusEvent | None:
        """Take back the operator's words of an id, and the promise if they were the last; return them, or None."""
        said = [each for each in self._events if each.kind is Happening.SAID]
        found = next((each for each in said if each.id == event), None)
        if found is not None:
            self._events.remove(found)
            if found is said[0]:
                self._next_update_ns = None
            self.changed = True
        return found

    def _note(
        self, kind: Happening, at_ns: int, room: str | None = None, title: str = "", **more: object
    ) -> StatusEvent:
        self._number += 1
        values = {"id": f"{at_ns // 1_000_000:x}{self._number % 4096:03x}", "at_ns": at_ns, "kind": kind}
        event = StatusEvent.model_validate({**values, "room": room, "title": title, **more})
        last = self._events[0] if self._events else None
        again = last is not None and last.kind is kind and last.room == room and at_ns - last.at_ns < _ONE_ACT_NS
        if last is not None and again and kind in _TURNED:
            self._events[0] = event
        elif last is not None and again and kind in _COUNTED:
            self._events[0] = event = last.model_copy(update={"count": last.count + 1})
        else:
            self._events.insert(0, event)
            self._events.sort(key=lambda each: each.at_ns, reverse=True)
        self.changed = True
        return event


def _line(document: RoomDocument) -> RoomLine:
    return RoomLine(room=document.room, title=document.title, state=document.state)
