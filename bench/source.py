"""Feeds Icecast with the very chunks that edges get, when they get them.

They go as Ogg Opus whose granules count from the room's zero, so that a crowd can tell how late each page comes.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.program import LoopedOrigin
from stentor.bus.wire import decode_chunk
from stentor.media import ogg
from stentor.media.grid import STEP_SAMPLES, Step

_SERIAL = 0x53544E54


@asynccontextmanager
async def icecast_source(
    origin: LoopedOrigin, port: int, mount: str, *, page_steps: int, content_type: str
) -> AsyncIterator[None]:
    """Be the source of ``mount`` (user ``source``, password ``bench``) while the context lasts.

    ``page_steps``: steps in a page of Ogg. Of ``application/ogg`` Icecast hands on page by page; what it is told to be
    ``audio/mpeg`` it hands on unread, 1,400 bytes at a time.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    secret = base64.b64encode(b"source:bench").decode()
    head = f"SOURCE {mount} HTTP/1.0\r\nAuthorization: Basic {secret}\r\nContent-Type: {content_type}\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readline()
    assert b" 200 " in answer, f"Icecast wants no source: {answer!r}"
    writer.write(ogg.headers(_SERIAL, 0))
    sequence = 2
    waiting: list[bytes] = []

    def feed(step: Step, message: bytes) -> None:
        nonlocal sequence
        waiting.extend(decode_chunk(message).units)
        if (step + 1) % page_steps == 0:
            writer.write(ogg.page(_SERIAL, sequence, (step + 1) * STEP_SAMPLES, waiting))
            sequence += 1
            waiting.clear()

    origin.sent.append(feed)
    try:
        yield
    finally:
        origin.sent.remove(feed)
        writer.close()
