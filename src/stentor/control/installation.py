"""What holds for the whole installation: from the catalogue to the bus, with one writer.

Bucket ``installation``, key ``installation``, follows the catalogue's table; SQL is written first. What the bus could
not take then is said again as soon as it is back.
"""

import asyncio
import json
from collections.abc import Callable
from typing import TypedDict, Unpack

from pydantic import ValidationError

from stentor.bus.port import Bus
from stentor.clock import Clock
from stentor.errors import BusUnavailable, StoreUnavailable
from stentor.room.documents import Dials
from stentor.room.installation import KEY, Challenge, InstallationDocument, LadderWord
from stentor.room.permits import Permit
from stentor.store import catalogue
from stentor.telemetry import logger

BUCKET = "installation"
_CHECK_S = 0.5
_PUT_TIMEOUT_S = 3.0
_NEVER_STORED = frozenset({"grants_key"})

log = logger("control")

Changed = Callable[[InstallationDocument], None]
"""Called with the new document on the event loop; must not block and must not raise."""


class InstallationChanges(TypedDict, total=False):
    """What can be changed for the whole installation; see InstallationDocument."""

    door: Dials
    ladder: LadderWord
    challenge: Challenge
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    permits: tuple[Permit, ...]


class Installation:
    """Keeps the installation's document. ``grants_key`` is the raw public key that verifies grants, in hex."""

    def __init__(self, bus: Bus, stored: catalogue.Installation, clock: Clock, grants_key: str) -> None:
        self._bus = bus
        self._catalogue = stored
        self._clock = clock
        self._turn = asyncio.Lock()
        self._behind = True
        self._callbacks: list[Changed] = []
        self._document = InstallationDocument(grants_key=grants_key)

    @property
    def document(self) -> InstallationDocument:
        """Return what holds now. Until it was first read from the catalogue: nothing but the key."""
        return self._document

    def on_change(self, callback: Changed) -> None:
        """Have ``callback`` called whenever another document holds, also when it is first read."""
        self._callbacks.append(callback)

    async def read(self) -> InstallationDocument:
        """Return what the catalogue holds now; raises StoreUnavailable."""
        async with self._turn:
            return await self._load()

    async def change(self, **changes: Unpack[InstallationChanges]) -> InstallationDocument:
        """Change what is given and leave the rest; return what holds now.

        Stored when it returns, and on the bus, or there by itself once the bus is back. Raises StoreUnavailable.
        """
        async with self._turn:
            held = await self._load()
            document = held.model_copy(update=dict(changes))
            values = document.model_dump(mode="json", include=set(changes))
            await self._catalogue.put_installation({key: json.dumps(value) for key, value in values.items()})
            self._take(document)
            await self._put()
            return document

    async def run(self) -> None:
        """Say it at the start and whenever the bus comes back, for ever."""
        while True:
            if not self._bus.connected:
                self._behind = True
            elif self._behind:
                await self._say()
            await self._clock.sleep(_CHECK_S)

    async def _say(self) -> None:
        async with self._turn:
            try:
                await self._load()
            except StoreUnavailable as error:
                log.warning("installation_not_said", error=error.detail)
            else:
                await self._put()

    async def _load(self) -> InstallationDocument:
        values = await self._catalogue.installation()
        document = InstallationDocument(grants_key=self._document.grants_key)
        for key in InstallationDocument.model_fields.keys() & values.keys() - _NEVER_STORED:
            try:
                given = InstallationDocument.model_validate_json(f'{{"{key}": {values[key]}}}')
            except ValidationError as error:
                log.error("installation_garbled", key=key, errors=error.error_count())
            else:
                document = document.model_copy(update={key: getattr(given, key)})
        self._take(document)
        return document

    def _take(self, document: InstallationDocument) -> None:
        if document == self._document:
            return
        self._document = document
        self._behind = True
        for callback in self._callbacks:
            callback(document)

    async def _put(self) -> None:
        value = self._document.to_bytes()
        try:
            async with asyncio.timeout(_PUT_TIMEOUT_S):
                held = await self._bus.get(BUCKET, KEY)
                if held is None or held.value != value:
                    await self._bus.put(BUCKET, KEY, value)
            self._behind = False
        except (BusUnavailable, TimeoutError) as error:
            log.warning("installation_not_said", error=str(error))
