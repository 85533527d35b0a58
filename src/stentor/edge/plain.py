"""Pages for browsers without JavaScript: a room's door, and the way to it."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from stentor.clock import Clock
from stentor.edge.http import NO_STORE, Request, Response
from stentor.edge.refusal import html_response, language_of
from stentor.edge.room import Room
from stentor.plain.door import Answer, DoorView, door_page
from stentor.plain.page import Frame
from stentor.plain.words import Words
from stentor.room.states import OPEN_STATES, RoomState
from stentor.room.status import StatusEvent

Ask = Callable[[Request, Room], Response]
"""What answers ``POST /r/{room}/ticket``."""

Happened = Callable[[str], tuple[StatusEvent, ...]]
"""Returns what happened in a room lately, the newest first."""

_TICKET_CHARACTERS = 64
_EVENTS = 5


class Plain:
    """The door's page. Who has no ticket gets one in the address, so that loading it anew keeps their place."""

    def __init__(self, clock: Clock, ask: Ask, happened: Happened) -> None:
        self._clock = clock
        self._ask = ask
        self._happened = happened

    def door(self, request: Request, room: Room) -> Response:
        """Return the page of a room's door as it is for this ticket."""
        asked, language = language_of(request)
        path, answer = f"/r/{room.document.room}/door", None
        ticket = request.query.get("ticket", "")[:_TICKET_CHARACTERS]
        if room.document.state in OPEN_STATES | {RoomState.SCHEDULED}:
            answer = self._answer(request, room, ticket)
            if answer.admitted and room.document.state is RoomState.SCHEDULED:
                answer, ticket = None, ""  # There is no line, and nothing to come into yet.
            elif answer.ticket and answer.ticket != ticket:
                ticket = answer.ticket
                if not answer.admitted:
                    return _to(Frame(path, {"ticket": ticket}, None, asked).itself())
        else:
            room.state_bytes()  # Has the replay asked for, if it is not known.
        people = room.stage.people if room.stage is not None else ()
        view = DoorView(
            room.document,
            self._clock.wall_ns(),
            answer,
            room.replay,
            tuple(person.name for person in people if person.connected),
            self._happened(room.document.room)[:_EVENTS],
        )
        frame = Frame(path, {"ticket": ticket} if ticket else {}, None, asked)
        return html_response(200, door_page(view, Words(language), frame))

    def _answer(self, request: Request, room: Room, ticket: str) -> Answer:
        """Ask the door as a page with a script does."""
        body = json.dumps({"ticket": ticket}).encode() if ticket else b"{}"
        asked = replace(request, method="POST", path=f"/r/{room.document.room}/ticket", query={}, body=body)
        return Answer.model_validate_json(self._ask(asked, room).body)


def to_plain(request: Request, room: str | None) -> Response:
    """Send a browser that runs no script from a page that needs one to one that does not."""
    asked, _ = language_of(request)
    path = "/status" if room is None else f"/r/{quote(room, safe='')}/door"
    return _to(Frame(path, {}, None, asked).itself())


def _to(address: str) -> Response:
    return Response(303, {"Location": address, "Cache-Control": NO_STORE})
