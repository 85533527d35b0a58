"""The archive: one task for each room that is open, or over and not yet put away."""

import asyncio
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import Gauge
from pydantic import ValidationError

from stentor.archive.room import ENDED_STATES, Means, RoomArchive, wipe
from stentor.bus.port import Bus, Document
from stentor.clock import Clock
from stentor.errors import Unavailable
from stentor.room.documents import RoomDocument
from stentor.room.states import OPEN_STATES
from stentor.store.object_port import Objects
from stentor.telemetry import logger

GRACE_S = 600.0
CHECKPOINT_S = 4.0

_ROOMS = Gauge("stentor_archive_rooms", "Rooms the archive is at work on")

log = logger("archive")


class Archive:
    """Log to objects, for every room of the installation. Only one runs at a time; a second would do no harm."""

    def __init__(  # noqa: PLR0913 - the means of a process, named at its one call in app
        self,
        bus: Bus,
        objects: Objects,
        clock: Clock,
        key: Ed25519PrivateKey,
        scratch: Path,
        *,
        grace_s: float = GRACE_S,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        """``scratch``: a folder for half-made recordings; ``grace_s`` and ``checkpoint_s``: see ``Means``."""
        scratch.mkdir(parents=True, exist_ok=True)
        self._means = Means(bus, objects, clock, key, scratch, grace_s, checkpoint_s)
        self._rooms: dict[str, tuple[RoomArchive, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Watch the rooms and archive them, for ever."""
        async with asyncio.TaskGroup() as group:
            async for document in self._means.bus.watch("rooms"):
                if document is not None:
                    await self._changed(document, group)

    async def _changed(self, stored: Document, group: asyncio.TaskGroup) -> None:
        if stored.value is None:
            await self._deleted(stored.key)
            return
        try:
            document = RoomDocument.model_validate_json(stored.value)
        except ValidationError as error:
            log.error("room_document_garbled", room=stored.key, reason=str(error))
            return
        known = self._rooms.get(stored.key)
        if known is not None and known[0].document.zero_ns == document.zero_ns:
            known[0].document = document
        elif document.state in OPEN_STATES | ENDED_STATES:
            await self._stop(stored.key)
            archive = RoomArchive(self._means, document)
            self._rooms[stored.key] = (archive, group.create_task(self._work(archive)))

    async def _work(self, archive: RoomArchive) -> None:
        with _ROOMS.track_inprogress():
            await archive.run()

    async def _stop(self, room: str) -> None:
        known = self._rooms.pop(room, None)
        if known is not None:
            known[1].cancel()
            await asyncio.wait([known[1]])

    async def _deleted(self, room: str) -> None:
        """Forget a room that an operator has deleted, its recording included."""
        await self._stop(room)
        try:
            await wipe(self._means.objects, room)
            await self._means.bus.purge(room)
            log.info("room_deleted", room=room)
        except Unavailable as error:
            log.error("deleted_room_not_wiped", room=room, reason=error.detail)
