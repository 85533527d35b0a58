"""Permits to rehearse at this edge: read once, then looked at with each ticket that a generator asks for.

A permit is good while the installation lists it (room/installation) and within its times, for its room. It bounds how
many tickets are given out for it, and how fast: each edge keeps its share of that, with room for edges that are chosen
unevenly.
"""

from collections import OrderedDict

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.http import NO_STORE, Request, Response, json_response
from stentor.edge.installation import Installation
from stentor.edge.metrics import REHEARSED
from stentor.edge.room import Room
from stentor.errors import Forbidden, RequestError
from stentor.room.installation import InstallationDocument
from stentor.room.permits import HEADER, Permit, PermitReader

_MOST_READ = 64
_UNEVEN = 1.5
_AGAIN = 1.1
"""Tickets a listener, at most: an answer that did not arrive is asked for again."""
_SLACK = 64
_NAME = HEADER.lower()


class PermitSpentError(RequestError):
    """More, or faster, than the permit allows."""

    status = 429
    slug = "permit-spent"


class _Used:
    """What has been given out here for one permit."""

    __slots__ = ("at", "left", "tickets")

    def __init__(self, now: MonotonicNs) -> None:
        self.tickets = 0
        self.left = 0.0
        self.at = now - NS_PER_S


class Permits:
    """Reads and bounds permits, by the installation's document."""

    def __init__(self, installation: Installation, clock: Clock) -> None:
        self._clock = clock
        self._reader: PermitReader | None = None
        self._key = ""
        self._read: OrderedDict[str, Permit] = OrderedDict()
        self._used: dict[str, _Used] = {}
        self._listed: frozenset[str] = frozenset()
        installation.changed(self._take)

    def _take(self, document: InstallationDocument) -> None:
        self._listed = frozenset(permit.id for permit in document.permits)
        self._used = {key: used for key, used in self._used.items() if key in self._listed}
        if document.grants_key != self._key:
            self._key = document.grants_key
            self._read.clear()
            try:
                self._reader = PermitReader(self._key) if self._key else None
            except ValueError:
                self._reader = None

    def rehearses(self, request: Request, room: Room) -> bool:
        """Tell whether a request is a generator's; raises Forbidden when its permit is not good."""
        token = request.headers.get(_NAME)
        if token is None:
            return False
        self._permit(token, room)
        return True

    def take(self, request: Request, room: Room) -> bool:
        """Tell the same of a request for a new ticket, and count it; raises PermitSpentError beyond the bounds."""
        token = request.headers.get(_NAME)
        if token is None:
            return False
        try:
            permit = self._permit(token, room)
        except Forbidden:
            REHEARSED.labels("refused").inc()
            raise
        self._count(permit, room.audience.edges())
        REHEARSED.labels("given").inc()
        return True

    def _permit(self, token: str, room: Room) -> Permit:
        """Return a permit that is in force for a room."""
        permit = self._read.get(token)
        if permit is None:
            if self._reader is None:
                raise Forbidden("This edge does not know the installation's key yet.", slug="permit-invalid")
            permit = self._read[token] = self._reader.read(token)
            if len(self._read) > _MOST_READ:
                self._read.popitem(last=False)
        if permit.room != room.document.room:
            raise Forbidden(f"This permit is for the room {permit.room}.", slug="permit-invalid")
        now_s = self._clock.wall_ns() // NS_PER_S
        if permit.id not in self._listed or not permit.begins_s <= now_s < permit.expires_s:
            raise Forbidden(
                "This permit is not in force now: it has not begun, is over, or was taken back.", slug="permit-over"
            )
        return permit

    def _count(self, permit: Permit, edges: int) -> None:
        now = self._clock.monotonic_ns()
        used = self._used.get(permit.id)
        if used is None:
            used = self._used[permit.id] = _Used(now)
        share = 1.0 if edges == 1 else min(1.0, _UNEVEN / edges)
        per_s = permit.per_second * share * _AGAIN
        used.left = min(max(_SLACK, 2 * per_s), used.left + (now - used.at) / NS_PER_S * per_s)
        used.at = now
        if used.left < 1.0 or used.tickets >= permit.listeners * share * _AGAIN + _SLACK:
            REHEARSED.labels("spent").inc()
            raise PermitSpentError("More listeners than this permit allows, or faster. Come again in a moment.")
        used.left -= 1.0
        used.tickets += 1

    def acceptance(self, request: Request, room: Room) -> Response:
        """Answer a generator that asks whether it may come. Raises Forbidden."""
        token = request.headers.get(_NAME)
        if token is None:
            raise Forbidden(f"Send a permit in the header {HEADER}.", slug="permit-missing")
        permit = self._permit(token, room)
        said = permit.model_dump(include={"room", "listeners", "per_second", "expires_s"})
        return json_response({"accepted": True, **said}, cache=NO_STORE)
