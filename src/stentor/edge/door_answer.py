"""What ``POST /r/{room}/ticket`` asks and answers: read and written by hand, since a whole crowd asks at once."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from stentor.edge.http import CORS, NO_STORE, Response
from stentor.errors import BadRequest, RequestError, TooLarge
from stentor.room.door import TAKE_UP_S, Answer, Because

ASK_BYTES = 4_096
"""A ticket and the solution of a challenge; without one it is a hundred bytes."""
_CHARS = 3_072
_HEADERS = {"Content-Type": "application/json", "Cache-Control": NO_STORE, "X-Content-Type-Options": "nosniff", **CORS}
_EMPTY = Response(200, _HEADERS).head.removesuffix(b"0\r\n")


class DoorError(RequestError):
    """There is a line before this room, and who asks has not been let in."""

    status = 503
    slug = "door"


class ElsewhereError(RequestError):
    """The ticket's holder listens by another connection."""

    status = 409
    slug = "elsewhere"


class Asked(NamedTuple):
    """What somebody sent: the ticket they have, and the solution of the challenge that they were given."""

    ticket: str | None = None
    solution: str | None = None


class TicketResponse(Response):
    """An answer whose headers are made once for all of its length."""

    __slots__ = ()

    def __init__(self, body: bytes) -> None:
        self.status, self.body, self.stream, self.length = 200, body, None, len(body)
        self.head = _EMPTY + b"%d\r\n" % len(body)
        self._whole, self._whole_for = b"", (b"", b"")


def read_ask(body: bytes) -> Asked:
    """Return what was sent; an empty body asks for a first ticket. Raises TooLarge or BadRequest."""
    if len(body) > ASK_BYTES:
        raise TooLarge(f"What asks for a ticket has {ASK_BYTES} bytes at most.")
    if len(body) <= 2 and body in (b"", b"{}"):
        return Asked()
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise BadRequest('Send JSON: {}, or {"ticket": "…"} with the ticket that you have.', slug="bad-ticket")
    return Asked(_text(said, "ticket"), _text(said, "solution"))


def _text(said: Mapping[str, object], name: str) -> str | None:
    value = said.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _CHARS:
        raise BadRequest(f"{name} is text, as it was given.", slug="bad-ticket")
    return value


def admitted(ticket: str, streams: str) -> Response:
    """Return the answer to somebody who is let in; ``streams`` is JSON."""
    said = f'{{"admitted":true,"ticket":"{ticket}","take_up_s":{TAKE_UP_S:g},"streams":{streams}}}'
    return TicketResponse(said.encode())


def waiting(ticket: str, answer: Answer, meanwhile: str) -> Response:
    """Return the answer to somebody in line; ``meanwhile`` is JSON, as ``meanwhile`` makes it."""
    place = "null" if answer.position is None else answer.position
    wait = "null" if answer.wait_s is None else f"[{answer.wait_s[0]:.0f},{answer.wait_s[1]:.0f}]"
    because = "null" if answer.because is None else f'"{answer.because.value}"'
    said = (
        f'{{"admitted":false,"ticket":"{ticket}","position":{place},"wait_s":{wait},'
        f'"retry_after_s":{answer.retry_after_s:.1f},"because":{because},"challenge":null,{meanwhile}}}'
    )
    return TicketResponse(said.encode())


def challenged(challenge: Mapping[str, object], meanwhile: str) -> Response:
    """Return the answer to somebody who has to solve a challenge before they get a ticket."""
    said = (
        f'{{"admitted":false,"ticket":null,"position":null,"wait_s":null,"retry_after_s":0.0,'
        f'"because":"{Because.CHALLENGE.value}","challenge":{_json(challenge)},{meanwhile}}}'
    )
    return TicketResponse(said.encode())


def meanwhile(overflow: str | None, replay: Mapping[str, object] | None) -> str:
    """Return what one can do while one waits, as the last fields of an answer."""
    return f'"overflow":{_json(overflow)},"replay":{_json(replay)}'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
