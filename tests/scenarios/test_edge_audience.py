"""Who listens, over two real edges: by push, HLS and progressive, and behind a cache; nobody twice, none for ever."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from stentor.bus.memory import MemoryBus
from stentor.bus.port import live_audience_subject
from stentor.clock import SystemClock
from stentor.control.crowd import Crowd
from stentor.edge.server import Edge, EdgeSettings
from stentor.room.documents import AudienceReport
from stentor.room.states import RoomState
from tests.fakes.installation import descendants, installation
from tests.fakes.wav_origin import WavOrigin, beeps, room_document

NAMES = ("edge-1", "edge-2")


@dataclass
class Night:
    """Two edges of one room, control's view of them, and their clients."""

    tasks: asyncio.TaskGroup
    crowd: Crowd
    client: httpx.AsyncClient
    urls: dict[str, str] = field(default_factory=dict)
    edges: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    asking: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def ticket(self) -> str:
        answer = await self.client.post(f"{self.urls['edge-2']}/ticket")
        return str(answer.json()["ticket"])

    async def beacon(self, edge: str, ticket: str | None, transport: str = "hls", **more: object) -> None:
        said: dict[str, object] = {
            "player": "0" * 16,
            "ticket": ticket,
            "transport": transport,
            "join_ms": 400,
            "stalls": 1,
        }
        said.update({"stall_ms": 300, "played_ms": 29_700, "latency_ms": 1_100} | more)
        answer = await self.client.post(f"{self.urls[edge]}/beacon", json=said)
        assert (answer.status_code, answer.content) == (204, b"")

    async def ask(self) -> None:
        """Ask for playlists as players of LL-HLS do, each at its edges in turn, for ever."""
        turn = 0
        while True:
            turn += 1
            for ticket, edges in tuple(self.asking.items()):
                url = self.urls[edges[turn % len(edges)]]
                (await self.client.get(f"{url}/aac.m3u8?ticket={ticket}")).raise_for_status()
            await asyncio.sleep(0.5)

    async def said(self, edge: str) -> dict[str, int]:
        return dict((await self.client.get(f"{self.urls[edge]}/state.json")).json()["audience"])

    async def until(self, listeners: int, by_beacon: int, *edges: str) -> None:
        """Wait until edges and control say these numbers for a second; fails with what they say instead."""
        wanted = {"listeners": listeners, "by_beacon": by_beacon}
        seen: list[object] = []
        same = 0
        try:
            async with asyncio.timeout(20):
                while same < 10:
                    await asyncio.sleep(0.1)
                    seen = [await self.said(edge) for edge in edges]
                    shown = self.crowd.shown("demo")
                    seen.append({"listeners": shown.listeners, "by_beacon": shown.by_beacon})
                    same = same + 1 if seen == [wanted] * (len(edges) + 1) else 0
        except TimeoutError:
            raise AssertionError(f"{wanted} is not what {edges} and control say: {seen}") from None


def hearing(crowd: Crowd) -> Callable[[str, bytes], None]:
    def hear(subject: str, payload: bytes) -> None:
        crowd.take(subject.split(".")[1], AudienceReport.model_validate_json(payload))

    return hear


@asynccontextmanager
async def night() -> AsyncIterator[Night]:
    clock = SystemClock()
    bus = MemoryBus(clock)
    document = room_document("demo", clock, RoomState.LIVE)
    await bus.put("rooms", "demo", document.to_bytes())
    crowd = Crowd(clock)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=20))
        await stack.enter_async_context(bus.subscribe(live_audience_subject("*"), hearing(crowd)))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        here = Night(tasks, crowd, client)
        origin = tasks.create_task(WavOrigin(bus, clock, document, beeps()).run())
        for name in NAMES:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            edge = Edge(bus=bus, clock=clock, settings=EdgeSettings(name=name, ticket_key=b"k" * 32, drain_s=0.2))
            here.edges[name] = tasks.create_task(edge.run(listening))
            here.urls[name] = f"http://127.0.0.1:{listening.getsockname()[1]}/r/demo"
            await edge.started.wait()
            while not edge.rooms.synced:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)
        asking = tasks.create_task(here.ask())
        try:
            yield here
        finally:
            for task in (asking, origin, *here.edges.values()):
                task.cancel()


