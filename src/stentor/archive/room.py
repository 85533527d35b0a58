"""The archive of one room: follows its log into objects, seals it at the end, makes the recordings.

Crash-only: every step begins from what is stored and may be repeated. Whatever goes wrong, ``run`` starts again from
the index; a process that was killed does the same.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import Counter

from stentor.archive.ledger import HEAD_BYTES, HEADS_PER_BLOCK, Ledger, NewObject, heads_path
from stentor.archive.proof import make_proof
from stentor.archive.recordings import make_recording
from stentor.bus.port import Bus
from stentor.clock import NS_PER_S, Clock
from stentor.errors import StoreUnavailable, Unavailable
from stentor.media.rendition import RenditionName
from stentor.room.documents import RoomDocument
from stentor.room.keys import fingerprint
from stentor.room.states import RoomState
from stentor.store.object_port import Objects
from stentor.store.recording import RECORDINGS, RecordingIndex, index_path, pieces, proof_path
from stentor.telemetry import logger

IDLE_CHECKPOINT_S = 30.0
MAX_PENDING_OBJECTS = 48
WATCH_S = 0.5
QUIET_AFTER_END_S = 3.0
QUIET_WITHOUT_ORIGIN_S = 20.0
QUIET_AT_LAST_S = 120.0
RETRY_S = 1.0
RETRY_MAX_S = 15.0
ASK_TIMEOUT_S = 5.0
ENDED_STATES = frozenset({RoomState.ENDED, RoomState.PUBLISHED})

_SEGMENTS = Counter("stentor_archive_objects_total", "Objects stored")
_FAILURES = Counter("stentor_archive_failures_total", "Times a room's archive had to start again")

log = logger("archive")


@dataclass(frozen=True, slots=True)
class Means:
    """What every room's archive works with; ``grace_s``: how long a published room's log is kept.

    ``checkpoint_s``: how often the index of a running room is written; its replay is that far behind.
    """

    bus: Bus
    objects: Objects
    clock: Clock
    key: Ed25519PrivateKey
    scratch: Path
    grace_s: float
    checkpoint_s: float


class RoomArchive:
    """One room, from the first record to the forgotten log. ``document`` is replaced whenever control changes it."""

    def __init__(self, means: Means, document: RoomDocument) -> None:
        self.document = document
        self._means = means
        self._room = document.room
        self._index = RecordingIndex(room=document.room)
        self._ledger = Ledger(self._index, {})
        self._pending: list[NewObject] = []
        self._at_work = asyncio.Lock()  # the log's reader and the watch below both write what is pending
        self._written_ns = means.clock.monotonic_ns()
        self._heard_ns = means.clock.monotonic_ns()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Do all that is to be done for the room, and return."""
        wait_s = RETRY_S
        while True:
            try:
                await self._go_on()
            except Exception as error:
                if _only_unavailable(error):
                    log.warning("archive_waits", room=self._room, reason=str(_first(error)))
                else:
                    log.exception("archive_failed", room=self._room)
            else:
                return
            _FAILURES.inc()
            await self._means.clock.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)

    async def _go_on(self) -> None:
        if not self.document.recorded:
            await self._pass_on()
            return
        await self._load()
        if not self._index.complete:
            await self._follow_to_the_end()
            await self._seal()
        await self._ask_to_publish()
        await self._make_recordings()
        await self._purge_later()

    async def _pass_on(self) -> None:
        """Take an unrecorded room to its end: nothing is stored, and it moves on all the same."""
        while self.document.state not in ENDED_STATES:
            await self._means.clock.sleep(WATCH_S)
        await self._ask_to_publish()
        await self._wait_for_grace()
        await self._means.bus.purge(self._room)

    async def _load(self) -> None:
        """Begin from the stored index, or anew when there is none or it is of another room of the same name."""
        stored = await self._means.objects.get(index_path(self._room))
        index = RecordingIndex.model_validate_json(stored) if stored else None
        zero_ns = self.document.zero_ns or 0
        if index and index.zero_ns != zero_ns:
            log.warning("old_recording_replaced", room=self._room)
            await wipe(self._means.objects, self._room)
            index = None
        self._index = index or RecordingIndex(
            room=self._room, zero_ns=zero_ns, key_fingerprint=fingerprint(self._means.key.public_key())
        )
        self._ledger = Ledger(self._index, {} if self._index.complete else await self._load_heads())
        self._pending = []

    async def _load_heads(self) -> dict[RenditionName, list[bytes]]:
        heads: dict[RenditionName, list[bytes]] = {}
        for name, stored in self._index.renditions.items():
            count = sum(1 for run in stored.runs for _ in pieces(run))
            known: list[bytes] = []
            for block in range(-(-count // HEADS_PER_BLOCK)):
                data = await self._means.objects.get(heads_path(self._room, name, block)) or b""
                known += [data[at : at + HEAD_BYTES] for at in range(0, len(data), HEAD_BYTES)]
            if len(known) < count:
                raise StoreUnavailable(f"Heads of {self._room} in {name} are missing from the object store.")
            heads[name] = known[:count]
        return heads

    async def _follow_to_the_end(self) -> None:
        """Take the log until the room is over: by its own word, or because nobody is left to say it."""
        self._over = asyncio.Event()
        self._heard_ns = self._written_ns = self._means.clock.monotonic_ns()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._follow()), group.create_task(self._watch_the_log())]
            await self._over.wait()
            for task in tasks:
                task.cancel()

    async def _follow(self) -> None:
        async for record in self._means.bus.follow(f"room.{self._room}.>", after=self._index.after):
            async with self._at_work:
                self._heard_ns = self._means.clock.monotonic_ns()
                self._pending += self._ledger.take(record)
                if len(self._pending) >= MAX_PENDING_OBJECTS:
                    await self._checkpoint()
                else:
                    await self._checkpoint_if_due()
            if self._ledger.over:
                self._over.set()
                return

    async def _checkpoint_if_due(self) -> None:
        since_s = (self._means.clock.monotonic_ns() - self._written_ns) / NS_PER_S
        if since_s > (self._means.checkpoint_s if self._pending else IDLE_CHECKPOINT_S):
            await self._checkpoint()

    async def _watch_the_log(self) -> None:
        """Store what is pending although nothing comes, and end what nobody is left to end."""
        means = self._means
        while True:
            await means.clock.sleep(WATCH_S)
            async with self._at_work:
                if self._pending:
                    await self._checkpoint_if_due()
                if not means.bus.connected:
                    self._heard_ns = means.clock.monotonic_ns()
                quiet_s = (means.clock.monotonic_ns() - self._heard_ns) / NS_PER_S
                if self.document.state in ENDED_STATES and quiet_s > await self._patience_s():
                    log.warning("log_fell_silent", room=self._room, quiet_s=quiet_s)
                    self._over.set()
                    return

    async def _patience_s(self) -> float:
        """Return how long a silent log may still go on: an origin, or one that takes over, may have a spool."""
        if self._ledger.index.end_step is not None or self.document.started_ns is None:
            return QUIET_AFTER_END_S
        lease = await self._means.bus.get("leases", self._room)
        return QUIET_WITHOUT_ORIGIN_S if lease is None or lease.value is None else QUIET_AT_LAST_S

    async def _checkpoint(self) -> None:
        """Store what is pending, then the heads, then the index that says so."""
        await self._store([*self._pending, *self._ledger.head_blocks()])
        self._pending.clear()
        self._ledger.heads_are_stored()
        said = {"title": self.document.title, "started_ns": self.document.started_ns}
        await self._write(self._ledger.index.model_copy(update=said))

    async def _store(self, new: Sequence[NewObject]) -> None:
        objects = self._means.objects
        for at in range(0, len(new), MAX_PENDING_OBJECTS):
            async with asyncio.TaskGroup() as group:
                for item in new[at : at + MAX_PENDING_OBJECTS]:
                    put = objects.create if item.immutable else objects.put
                    group.create_task(put(item.path, item.data))
        _SEGMENTS.inc(len(new))

    async def _write(self, index: RecordingIndex) -> None:
        await self._means.objects.put(index_path(self._room), index.to_bytes())
        self._index = index
        self._written_ns = self._means.clock.monotonic_ns()

    async def _seal(self) -> None:
        """Store the proof and the final index: from here on the replay is whole."""
        self._ledger.end_here()
        self._pending += self._ledger.finish()
        await self._checkpoint()
        if self._index.start_step is not None:
            proof = make_proof(self._index, self._ledger.heads, self._means.key)
            await self._means.objects.put(proof_path(self._room), proof.to_bytes())
        await self._write(self._index.model_copy(update={"complete": True}))
        self._ledger = Ledger(self._index, {})
        log.info("room_sealed", room=self._room, unlinked=sum(r.unlinked for r in self._index.renditions.values()))

    async def _ask_to_publish(self) -> None:
        """Ask control until it agrees."""
        wait_s = RETRY_S
        while self.document.state is not RoomState.PUBLISHED:
            try:
                question = json.dumps({"room": self._room}).encode()
                reply = await self._means.bus.request("control.published", question, timeout_s=ASK_TIMEOUT_S)
                problem = json.loads(reply).get("problem")
                if not problem:
                    return
                log.warning("publish_refused", room=self._room, reason=problem.get("detail"))
            except (Unavailable, ValueError) as error:
                log.info("publish_waits_for_control", room=self._room, reason=str(error))
            await self._means.clock.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)

    async def _make_recordings(self) -> None:
        """Make the recordings that are still missing, each offered as soon as it is ready."""
        if self._index.start_step is None:
            return
        for ending, name in RECORDINGS.items():
            if ending not in self._index.recordings and self._index.runs(name):
                await make_recording(self._means.objects, self._index, ending, self._means.scratch)
                ready = (*self._index.recordings, ending)
                await self._write(self._index.model_copy(update={"recordings": ready}))
                log.info("recording_ready", room=self._room, kind=ending)

    async def _purge_later(self) -> None:
        """Forget the log once control has published the room and edges have had their time."""
        if self._index.purged:
            return
        await self._wait_for_grace()
        await self._means.bus.purge(self._room)
        await self._write(self._index.model_copy(update={"purged": True}))
        log.info("log_purged", room=self._room)

    async def _wait_for_grace(self) -> None:
        means = self._means
        while self.document.state is not RoomState.PUBLISHED:
            await means.clock.sleep(WATCH_S)
        since_s = (means.clock.wall_ns() - (self.document.ended_ns or 0)) / NS_PER_S
        await means.clock.sleep(min(max(0.0, means.grace_s - since_s), means.grace_s))


def _first(error: Exception) -> Exception:
    """Return what went wrong first: a group says only how many things did."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _only_unavailable(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return error.split(Unavailable)[1] is None
    return isinstance(error, Unavailable)


async def wipe(objects: Objects, room: str) -> None:
    """Delete everything that is stored of a room, the index first so that nothing points at what is gone."""
    await objects.delete(index_path(room))
    async for found in objects.list(f"{room}/"):
        await objects.delete(found.path)
