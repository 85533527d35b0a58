"""A small LL-HLS player over HTTP/1.1: blocking reloads and parts on one connection, nothing is decoded."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PART = re.compile(r'^#EXT-X-PART:.*URI="([^"]+)"', re.MULTILINE)
_NAME = re.compile(r"/(\d+)\.(\d+)\.m4s")
Position = tuple[int, int]


class Exchange:
    """One kept connection: requests and answers in turn."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, agent: str) -> None:
        self._reader = reader
        self._writer = writer
        self._tail = f" HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n".encode()

    async def get(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (lower case) and body."""
        self._writer.write(b"GET " + target.encode() + self._tail)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            return int(first.split()[1]), headers, await self._chunked()
        return int(first.split()[1]), headers, await self._reader.readexactly(int(headers.get("content-length", "0")))

    async def _chunked(self) -> bytes:
        body = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return body


@asynccontextmanager
async def exchange(url: str, agent: str = "player") -> AsyncIterator[Exchange]:
    """Open a connection to the host of an address."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Exchange(reader, writer, parts.netloc, agent)
    finally:
        writer.close()


@dataclass
class Watched:
    """What one player saw: when it knew of each part (monotonic seconds), by (segment, part); what went wrong."""

    at_s: dict[Position, float] = field(default_factory=dict)
    playlists: dict[Position, bytes] = field(default_factory=dict)
    parts: int = 0
    problems: list[str] = field(default_factory=list)


async def play(base: str, until_s: float, *, query: str = "", agent: str = "player", media: bool = True) -> Watched:
    """Follow ``base``/aac.m3u8 (``http://host:port/r/ROOM``) until a monotonic time; fetch each new part once."""
    seen = Watched()
    path = urlsplit(base).path
    async with exchange(base, agent) as http:
        status, _, body = await http.get(f"{path}/aac.m3u8?{query}")
        while time.monotonic() < until_s:
            if status != 200:
                seen.problems.append(f"{status} {body[:200]!r}")
                break
            newest = _PART.findall(body.decode())[-1]
            if media:
                status, headers, part = await http.get(f"{path}/{newest}")
                if status != 200 or "immutable" not in headers["cache-control"] or b"moof" not in part[:64]:
                    seen.problems.append(f"{newest}: {status}")
                seen.parts += 1
            found = _NAME.search(newest)
            assert found is not None
            msn, index = int(found[1]), int(found[2]) + 1
            if index == 4:
                msn, index = msn + 1, 0
            status, _, body = await http.get(f"{path}/aac.m3u8?_HLS_msn={msn}&_HLS_part={index}&_HLS_skip=YES&{query}")
            seen.at_s[msn, index] = time.monotonic()
            seen.playlists[msn, index] = body
    return seen
