"""Asking a room's origin over the bus: a request, and its result or its refusal as our own error."""

from typing import Protocol

from pydantic import ValidationError

from stentor.bus.port import Core, origin_subject
from stentor.errors import (
    BadRequest,
    BusUnavailable,
    Conflict,
    Forbidden,
    NotAcceptable,
    NotFound,
    OriginUnavailable,
    StentorError,
    TooLarge,
    Unprocessable,
    Unsupported,
)
from stentor.room.requests import Reply

_REFUSALS: dict[int, type[StentorError]] = {
    kind.status: kind
    for kind in (BadRequest, Forbidden, NotFound, NotAcceptable, Conflict, TooLarge, Unprocessable, Unsupported)
}
_AWAY = "Nobody runs this room at the moment. It comes back by itself within seconds: try again."


class _Message(Protocol):
    def to_bytes(self) -> bytes: ...


class Origins:
    """The origins of all rooms, by name of the room."""

    def __init__(self, bus: Core, *, timeout_s: float) -> None:
        self._bus = bus
        self._timeout_s = timeout_s

    async def ask(self, room: str, verb: str, message: _Message) -> dict[str, object]:
        """Return an origin's result; raises OriginUnavailable, or what the origin refused it with."""
        try:
            answer = await self._bus.request(origin_subject(room, verb), message.to_bytes(), timeout_s=self._timeout_s)
            reply = Reply.model_validate_json(answer)
        except (BusUnavailable, ValidationError) as error:
            raise OriginUnavailable(_AWAY) from error
        if reply.problem is not None:
            raise _refusal(reply.problem)
        return reply.result or {}


def _refusal(problem: dict[str, object]) -> StentorError:
    status = problem.get("status")
    kind = _REFUSALS.get(status) if isinstance(status, int) else None
    slug = str(problem.get("type", "")).rpartition(":")[2] or None
    if kind is None:
        return OriginUnavailable(str(problem.get("detail", _AWAY)))
    return kind(str(problem.get("detail", "The room's origin refuses this.")), slug=slug)
