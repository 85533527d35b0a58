"""Beacons: what players say of themselves, summed (docs/design.md, "Listeners").

A beacon is at most 1 kB of JSON, every number of it bounded; one that breaks a bound is refused whole. Its numbers are
added up by transport; nothing of a single player is kept but its place in the table of ``by_beacon``. Anybody can
say anything: an address has 300 beacons at once and 10 more each second, at each edge.
"""

import hashlib
from bisect import bisect_left
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stentor.clock import MonotonicNs
from stentor.edge.addresses import network_of
from stentor.edge.metrics import BEACONS, REPORTED_JOIN, REPORTED_LATENCY, REPORTED_PLAYED, REPORTED_STALLED, STALLS
from stentor.errors import BadRequest, RequestError, TooLarge
from stentor.room.documents import JOIN_BOUNDS_MS, LATENCY_BOUNDS_MS, PlayersReport
from stentor.room.rate import Rate

BEACON_BYTES = 1_024
_BURST, _PER_S = 300.0, 10.0
_MAX_TICKET = 64

_Count = Annotated[int, Field(ge=0, le=1_000)]
_Ms = Annotated[int, Field(ge=0, le=600_000)]


class BeaconTransport(StrEnum):
    """How a player says that it listens."""

    PUSH = "push"
    HLS = "hls"
    PROGRESSIVE = "progressive"


class Beacon(BaseModel):
    """What one player says since its last beacon. Times in milliseconds; ``bye``: it leaves now."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    player: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    ticket: Annotated[str, Field(max_length=_MAX_TICKET)] | None = None
    transport: Annotated[BeaconTransport, Field(strict=False)]
    join_ms: _Ms | None = None
    stalls: _Count = 0
    stall_ms: _Ms = 0
    played_ms: _Ms = 0
    latency_ms: _Ms | None = None
    bye: bool = False


class TooManyBeaconsError(RequestError):
    """More beacons than the listeners behind one address send."""

    status = 429
    slug = "too-many-beacons"


def read_beacon(body: bytes) -> Beacon:
    """Return a beacon; raises TooLarge or BadRequest."""
    if len(body) > BEACON_BYTES:
        BEACONS.labels("too-large").inc()
        raise TooLarge(f"A beacon has {BEACON_BYTES} bytes at most.")
    try:
        return Beacon.model_validate_json(body)
    except ValidationError as error:
        BEACONS.labels("garbled").inc()
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadRequest(f"This is no beacon: {where or 'it'} is not as it should be.", slug="bad-beacon") from None


class BeaconRate:
    """How often players behind one address (of IPv6 the first 64 bits) may send a beacon."""

    def __init__(self) -> None:
        self._rate = Rate(_BURST, _PER_S)

    def take(self, address: str, now: MonotonicNs) -> None:
        """Count a beacon; raises TooManyBeaconsError when it is one too many."""
        if not self._rate.take(network_of(address), now):
            BEACONS.labels("too-many").inc()
            raise TooManyBeaconsError("Too many beacons come from here.")


class BeaconSums:
    """What the players of one room and transport reported to this edge since it began."""

    __slots__ = ("_transport", "beacons", "join", "latency", "played_ms", "stall_ms", "stalls")

    def __init__(self, transport: BeaconTransport) -> None:
        self._transport = transport.value
        self.beacons = self.stalls = self.stall_ms = self.played_ms = 0
        self.join = [0] * (len(JOIN_BOUNDS_MS) + 1)
        self.latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)

    def add(self, beacon: Beacon) -> None:
        """Add what a player says."""
        BEACONS.labels("taken").inc()
        self.beacons += 1
        if beacon.join_ms is not None:
            self.join[bisect_left(JOIN_BOUNDS_MS, beacon.join_ms)] += 1
            REPORTED_JOIN.labels(self._transport).observe(beacon.join_ms / 1000)
        if beacon.latency_ms is not None:
            self.latency[bisect_left(LATENCY_BOUNDS_MS, beacon.latency_ms)] += 1
            REPORTED_LATENCY.labels(self._transport).observe(beacon.latency_ms / 1000)
        self.stalls += beacon.stalls
        self.stall_ms += beacon.stall_ms
        self.played_ms += beacon.played_ms
        STALLS.labels(self._transport).inc(beacon.stalls)
        REPORTED_STALLED.labels(self._transport).inc(beacon.stall_ms / 1000)
        REPORTED_PLAYED.labels(self._transport).inc(beacon.played_ms / 1000)

    def report(self) -> PlayersReport:
        """Return the sums as they are told."""
        return PlayersReport(
            beacons=self.beacons,
            join=tuple(self.join),
            latency=tuple(self.latency),
            stalls=self.stalls,
            stall_ms=self.stall_ms,
            played_ms=self.played_ms,
        )


def origin_key(address: str, user_agent: str) -> bytes:
    """Return what tells players without a ticket apart."""
    return hashlib.blake2b(f"{address}\0{user_agent}".encode(), digest_size=8).digest()
