"""A WHIP endpoint and one page over plain HTTP on loopback, in front of a fake stage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stentor.backlog import Backlog, WhenFull
from stentor.errors import RequestError
from tests.fakes.stage import FakeStage


class WhipDoor:
    """``POST /whip`` answers offers, ``DELETE /whip/{session}`` ends one, any other GET is the page.

    What a page POSTs to ``/said`` is kept, newest last.
    """

    def __init__(self, stage: FakeStage, page: str) -> None:
        self._stage = stage
        self._page = page
        self.url = ""
        self.bearers: list[str] = []
        self.away = False
        self.said: Backlog[str] = Backlog(max_items=100, when_full=WhenFull.DROP_OLDEST)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.split("\r\n")
            headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.bearers.append(headers.get("authorization", ""))
            method, path, _ = request.split(" ")
            writer.write(await self._answer(method, path, body.decode()))
            await writer.drain()
        finally:
            writer.close()

    async def _answer(self, method: str, path: str, body: str) -> bytes:
        if self.away:
            return _response("503 Service Unavailable", "away")
        if method == "POST" and path == "/whip":
            try:
                answer = await self._stage.post(body)
            except RequestError as error:
                return _response(f"{error.status} Refused", error.detail)
            session = self._stage.sessions[-1].id
            return _response("201 Created", answer, "application/sdp", f"Location: /whip/{session}\r\n")
        if method == "DELETE" and path == f"/whip/{self._stage.sessions[-1].id}":
            await self._stage.delete()
            return _response("200 OK", "")
        if method == "POST" and path == "/said":
            self.said.put(body)
            return _response("200 OK", "")
        return _response("200 OK" if method == "GET" else "404 Not Found", self._page)


def _response(status: str, body: str, kind: str = "text/html", headers: str = "") -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{headers}"
    return f"{head}Connection: close\r\n\r\n".encode() + data


@asynccontextmanager
async def whip_door(stage: FakeStage, page: str = "") -> AsyncIterator[WhipDoor]:
    """Open the door on a free port."""
    door = WhipDoor(stage, page)
    async with await asyncio.start_server(door.serve, "127.0.0.1", 0) as server:
        door.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield door