async def kill(edge: asyncio.Task[None]) -> None:
    """End an edge without a word."""
    edge.cancel()
    await asyncio.wait([edge])


async def test_counts_are_exact_over_edges_and_ways_and_a_killed_edge_leaves_them() -> None:
    async with night() as here, AsyncExitStack() as listeners:
        for edge, push, progressive in (("edge-1", 3, 1), ("edge-2", 2, 2)):
            for _ in range(push):
                url = f"{here.urls[edge].replace('http', 'ws')}/push"
                await listeners.enter_async_context(connect(url, proxy=None, close_timeout=0.1))
            for _ in range(progressive):
                stream = here.client.stream("GET", f"{here.urls[edge]}/listen.mp3")
                await listeners.enter_async_context(stream)
        hls = [await here.ticket() for _ in range(2)]
        here.asking = {hls[0]: ("edge-1", "edge-2"), hls[1]: ("edge-2",)}
        hidden = [await here.ticket() for _ in range(3)]
        for ticket, edge in zip(hidden, ("edge-1", "edge-2", "edge-1"), strict=True):
            await here.beacon(edge, ticket)
        await here.beacon("edge-1", hls[1])  # Seen at the other edge by its requests.
        await here.beacon("edge-1", await here.ticket(), "push")  # A connection somewhere: counted there.
        await here.beacon("edge-2", None)  # Without a ticket: its numbers count, it does not.
        await here.beacon("edge-2", "forged")
        await here.until(10, 3, *NAMES)

        shown = here.crowd.shown("demo")
        assert {name: way.listeners for name, way in shown.transports.items()} == {
            "push": 5,
            "progressive": 3,
            "hls": 2,
        }
        assert [sum(way.listeners for way in edge.transports.values()) for edge in shown.edges] == [
            edge.listeners for edge in shown.edges
        ]

        await kill(here.edges["edge-1"])
        here.asking = dict.fromkeys(hls, ("edge-2",))
        await here.until(6, 3, "edge-2")
        await here.beacon("edge-2", hidden[0], bye=True)
        await here.until(6, 2, "edge-2")


async def test_control_shows_what_is_left_when_an_edge_process_is_killed(tmp_path: Path) -> None:
    async with installation(tmp_path) as site, AsyncExitStack() as listeners:
        api = await site.operator()
        await api.call("POST", "/rooms", {"room": "night", "title": "Night", "planned_start": None})
        await api.call("POST", "/rooms/night/open", {})

        async def shown(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            said: dict[str, Any] = {}
            try:
                async with asyncio.timeout(25):
                    while not (said and wanted(said)):
                        await asyncio.sleep(0.1)
                        said = dict(await api.call("GET", "/rooms/night/audience"))
            except TimeoutError:
                raise AssertionError(f"control says {said}") from None
            return said

        url = f"{site.audience_url.replace('http', 'ws')}/r/night/push"
        for _ in range(8):
            await listeners.enter_async_context(connect(url, proxy=None, close_timeout=0.1))
        said = await shown(lambda said: said["listeners"] == 8 and len(said["edges"]) == 2)
        counts = {edge["edge"]: edge["listeners"] for edge in said["edges"]}
        assert (said["joins"], sum(counts.values())) == (8, 8)
        edge = next(pid for pid, command in descendants(site.process.pid) if command.split()[-1].endswith("edge"))
        os.kill(edge, signal.SIGKILL)
        left = (await shown(lambda said: said["listeners"] < 8))["listeners"]
        (died,) = site.events("process_died")
        (lost,) = [count for edge, count in counts.items() if edge.endswith(f".{died['child']}")]
        assert left == 8 - lost


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 400),
        (b"x" * 1_025, 413),
        (b'{"player":"0123456789abcdef","transport":"hls","played_ms":1e99}', 400),
        (b'{"player":"0123456789abcdef","transport":"hls","played_ms":30000}', 204),
    ],
)
async def test_a_beacon_is_taken_or_refused_as_a_browser_sends_it(body: bytes, status: int) -> None:
    async with night() as here:
        headers = {"Content-Type": "text/plain;charset=UTF-8", "Origin": "https://elsewhere.example"}
        answer = await here.client.post(f"{here.urls['edge-1']}/beacon", content=body, headers=headers)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, "*")
        assert (await here.client.get(f"{here.urls['edge-1']}/beacon")).headers["allow"] == "POST"
