"""Control over a memory bus and a real catalogue, with an origin that answers as it is told."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stentor.bus.memory import MemoryBus
from stentor.bus.port import Bus, live_stage_subject
from stentor.clock import Clock
from stentor.control.server import Control
from stentor.control.settings import ControlKeys, ControlSettings
from stentor.errors import StentorError
from stentor.room.documents import StageDocument, StagePerson
from stentor.room.requests import Answered, Reply, Restarted
from stentor.store.sql import SqlCatalogue

DEVICE = "a secret of this browser"
OTHER_DEVICE = "a secret of another one"
STAFF_URL = "https://staff.example"
ANSWER = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:wxyz\r\n"
    "a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 AA:BB\r\na=rtpmap:111 opus/48000/2\r\n"
)
RESTARTED = "a=ice-ufrag:efgh\r\na=ice-pwd:1123456789012345678901\r\n"
OPERATIONS = ("offer", "candidates", "restart", "leave", "mute", "mute-all", "role", "remove", "rename", "announce")


@dataclass
class FakeOrigin:
    """Answers for one room; ``asked`` is what it was asked, ``refusal`` what it answers instead."""

    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    refusal: StentorError | None = None
    sessions: int = 0
    on_stage: list[str] = field(default_factory=list)
    before_offer: Callable[[], Awaitable[object]] | None = None

    async def answer(self, subject: str, payload: bytes) -> bytes:
        verb = subject.rpartition(".")[2]
        self.asked.append((verb, json.loads(payload)))
        if self.refusal is not None:
            return Reply(problem=self.refusal.problem()).to_bytes()
        if verb == "mute-all":
            return Reply(result={"people": self.on_stage}).to_bytes()
        if verb == "offer":
            if self.before_offer is not None:
                await self.before_offer()
            self.sessions += 1
            return Reply(result=Answered(sdp=ANSWER, session=f"session-{self.sessions}").model_dump()).to_bytes()
        if verb == "restart":
            return Reply(result=Restarted(fragment=RESTARTED).model_dump()).to_bytes()
        return Reply(result={}).to_bytes()

    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.asked]


@dataclass
class Desk:
    """A client of control, one room, and everything a test looks at."""

    control: Control
    bus: MemoryBus
    catalogue: SqlCatalogue
    http: httpx.AsyncClient
    operator: str = ""

    async def call(self, method: str, path: str, session: str | None = None, **more: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {session}"} if session else {}
        headers |= dict(more.pop("headers", {}))  # type: ignore[call-overload]
        return await self.http.request(method, path, headers=headers, **more)  # type: ignore[arg-type]

    async def ok(self, method: str, path: str, session: str | None = None, **more: object) -> dict[str, Any]:
        answer = await self.call(method, path, session, **more)
        assert answer.is_success, answer.text
        return dict(answer.json()) if answer.content else {}

    async def open(self, url: str, device: str = DEVICE, **more: object) -> httpx.Response:
        token = url.partition("#t=")[2]
        return await self.call("POST", "/api/v1/session", json={"token": token, "device": device, **more})

    async def session(self, url: str, device: str = DEVICE) -> str:
        answer = await self.open(url, device)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["session"])

    async def room(self, room: str = "demo", *verbs: str, **more: object) -> dict[str, str]:
        """Make a room, lead it through ``verbs``, and return its first links."""
        body = {"room": room, "title": "Demo", **more}
        made = await self.ok("POST", "/api/v1/rooms", self.operator, json=body)
        for verb in verbs:
            await self.ok("POST", f"/api/v1/rooms/{room}/{verb}", self.operator, json={"force": True})
        return dict(made["links"])

    async def invite(self, role: str, name: str = "Somebody", room: str = "demo") -> dict[str, str]:
        body = {"role": role, "name": name}
        return await self.ok("POST", f"/api/v1/rooms/{room}/links", self.operator, json=body)

    async def document(self, room: str = "demo") -> dict[str, Any] | None:
        held = await self.bus.get("rooms", room)
        return json.loads(held.value) if held and held.value else None

    async def stage(self, *people: StagePerson, room: str = "demo", epoch: int = 1, on_air: bool = False) -> None:
        stage = StageDocument(room=room, epoch=epoch, at_ns=1, on_air=on_air, people=people)
        await self.bus.publish(live_stage_subject(room), stage.to_bytes())


@asynccontextmanager
async def staff_desk(clock: Clock, database: str, folder: Path, real_bus: Bus | None = None) -> AsyncIterator[Desk]:
    """Run control's tasks over a memory bus (or a real one) and yield a desk with an operator's session."""
    catalogue = SqlCatalogue(database)
    bus = cast("MemoryBus", real_bus) if real_bus else MemoryBus(clock)
    keys = ControlKeys(Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())
    settings = ControlSettings("https://audience.example", STAFF_URL, web_dist=folder / "dist", origin_timeout_s=5.0)
    control = Control(bus=bus, catalogue=catalogue, clock=clock, keys=keys, settings=settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(catalogue.close)
        await stack.enter_async_context(control.running())
        transport = httpx.ASGITransport(control.app, client=("192.0.2.77", 5))
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=STAFF_URL))
        desk = Desk(control, bus, catalogue, http)
        link = await control.first_operator_link()
        assert link is not None
        desk.operator = await desk.session(link)
        yield desk


@asynccontextmanager
async def running_origin(bus: Bus, room: str = "demo") -> AsyncIterator[FakeOrigin]:
    """Answer for a room inside the context."""
    origin = FakeOrigin()
    async with AsyncExitStack() as stack:
        for verb in OPERATIONS:
            await stack.enter_async_context(bus.serve(f"origin.{room}.{verb}", origin.answer))
        yield origin
