"""Hundreds of push listeners in one process: they count what comes, and come back as they are told."""

# mypy: disable-error-code="explicit-override"
# typing.override came with Python 3.12.

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_AT_ONCE = 20
_TAIL_BYTES = 64
_HANDSHAKE = (
    "GET /r/{room}/push HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Ear(asyncio.Protocol):
    """One listener's connection."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._tail = b""
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        self.transport = transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._crowd.handshake)

    def data_received(self, data: bytes) -> None:
        """Count, and keep the end: the server's last words are a close frame."""
        if not self._tail:
            self._crowd.joined += 1
            self._crowd.changed.set()
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        self._crowd.heard_bytes += len(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Come back after the seconds that the server names, or at once."""
        named = re.search(rb"retry=([\d.]+)$", self._tail)
        self._crowd.lost(float(named[1]) if named else None)


class Crowd:
    """Listeners of one room; ``waits_s`` are the seconds that those who were sent away were told (None: not told)."""

    def __init__(self, audience_url: str, room: str, group: asyncio.TaskGroup) -> None:
        address = urlsplit(audience_url)
        assert address.hostname is not None
        assert address.port is not None
        self._place = (address.hostname, address.port)
        self.handshake = _HANDSHAKE.format(room=room, host=address.netloc).encode()
        self._group = group
        self._leaving = False
        self._ears: list[Ear] = []
        self.joined = 0
        self.changed = asyncio.Event()
        self.heard_bytes = 0
        self.waits_s: list[float | None] = []

    async def join(self, count: int) -> None:
        """Have so many more listen; returns when all have heard something."""
        for _ in range(0, count, _AT_ONCE):
            wanted = self.joined + _AT_ONCE
            for _ in range(_AT_ONCE):
                await self._connect()
            await self.until_joined(wanted)

    async def until_joined(self, count: int) -> None:
        """Wait until so many have heard something; who comes back counts once more."""
        async with asyncio.timeout(20):
            while self.joined < count:
                self.changed.clear()
                await self.changed.wait()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, ear = await loop.create_connection(lambda: Ear(self), *self._place)
        self._ears.append(ear)

    def lost(self, wait_s: float | None) -> None:
        """Note that the server has closed, and come back."""
        if not self._leaving:
            self.waits_s.append(wait_s)
            self._group.create_task(self._again(wait_s or 0.0))

    async def _again(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._connect()

    def leave(self) -> None:
        """Hang up, all of them."""
        self._leaving = True
        for ear in self._ears:
            if isinstance(ear.transport, asyncio.Transport):
                ear.transport.abort()


@asynccontextmanager
async def crowd(audience_url: str, room: str) -> AsyncIterator[Crowd]:
    """Give a crowd that leaves when the context ends."""
    async with asyncio.TaskGroup() as group:
        those = Crowd(audience_url, room, group)
        try:
            yield those
        finally:
            those.leave()
