"""Gathers the status from what rooms, origins, edges, the door and operators say, and says it on the bus.

Bucket ``installation``, key ``status`` (room/status): control is its only writer and goes on from it at its next start.
What the bus could not take is said again as soon as it is back.
"""

import asyncio
import json
from collections.abc import Callable

from pydantic import ValidationError

from stentor.bus.port import Document, live_audience_subject
from stentor.clock import NS_PER_S, MonotonicNs
from stentor.control.parts import Parts
from stentor.control.staff import Staff
from stentor.errors import BusUnavailable, NotFound
from stentor.plain.known import Known
from stentor.room.documents import AudienceReport, RoomDocument, StageDocument
from stentor.room.installation import KEY as INSTALLATION_KEY
from stentor.room.installation import InstallationDocument
from stentor.room.names import one_line
from stentor.room.status import COPY_SUBJECT, KEY, SAID_EVERY_NS, CopyReport, StatusDocument, StatusEvent
from stentor.room.status_book import StatusBook
from stentor.store.catalogue import AuditEntry
from stentor.telemetry import logger

BUCKET = "installation"
TEXT_MAX_CHARACTERS = 500
_TICK_S = 1.0
_PUT_TIMEOUT_S = 3.0
_COPY_NS = 90 * NS_PER_S

log = logger("control")


class StatusRules:
    """The status, as everybody may know it."""

    def __init__(self, parts: Parts) -> None:
        self._bus = parts.bus
        self._catalogue = parts.catalogue
        self._clock = parts.clock
        self._crowd = parts.hub.crowd
        self._book = StatusBook()
        self._doors = Known()
        self._turn = asyncio.Lock()
        self._said_at: MonotonicNs | None = None
        self._behind = False
        self._copy: tuple[MonotonicNs, CopyReport] | None = None

    def shown(self) -> StatusDocument:
        """Return the status as it is."""
        return self._book.document(self._clock.wall_ns())

    def copy(self) -> CopyReport | None:
        """Return what the archive said lately of the copy in the object store."""
        at, report = self._copy or (None, None)
        return report if at is not None and self._clock.monotonic_ns() - at < _COPY_NS else None

    # The operator's own words

    async def say(self, who: Staff, text: str, *, next_update_s: int | None) -> StatusEvent:
        """Write something down for everybody, and promise when more will be said."""
        said = one_line(text, what="the text", max_characters=TEXT_MAX_CHARACTERS)
        now_ns = self._clock.wall_ns()
        next_ns = None if next_update_s is None else now_ns + next_update_s * NS_PER_S
        event = self._book.say(said, now_ns, next_update_ns=next_ns)
        await self._audit(who, "status", {"text": said, "next_update_s": next_update_s})
        await self._put()
        return event

    async def take_back(self, who: Staff, event: str) -> None:
        """Take something back; raises NotFound."""
        found = self._book.take_back(event)
        if found is None:
            raise NotFound("This is not on the status page, or not any more.", slug="no-such-words")
        await self._audit(who, "status-taken-back", {"text": found.text})
        await self._put()

    async def _audit(self, who: Staff, action: str, detail: object) -> None:
        text = json.dumps(detail, ensure_ascii=False)
        entry = AuditEntry(self._clock.wall_ns(), None, who.link.link, who.link.name, action, text)
        await self._catalogue.write_audit(entry)

    # What is heard

    async def run(self) -> None:
        """Go on from what was last said, and keep it up to date, for ever."""
        await self._resume()
        async with (
            self._bus.subscribe(live_audience_subject("*"), self._hear_report),
            self._bus.subscribe(COPY_SUBJECT, self._hear_copy),
            asyncio.TaskGroup() as group,
        ):
            for bucket, take in (
                ("rooms", self._take_room),
                ("stages", self._take_stage),
                (BUCKET, self._take_installation),
                ("doors", self._take_door),
            ):
                group.create_task(self._watch(bucket, take), name=f"status-{bucket}")
            while True:
                await self._tick()
                await self._clock.sleep(_TICK_S)

    async def _resume(self) -> None:
        while True:
            try:
                held = await self._bus.get(BUCKET, KEY)
                if held is not None and held.value:
                    self._book.resume(StatusDocument.model_validate_json(held.value))
            except BusUnavailable:
                await self._clock.sleep(_TICK_S)
            except ValidationError as error:
                log.warning("status_garbled", errors=error.error_count())
                return
            else:
                return

    async def _watch(self, bucket: str, take: Callable[[Document], None]) -> None:
        async for document in self._bus.watch(bucket):
            try:
                if document is not None:
                    take(document)
                elif bucket == "rooms":
                    self._book.follow()
            except ValueError as error:
                log.warning("document_garbled", bucket=bucket, error=str(error))

    def _take_room(self, document: Document) -> None:
        if document.value is None:
            self._book.forget_room(document.key)
        else:
            self._book.take_room(RoomDocument.model_validate_json(document.value), self._clock.wall_ns())

    def _take_stage(self, document: Document) -> None:
        if document.value is not None:
            self._book.take_stage(StageDocument.model_validate_json(document.value), self._clock.wall_ns())

    def _take_installation(self, document: Document) -> None:
        if document.key == INSTALLATION_KEY and document.value is not None:
            said = InstallationDocument.model_validate_json(document.value)
            self._book.take_installation(said, self._clock.wall_ns())

    def _take_door(self, document: Document) -> None:
        self._doors.take("doors", document.key, document.value)

    def _hear_report(self, subject: str, payload: bytes) -> None:
        try:
            report = AudienceReport.model_validate_json(payload)
        except ValidationError:
            return  # The hub has said so.
        self._book.take_report(subject.split(".")[1], report, self._clock.wall_ns())

    def _hear_copy(self, _subject: str, payload: bytes) -> None:
        try:
            self._copy = (self._clock.monotonic_ns(), CopyReport.model_validate_json(payload))
        except ValidationError as error:
            log.warning("copy_report_garbled", errors=error.error_count())

    # What is said

    async def _tick(self) -> None:
        now_ns = self._clock.wall_ns()
        self._book.tick(now_ns, hearing=self._bus.connected)
        for room in self._book.rooms():
            word = self._doors.door(room, now_ns)
            self._book.count(
                room,
                listeners=self._crowd.listeners(room),
                by_beacon=self._crowd.by_beacon(room),
                waiting=word.waiting if word else 0,
                admitted_per_s=word.admitted_per_s if word else 0.0,
            )
        due = self._said_at is None or self._clock.monotonic_ns() - self._said_at >= SAID_EVERY_NS
        if self._book.changed or self._behind or due:
            await self._put()

    async def _put(self) -> None:
        """Say the status; if the bus is away, by and by."""
        async with self._turn:
            self._book.changed = False
            try:
                async with asyncio.timeout(_PUT_TIMEOUT_S):
                    await self._bus.put(BUCKET, KEY, self.shown().to_bytes())
            except (BusUnavailable, TimeoutError) as error:
                if not self._behind:
                    log.warning("status_not_said", error=str(error))
                self._behind = True
            else:
                self._behind, self._said_at = False, self._clock.monotonic_ns()
