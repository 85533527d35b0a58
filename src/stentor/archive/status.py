"""A copy of the status in the object store, so that it can live elsewhere: ``status/`` with two pages and the JSON.

Written when something happens, at most each 5 s, and at least each half minute. A store that fails is said in the log,
to control (``COPY_SUBJECT``) and in a metric; the recordings go on beside it.
"""

import asyncio
import json

from prometheus_client import Counter

from stentor.bus.port import Bus
from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.errors import Unavailable
from stentor.plain.known import Known
from stentor.plain.page import Frame
from stentor.plain.status import StatusView, status_json, status_page
from stentor.plain.words import Words
from stentor.room.status import COPY_SUBJECT, CopyReport
from stentor.store.object_port import Objects
from stentor.telemetry import logger

FOLDER = "status"
PAGES = {"en": "index.html", "ar": "ar.html"}
EVERY_NS = 30 * NS_PER_S
_APART_NS = 5 * NS_PER_S
_TICK_S = 1.0
_PUT_TIMEOUT_S = 10.0
_HTML = "text/html; charset=utf-8"

_COPIES = Counter("stentor_archive_status_copies", "Copies of the status written, or not.", ["result"])

log = logger("archive")


class StatusCopy:
    """Keeps the copy. ``site``: the address of the audience port, to which the copy's links lead."""

    def __init__(self, bus: Bus, objects: Objects, clock: Clock, site: str) -> None:
        self._bus = bus
        self._objects = objects
        self._clock = clock
        self._site = site
        self._known = Known()
        self._told = ""
        self._tried_at: MonotonicNs | None = None
        self._report = CopyReport()

    async def run(self) -> None:
        """Follow the documents and write the copy, for ever."""
        async with asyncio.TaskGroup() as group:
            for bucket in ("installation", "rooms"):
                group.create_task(self._watch(bucket))
            while True:
                await self._clock.sleep(_TICK_S)
                await self._tick()

    async def _watch(self, bucket: str) -> None:
        async for document in self._bus.watch(bucket):
            if document is not None:
                try:
                    self._known.take(bucket, document.key, document.value)
                except ValueError as error:
                    log.error("status_document_garbled", bucket=bucket, key=document.key, reason=str(error))

    async def _tick(self) -> None:
        now = self._clock.monotonic_ns()
        age_ns = EVERY_NS if self._tried_at is None else now - self._tried_at
        view = self._known.view(self._clock.wall_ns(), connected=self._bus.connected)
        fields = status_json(view)
        if age_ns >= EVERY_NS or (age_ns >= _APART_NS and _news(fields) != self._told):
            self._tried_at = now
            await self._write(view, fields)
            await self._bus.publish(COPY_SUBJECT, self._report.to_bytes())

    async def _write(self, view: StatusView, fields: dict[str, object]) -> None:
        """Write the copy; what fails is tried again with the next."""
        problem = None
        try:
            async with asyncio.timeout(_PUT_TIMEOUT_S):
                body = json.dumps(fields, ensure_ascii=False).encode()
                await self._objects.put(f"{FOLDER}/status.json", body, kind="application/json")
                for language, name in PAGES.items():
                    page = status_page(view, Words(language), self._frame(name), copy=True)
                    await self._objects.put(f"{FOLDER}/{name}", page, kind=_HTML)
        except (Unavailable, TimeoutError) as error:
            problem = str(error) or "The object store does not answer in time."
        if problem is None:
            self._told = _news(fields)
            self._report = CopyReport(written_ns=view.now_ns)
        else:
            if self._report.problem is None:
                log.error("status_not_copied", reason=problem)
            self._report = CopyReport(written_ns=self._report.written_ns, problem=problem)
        _COPIES.labels("written" if problem is None else "failed").inc()

    def _frame(self, name: str) -> Frame:
        return Frame(name, {}, EVERY_NS // NS_PER_S, None, self._site, PAGES)


def _news(fields: dict[str, object]) -> str:
    """Return of the status what is news: not the time, nor how many there are."""
    rooms = fields["rooms"]
    states = [(room["room"], room["state"]) for room in rooms] if isinstance(rooms, list) else []
    kept = {name: fields[name] for name in ("summary", "ladder", "next_update_at", "history")}
    return json.dumps([kept, states], ensure_ascii=False)
