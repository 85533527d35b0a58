"""From the catalogue to the bus: bucket ``rooms`` follows SQL, and control is its only writer.

SQL is written first. What the bus could not take then is said again as soon as it is back.
"""

import asyncio

from stentor.bus.port import Bus
from stentor.clock import Clock
from stentor.control.shaper import room_document
from stentor.errors import BusUnavailable, StoreUnavailable
from stentor.store.catalogue import Room, Rooms
from stentor.telemetry import logger

BUCKET = "rooms"
_CHECK_S = 0.5
_PUT_TIMEOUT_S = 3.0

log = logger("control")


class Publisher:
    """Says rooms on the bus, one at a time, so that the last thing said is the newest."""

    def __init__(self, bus: Bus, catalogue: Rooms, clock: Clock, key_fingerprint: str) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._clock = clock
        self._key_fingerprint = key_fingerprint
        self._turn = asyncio.Lock()
        self._behind = True

    async def say(self, room: str) -> None:
        """Put what the catalogue holds of a room on the bus; if the bus is away, later and by itself."""
        async with self._turn:
            try:
                stored = await self._catalogue.room(room)
                if stored is not None:
                    await self._put(stored)
            except (BusUnavailable, StoreUnavailable, TimeoutError) as error:
                self._behind = True
                log.warning("room_not_said", room=room, error=str(error))

    async def unsay(self, room: str) -> None:
        """Take a room off the bus; raises BusUnavailable."""
        async with self._turn:
            await self._bus.delete(BUCKET, room)

    async def run(self) -> None:
        """Say everything at the start and whenever the bus comes back, for ever."""
        while True:
            if not self._bus.connected:
                self._behind = True
            elif self._behind:
                await self._say_all()
            await self._clock.sleep(_CHECK_S)

    async def _say_all(self) -> None:
        self._behind = False
        try:
            rooms = await self._catalogue.rooms()
        except StoreUnavailable as error:
            self._behind = True
            log.warning("rooms_not_said", error=error.detail)
            return
        for room in rooms:
            await self.say(room.room)
        log.info("rooms_said", rooms=len(rooms), complete=not self._behind)

    async def _put(self, room: Room) -> None:
        value = room_document(room, self._key_fingerprint).to_bytes()
        async with asyncio.timeout(_PUT_TIMEOUT_S):
            held = await self._bus.get(BUCKET, room.room)
            if held is None or held.value != value:
                await self._bus.put(BUCKET, room.room, value)
