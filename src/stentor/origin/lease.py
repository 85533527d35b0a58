"""Which host runs a room: the lease, and when another host's lease may be taken over."""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from stentor.bus.port import Bus, Document
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.errors import BusUnavailable
from stentor.telemetry import logger

RENEW_S = 4.0
_RETRY_S = 1.0
_LOOK_S = 0.25
# A stage document comes at least once a second; three missing ones mean that the origin is gone.
_SILENT_S = 3.0
# A holder that has not been heard yet may still be starting.
_STARTING_S = 10.0
# A lease in our own name is from an earlier life of this host: its processes died with it.
_OWN_SILENT_S = 1.5
_BUCKET = "leases"

log = logger("origin")


@dataclass(slots=True)
class _Seen:
    """What was seen of a room's lease and its origin."""

    document: Document | None = None
    holder: tuple[str, str] = ("", "")
    holder_since: MonotonicNs = MonotonicNs(0)
    heard: MonotonicNs | None = None


@dataclass
class Leases:
    """The leases of all rooms as this host sees them, and its own.

    ``name`` is the machine's, ``stagger`` returns a random 0 to 0.3 s. The host feeds ``see`` from the bucket and
    ``hear`` from the stage documents. No loss of a lease stops sound by itself: the log's fence decides.
    """

    bus: Bus
    clock: Clock
    name: str
    stagger: Callable[[], float]
    instance: str = field(default_factory=lambda: secrets.token_hex(8))
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _listening_since: MonotonicNs | None = None

    def see(self, document: Document) -> None:
        """Note what the bucket says of a room."""
        seen = self._seen.setdefault(document.key, _Seen())
        seen.document = document if document.value is not None else None
        holder = _holder(document)
        if holder != seen.holder:
            seen.holder, seen.holder_since, seen.heard = holder, self.clock.monotonic_ns(), None

    def hear(self, room: str) -> None:
        """Note a sign of life of a room's origin."""
        self._seen.setdefault(room, _Seen()).heard = self.clock.monotonic_ns()

    def silent_for_s(self, room: str, since: MonotonicNs) -> float:
        """Return for how long nothing was heard of a room's origin, counted from ``since`` at the earliest.

        Zero while the bus is away: then nothing can be heard.
        """
        now = self.clock.monotonic_ns()
        if not self.bus.connected or self._listening_since is None:
            self._listening_since = now
        heard = self._seen.setdefault(room, _Seen()).heard or since
        return (now - max(heard, since, self._listening_since)) / NS_PER_S

    def held_elsewhere(self, room: str) -> str | None:
        """Return the name of the other host whose lease stands, if one does."""
        seen = self._seen.get(room)
        return seen.holder[0] if seen and seen.document and seen.holder[0] != self.name else None

    async def acquire(self, room: str, *, handicap_s: float, wanted: Callable[[], bool]) -> int | None:
        """Return the revision of our lease once we have it; None when ``wanted`` turns false before."""
        while wanted():
            try:
                revision = await self._try(room, handicap_s)
            except BusUnavailable:
                revision = None
            if revision is not None:
                return revision
            await self.clock.sleep(_LOOK_S)
        return None

    async def _try(self, room: str, handicap_s: float) -> int | None:
        seen = self._seen.setdefault(room, _Seen())
        if seen.document is None:
            await self.clock.sleep(handicap_s)
            return await self.bus.create(_BUCKET, room, self._value())
        if not self._given_up(room, seen):
            return None
        document = seen.document
        if seen.holder[0] != self.name:
            await self.clock.sleep(self.stagger())
            if seen.document is not document or not self._given_up(room, seen):
                return None
            log.warning("lease_taken_over", room=room, from_host=seen.holder[0])
        return await self.bus.update(_BUCKET, room, self._value(), revision=document.revision)

    def _given_up(self, room: str, seen: _Seen) -> bool:
        if seen.holder == (self.name, self.instance):
            return True
        if seen.holder[0] == self.name:
            return seen.heard is None or self.silent_for_s(room, seen.holder_since) > _OWN_SILENT_S
        patience = _STARTING_S if seen.heard is None else _SILENT_S
        return self.silent_for_s(room, seen.holder_since) > patience

    async def keep(self, room: str, revision: int, each_renewal: Callable[[], Awaitable[None]]) -> None:
        """Renew our lease until somebody else has it; a renewal that fails is only repeated.

        ``each_renewal`` is called each time, for what must be looked at now and then.
        """
        pause = RENEW_S
        while True:
            await self.clock.sleep(pause)
            await each_renewal()
            try:
                renewed = await self._renew(room, revision)
            except BusUnavailable as error:
                log.warning("lease_not_renewed", room=room, error=error.detail)
                pause = _RETRY_S
                continue
            if renewed is None:
                return
            revision, pause = renewed, RENEW_S

    async def _renew(self, room: str, revision: int) -> int | None:
        """Return the lease's new revision, or None when it is another's."""
        renewed = await self.bus.update(_BUCKET, room, self._value(), revision=revision)
        if renewed is not None:
            return renewed
        there = await self.bus.get(_BUCKET, room)
        if there is None:
            return await self.bus.create(_BUCKET, room, self._value())
        # An earlier renewal may have been stored although nobody told us; what names nobody is nobody's.
        return there.revision if _holder(there) in ((self.name, self.instance), ("", "")) else None

    async def release(self, room: str) -> None:
        """Delete our lease, so that nobody has to wait for its end."""
        try:
            there = await self.bus.get(_BUCKET, room)
            if there is not None and _holder(there) == (self.name, self.instance):
                await self.bus.delete(_BUCKET, room)
        except BusUnavailable:
            log.warning("lease_not_released", room=room)

    def _value(self) -> bytes:
        return json.dumps({"host": self.name, "instance": self.instance}).encode()


def _holder(document: Document) -> tuple[str, str]:
    """Return (host, instance) of a lease; empty where there is none or it cannot be read."""
    try:
        value = json.loads(document.value or b"{}")
        return str(value.get("host", "")), str(value.get("instance", ""))
    except (ValueError, AttributeError, RecursionError):
        return "", ""
