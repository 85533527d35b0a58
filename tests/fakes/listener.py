"""A listener without a browser: takes the push, unwraps the Opus access units and decodes them."""

import asyncio
import json
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import websockets
from numpy.typing import NDArray

from stentor.media.decoder import OpusDecoder
from stentor.media.grid import SAMPLE_RATE_HZ

_HEADER = struct.Struct(">BBHIQ")


@dataclass(frozen=True)
class Block:
    """One media frame of the push: where it belongs, when it came (Unix seconds), its access units."""

    epoch: int
    discontinuity: int
    step: int
    first_sample: int
    came_s: float
    units: tuple[bytes, ...]


def boxes(data: bytes) -> dict[bytes, bytes]:
    """Return the boxes on one level by type (ISO/IEC 14496-12, 4.2); the last of each type wins."""
    found = {}
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found[data[at + 4 : at + 8]] = data[at + 8 : at + size]
        at += size
    return found


def unwrap(fragment: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Return a fragment's decode time and its samples."""
    top = boxes(fragment)
    track = boxes(boxes(top[b"moof"])[b"traf"])
    (decode_time,) = struct.unpack_from(">Q", track[b"tfdt"], 4)
    flags, count = struct.unpack_from(">II", track[b"trun"])
    entry = 4 * bin(flags & 0xF00).count("1")
    at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    before_size = 4 if flags & 0x100 else 0
    units = []
    position = 0
    for index in range(count):
        (size,) = struct.unpack_from(">I", track[b"trun"], at + index * entry + before_size)
        units.append(top[b"mdat"][position : position + size])
        position += size
    return decode_time, tuple(units)


@dataclass
class PushListener:
    """What came over the push so far, and the sound of it; ``said`` is what text frames told beside the state."""

    blocks: list[Block] = field(default_factory=list)
    states: list[dict[str, object]] = field(default_factory=list)
    said: list[dict[str, object]] = field(default_factory=list)
    closed: int | None = None
    on_sound: Callable[[NDArray[np.float32], float], None] | None = None
    _decoder: OpusDecoder = field(default_factory=OpusDecoder)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            said = json.loads(message)
            if said["type"] == "state":
                self.states.append(said)
            else:
                self.said.append(said)
        else:
            _version, kind, discontinuity, epoch, step = _HEADER.unpack_from(message)
            if kind == 2:
                now = time.time()
                first, units = unwrap(message[_HEADER.size :])
                self.blocks.append(Block(epoch, discontinuity, step, first, now, units))
                if self.on_sound is not None:
                    sound = np.concatenate([self._decoder.decode(unit).reshape(-1).copy() for unit in units])
                    self.on_sound(sound, now - len(sound) / SAMPLE_RATE_HZ)
        self._changed.set()

    async def until(self, reached: Callable[["PushListener"], bool], why_not: str, *, limit_s: float = 20.0) -> None:
        """Wait until something holds; a wait that fails says why not yet."""
        try:
            async with asyncio.timeout(limit_s):
                while not reached(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            last = self.blocks[-1].step if self.blocks else None
            state = self.states[-1].get("state") if self.states else None
            seen = f"{len(self.blocks)} blocks, last step {last}, state {state}, closed {self.closed}"
            raise AssertionError(f"{why_not}: {seen}") from None


@asynccontextmanager
async def push_listener(
    audience_url: str,
    room: str,
    *,
    on_sound: Callable[[NDArray[np.float32], float], None] | None = None,
    query: str = "",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[PushListener]:
    """Listen by push inside the context."""
    url = audience_url.replace("http", "ws", 1) + f"/r/{room}/push?rendition=opus{query}"
    listener = PushListener(on_sound=on_sound)

    async def receive(connection: websockets.ClientConnection) -> None:
        try:
            async for message in connection:
                listener._take(message)
        finally:
            listener.closed = connection.close_code
            listener._changed.set()

    async with (
        websockets.connect(url, ssl=tls, compression=None, max_queue=None) as connection,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(receive(connection))
        yield listener
        task.cancel()
