"""Listeners who raise their hands: ``/r/{room}/hand``, asked of control over the bus (docs/design.md, "Raised hands").

The page's own origin alone may ask: what is sent is JSON, which a page of another origin may send only after it was
allowed to, and it is not. Each address (of IPv6 64 bits), each key and the edge as a whole have limits; the line
itself is bounded where it is kept.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stentor.bus.port import Core, hand_subject
from stentor.clock import Clock
from stentor.edge.addresses import network_of
from stentor.edge.connection import Connection
from stentor.edge.http import NO_STORE, NotAllowed, Request, Response, problem
from stentor.edge.metrics import HANDS
from stentor.edge.room import Room, Spawn
from stentor.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    RequestError,
    StentorError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from stentor.room.hands import HandAnswer, HandAsk
from stentor.room.rate import Rate
from stentor.room.requests import Reply

HAND_BYTES = 1_024
_METHODS = "POST, DELETE"
_ANSWER_S = 3.0
_AT_A_TIME = 64
_CLOSED_S = 30.0
_SLOW_TIMES, _SLOW_MOST_S = 5.0, 25.0
"""Below the 30 s after which a hand is shown as perhaps gone (room/hands)."""
_HEADERS = {"Content-Type": "application/json", "Cache-Control": NO_STORE, "X-Content-Type-Options": "nosniff"}
_ERRORS: dict[int, type[RequestError]] = {400: BadRequest, 403: Forbidden, 404: NotFound}


class HandBody(BaseModel):
    """What a page says: ``key`` is a secret that this browser made; with ``ask`` no hand goes up."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    name: Annotated[str, Field(max_length=500)] = ""
    ask: bool = False


class TooManyHandsError(RequestError):
    """More than the listeners behind one address, or one page, ask for."""

    status = 429
    slug = "too-many-hands"


class Hands:
    """Asks control for the listeners of this edge.

    A mobile carrier has thousands of listeners behind one address, of whom hundreds may wait in a line: an address has
    600 questions at once and 60 more each second, and may raise 60 hands at once and 5 more each second.
    """

    def __init__(self, core: Core, clock: Clock, spawn: Spawn, source_key: bytes) -> None:
        self._core = core
        self._clock = clock
        self._spawn = spawn
        self._source_key = source_key[:64]
        self._asks, self._raises, self._keys = Rate(600, 60), Rate(60, 5), Rate(10, 1)
        self._under_way = 0
        self.slower: Callable[[], bool] = bool
        """Whether the ladder wants to be asked less often."""

    def take(self, connection: Connection, request: Request, room: Room) -> Response | None:
        """Answer, or ask control and answer later. Raises StentorError."""
        if request.method not in ("POST", "DELETE"):
            raise NotAllowed(f"This address knows {_METHODS}.", allow=_METHODS)
        body = _read(request)
        raises = request.method == "POST" and not body.ask
        self._bound(request.address, body.key, raises=raises)
        if raises and not (room.document.hands_open and room.is_open):
            return self._said(HandAnswer(state="closed", retry_after_s=_CLOSED_S))
        if self._under_way >= _AT_A_TIME:
            HANDS.labels("busy").inc()
            raise Unavailable("Many raise their hands at this moment. Try again in a few seconds.")
        verb: Literal["raise", "ask", "lower"] = "lower" if request.method == "DELETE" else "raise" if raises else "ask"
        ask = HandAsk(verb=verb, key=body.key, name=body.name, source=self._source(request.address))
        self._under_way += 1
        self._spawn(self._ask(connection, room.document.room, ask))
        return None

    def _bound(self, address: str, key: str, *, raises: bool) -> None:
        network, now = network_of(address), self._clock.monotonic_ns()
        rate = self._raises if raises else self._asks
        if not rate.take(network, now) or not self._keys.take(key, now):
            HANDS.labels("too-many").inc()
            raise TooManyHandsError("Too much is asked about hands from here. Try again in half a minute.")

    def _source(self, address: str) -> str:
        """Return what tells control which hands come from one address, and not from which."""
        return hashlib.blake2b(network_of(address).encode(), digest_size=8, key=self._source_key).hexdigest()

    async def _ask(self, connection: Connection, room: str, ask: HandAsk) -> None:
        try:
            answer = await self._core.request(hand_subject(room), ask.to_bytes(), timeout_s=_ANSWER_S)
            connection.respond(self._said(_answered(answer)))
        except StentorError as error:
            HANDS.labels("failed").inc()
            connection.respond(problem(error))
        except BaseException:
            connection.abort()
            raise
        finally:
            self._under_way -= 1

    def _said(self, answer: HandAnswer) -> Response:
        if self.slower():
            longer_s = min(_SLOW_TIMES * answer.retry_after_s, max(_SLOW_MOST_S, answer.retry_after_s))
            answer = answer.model_copy(update={"retry_after_s": longer_s})
        HANDS.labels(answer.state).inc()
        return Response(200, _HEADERS, json.dumps(answer.model_dump(), separators=(",", ":")).encode())


def _read(request: Request) -> HandBody:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Unsupported("Send JSON, and say so with Content-Type: application/json.")
    if len(request.body) > HAND_BYTES:
        raise TooLarge(f"This has {HAND_BYTES} bytes at most.")
    try:
        return HandBody.model_validate_json(request.body)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadRequest(f"This raises no hand: {where or 'it'} is not as it should be.", slug="bad-hand") from None


def _answered(payload: bytes) -> HandAnswer:
    """Return what control says; raises its problem."""
    try:
        reply = Reply.model_validate_json(payload)
        if reply.problem is None:
            return HandAnswer.model_validate(reply.result)
    except ValidationError as error:
        raise Unavailable("Control answered what this edge does not understand. Try again in a moment.") from error
    status = reply.problem.get("status")
    kind = _ERRORS.get(status if isinstance(status, int) else 503, Unavailable)
    raise kind(str(reply.problem.get("detail", "")), slug=str(reply.problem.get("type", "")).rpartition(":")[2])


def no_preflight() -> Response:
    """Return the answer to OPTIONS: pages of other origins may not."""
    return Response(204, {"Allow": f"{_METHODS}, OPTIONS", "Cache-Control": NO_STORE})
