"""The status, from what happens to every place that tells it, while control and the bus are there and while not."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import obstore

from stentor.archive.status import StatusCopy
from stentor.clock import NS_PER_S, SystemClock, UnixNs
from stentor.room.status import AWAY_NS
from stentor.store.objects import open_objects
from stentor.store.sql_migrate import migrate
from tests.fakes.staff import staff_desk
from tests.fakes.wav_room import wav_room

LIMIT_S = 20
SITE = "https://radio.example.org"
ARABIC = {"Accept": "text/html", "Accept-Language": "ar"}


class Ahead(SystemClock):
    """A machine's clock that can be put ahead."""

    ahead_ns = 0

    def wall_ns(self) -> UnixNs:
        return UnixNs(super().wall_ns() + self.ahead_ns)


async def until(client: httpx.AsyncClient, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return status.json once something holds of it."""
    said: dict[str, Any] = {}
    try:
        async with asyncio.timeout(LIMIT_S):
            while not said or not holds(said):
                await asyncio.sleep(0.05)
                said = (await client.get("/status.json")).json()
    except TimeoutError:
        raise AssertionError(f"not within {LIMIT_S} s: {said}") from None
    return said


def kinds(said: dict[str, Any]) -> list[str]:
    return [event["kind"] for event in said["history"]]


async def test_what_happens_is_told_everywhere_and_stays_while_control_and_bus_are_away(tmp_path: Path) -> None:
    clock, objects = Ahead(), open_objects("memory:")
    database = f"sqlite+aiosqlite:///{tmp_path}/catalogue.db"
    await migrate(database)
    async with (
        wav_room(origin=False, clock=clock) as room,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", timeout=15) as client,
        asyncio.TaskGroup() as group,
    ):
        copying = group.create_task(StatusCopy(room.bus, objects, clock, SITE).run())
        async with staff_desk(clock, database, tmp_path, room.bus) as desk:
            await desk.room("evening", "open", "start")
            body = {"text": "نضيف خوادم.", "next_update_s": 600}
            await desk.ok("POST", "/api/v1/installation/status", desk.operator, json=body)
            told = ["said", "room-started", "room-opened"]
            said = await until(client, lambda said: kinds(said) == told and said["summary"] == "well")
            assert said["next_update_at"] is not None
            assert {each["room"] for each in said["rooms"]} == {"demo", "evening"}
            async with asyncio.timeout(LIMIT_S):
                while (copied := desk.control.rules.status.copy()) is None or not copied.written_ns:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                while "نضيف خوادم." not in (await objects.get("status/ar.html") or b"").decode():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        # Control is gone, and 20 s pass.
        clock.ahead_ns = AWAY_NS + NS_PER_S
        said = await until(client, lambda said: said["summary"] == "away")
        assert kinds(said) == told
        page = await client.get("/status", headers=ARABIC)
        assert page.status_code == 200
        assert 'dir="rtl"' in page.text
        assert "جزء من خدمتنا لا يجيب." in page.text
        assert "نضيف خوادم." in page.text
        room.bus.away()
        said = await until(client, lambda said: said["summary"] == "lost")
        assert kinds(said) == told
        copying.cancel()
    stored = await obstore.get_async(objects._store, "status/index.html")
    assert stored.attributes["Content-Type"] == "text/html; charset=utf-8"
    copy = bytes(await stored.bytes_async()).decode()
    assert f'href="{SITE}/r/evening"' in copy
    assert 'href="ar.html"' in copy
    assert b'"summary"' in (await objects.get("status/status.json") or b"")
