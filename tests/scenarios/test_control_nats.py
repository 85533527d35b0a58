"""Control over a real nats-server: its documents survive the server's death, and it asks origins through it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stentor.bus.port import Bus
from stentor.clock import SystemClock
from stentor.control.server import PUBLISHED_SUBJECT
from stentor.room.documents import RoomDocument
from stentor.room.states import RoomState
from stentor.store.sql_migrate import migrate
from tests.fakes.buses import until
from tests.fakes.nats_server import NatsServer, running_nats
from tests.fakes.staff import ANSWER, OFFER, Desk, running_origin, staff_desk

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[tuple[Desk, Bus, NatsServer]]:
    """Yield a desk, the bus of somebody else, and the server between them."""
    database = f"sqlite+aiosqlite:///{tmp_path}/catalogue.db"
    await migrate(database)
    with running_nats(tmp_path) as server:
        async with (
            server.bus(role="control") as own,
            server.bus(role="origin") as other,
            staff_desk(SystemClock(), database, tmp_path, own) as desk,
        ):
            yield desk, other, server


async def state_on(bus: Bus) -> RoomState | None:
    held = await bus.get("rooms", "demo")
    return RoomDocument.model_validate_json(held.value).state if held and held.value else None


async def test_night_over_a_real_bus(installation: tuple[Desk, Bus, NatsServer]) -> None:
    desk, other, _ = installation
    links = await desk.room("demo", "open")
    assert await state_on(other) is RoomState.LOBBY
    speaker = await desk.session(links["speaker"])
    headers = {"Content-Type": "application/sdp"}
    away = await desk.call("POST", "/r/demo/whip", speaker, content=OFFER, headers=headers)
    assert away.status_code == 503
    async with running_origin(other) as origin:
        answer = await desk.call("POST", "/r/demo/whip", speaker, content=OFFER, headers=headers)
        assert (answer.status_code, answer.text) == (201, ANSWER)
        assert origin.verbs() == ["offer"]
    for verb in ("start", "end"):
        await desk.ok("POST", f"/api/v1/rooms/demo/{verb}", desk.operator, json={"force": True})
    reply = await other.request(PUBLISHED_SUBJECT, b'{"room": "demo"}', timeout_s=5)
    assert b'"problem":null' in reply
    assert await state_on(other) is RoomState.PUBLISHED


async def test_death_of_the_server_between_two_clicks(installation: tuple[Desk, Bus, NatsServer]) -> None:
    desk, other, server = installation
    await desk.room("demo", "open")
    server.kill()
    await until(lambda: not desk.bus.connected, "control notices that the bus is away")
    assert await desk.control.readiness() == {"bus": False, "catalogue": True}
    room = await desk.ok("POST", "/api/v1/rooms/demo/start", desk.operator, json={"force": True})
    assert room["state"] == "live"
    server.start()
    await until(lambda: desk.bus.connected and other.connected, "both are connected again")
    async with asyncio.timeout(20):
        while await state_on(other) is not RoomState.LIVE:  # noqa: ASYNC110  # said by another task
            await asyncio.sleep(0.05)
