"""An archive at work on a bus with one room, and what it has stored."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stentor.archive.archive import Archive
from stentor.bus.memory import MemoryBus
from stentor.bus.port import Bus, Fence
from stentor.clock import SystemClock
from stentor.errors import BusUnavailable
from stentor.replay.replay import Replay
from stentor.room.states import RoomState
from stentor.store.objects import ObstoreObjects
from stentor.store.recording import RECORDINGS, RecordingIndex, index_path
from tests.unit.archive import night
from tests.unit.archive.night import ROOM, Entry

KEY = Ed25519PrivateKey.generate()
LIMIT_S = 20


class Stage:
    """A bus with a room on it, and control as far as the archive sees it."""

    def __init__(self, bus: Bus | None = None) -> None:
        self.bus = bus or MemoryBus(SystemClock())
        self.document = night.document()
        self.asked = 0
        self.published = asyncio.Event()
        self._fences: dict[int, Fence] = {}
        self._message_ids = count()

    async def say(self, state: RoomState, **fields: object) -> None:
        """Write the room's document, as control does."""
        self.document = night.document(state, **fields)
        await self.bus.put("rooms", ROOM, self.document.to_bytes())

    async def log(self, entries: list[Entry]) -> None:
        """Append to the log, as the room's origins do."""
        for entry in entries:
            if entry.epoch not in self._fences:
                self._fences[entry.epoch] = await self.bus.claim(ROOM, b"{}")
            fence, message_id = self._fences[entry.epoch], str(next(self._message_ids))
            while True:
                try:
                    await self.bus.append(fence, entry.subject, message_id, entry.payload)
                except BusUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    break

    async def publish(self, _subject: str, question: bytes) -> bytes:
        """Answer ``control.published``."""
        assert json.loads(question) == {"room": ROOM}
        self.asked += 1
        if self.document.state is RoomState.ENDED:
            await self.say(RoomState.PUBLISHED, **self.document.model_dump(exclude={"state"}))
        self.published.set()
        return b'{"result": {}}'


@asynccontextmanager
async def archive(stage: Stage, objects: ObstoreObjects, folder: Path, grace_s: float = 600) -> AsyncIterator[None]:
    """Run an archive inside the context, and end it as abruptly as tasks can be ended."""
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        at_work = Archive(
            stage.bus, objects, SystemClock(), KEY, folder / "scratch", grace_s=grace_s, checkpoint_s=0.05
        )
        running = group.create_task(at_work.run())
        yield
        running.cancel()


async def content(objects: ObstoreObjects) -> dict[str, bytes]:
    return {found.path: await objects.get(found.path) or b"" async for found in objects.list(f"{ROOM}/")}


async def index_of(objects: ObstoreObjects) -> RecordingIndex | None:
    data = await objects.get(index_path(ROOM))
    return RecordingIndex.model_validate_json(data) if data else None


async def until(objects: ObstoreObjects, reached: Callable[[RecordingIndex], bool]) -> RecordingIndex:
    """Return the index once it says what is waited for."""
    while True:
        index = await index_of(objects)
        if index and reached(index):
            return index
        await asyncio.sleep(0.02)


async def until_whole(objects: ObstoreObjects) -> RecordingIndex:
    """Return the index once every recording is ready."""
    return await until(objects, lambda index: len(index.recordings) == len(RECORDINGS))


async def whole_night(folder: Path, objects: ObstoreObjects) -> Stage:
    stage = Stage()
    await stage.say(RoomState.LIVE)
    async with stage.bus.serve("control.published", stage.publish), archive(stage, objects, folder):
        await stage.log(list(night.night()))
        await stage.say(RoomState.ENDED, ended_ns=night.ZERO_NS)
        await stage.published.wait()
        await until_whole(objects)
    return stage


async def save(replay: Replay, path: str, folder: Path) -> Path:
    """Fetch what follows ``/r/{room}/`` into a file of the same path."""
    reply = await replay.reply(ROOM, path, "GET", None)
    assert reply.status == 200
    body = reply.body if isinstance(reply.body, bytes) else b"".join([block async for block in reply.body])
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)
    return file
