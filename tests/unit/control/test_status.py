"""The operator's words on the status page, and what control writes down by itself."""

import asyncio
from typing import Any

from stentor.control.status_rules import StatusRules
from stentor.room.documents import AudienceReport
from stentor.room.status import COPY_SUBJECT, CopyReport, StatusDocument
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.staff import Desk

STATUS = "/api/v1/installation/status"


async def said(desk: Desk) -> StatusDocument:
    held = await desk.bus.get("installation", "status")
    assert held is not None
    assert held.value is not None
    return StatusDocument.model_validate_json(held.value)


async def kinds(desk: Desk) -> list[str]:
    return [str(event.kind) for event in (await said(desk)).events]


async def pass_s(clock: VirtualClock, seconds: float) -> None:
    for _ in range(int(seconds)):
        await clock.advance(1)
        await asyncio.sleep(0.001)  # The catalogue's threads have no virtual time.


async def test_operators_alone_say_and_take_back(desk: Desk, clock: VirtualClock) -> None:
    links = await desk.room()
    host = await desk.session(links["host"])
    body = {"text": "We look into it.", "next_update_s": 600}
    for method, path in (("POST", STATUS), ("GET", STATUS), ("DELETE", f"{STATUS}/1")):
        assert (await desk.call(method, path, host, json=body if method == "POST" else None)).status_code == 403
    shown = await desk.ok("POST", STATUS, desk.operator, json=body)
    assert [event["text"] for event in shown["events"]] == ["We look into it."]
    assert shown["url"] == "https://audience.example/status"
    assert shown["next_update_at"] is not None
    assert await kinds(desk) == ["said"]
    assert (await said(desk)).next_update_ns == clock.wall_ns() + 600 * 10**9
    path = f"{STATUS}/{shown['events'][0]['id']}"
    assert (await desk.call("DELETE", path, desk.operator)).status_code == 204
    assert (await desk.call("DELETE", path, desk.operator)).status_code == 404
    assert await kinds(desk) == []
    audit = [entry.action for entry in await desk.catalogue.audit(None)]
    assert audit[-2:] == ["status", "status-taken-back"]


async def test_words_are_one_line_and_not_too_long(desk: Desk) -> None:
    for text in ("", " ", "x" * 501):
        answer = await desk.call("POST", STATUS, desk.operator, json={"text": text})
        assert answer.status_code in (400, 422), text


async def test_what_happens_in_rooms_is_written_down(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", "open", "start")
    await desk.ok("PUT", "/api/v1/rooms/demo/announcement", desk.operator, json={"text": "Welcome"})
    await pass_s(clock, 2)
    assert await kinds(desk) == ["announcement", "room-started", "room-opened"]
    document = await said(desk)
    assert [(line.room, str(line.state)) for line in document.rooms] == [("demo", "live")]
    shown: dict[str, Any] = await desk.ok("GET", STATUS, desk.operator)
    assert shown["events"][0]["text"] == "Announced in Demo: Welcome"


async def test_it_goes_on_from_what_was_said_before(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", "open")
    await desk.ok("POST", STATUS, desk.operator, json={"text": "Soon."})
    await pass_s(clock, 2)
    before = await said(desk)
    after = StatusRules(desk.control.rules.parts)
    running = asyncio.ensure_future(after.run())
    await settle()
    assert [event.id for event in after.shown().events] == [event.id for event in before.events]
    running.cancel()
    await asyncio.wait([running])


async def test_an_edge_that_falls_silent_is_told_of(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", "open")
    report = AudienceReport(edge="edge-1", listeners=3, started_ns=1)
    await desk.bus.publish("live.demo.audience", report.to_bytes())
    await pass_s(clock, 10)
    assert (await kinds(desk))[0] == "edge-lost"


async def test_it_is_said_again_after_the_bus_was_away(desk: Desk, clock: VirtualClock) -> None:
    desk.bus.away()
    await desk.ok("POST", STATUS, desk.operator, json={"text": "The bus is away."})
    await pass_s(clock, 2)
    desk.bus.back()
    await pass_s(clock, 2)
    assert await kinds(desk) == ["said"]


async def test_the_archives_word_on_the_copy_is_shown_while_it_is_fresh(desk: Desk, clock: VirtualClock) -> None:
    assert (await desk.ok("GET", STATUS, desk.operator))["copied"] is None
    await desk.bus.publish(COPY_SUBJECT, CopyReport(problem="It is full.").to_bytes())
    assert (await desk.ok("GET", STATUS, desk.operator))["copied"] == {"written_at": None, "problem": "It is full."}
    await pass_s(clock, 91)
    assert (await desk.ok("GET", STATUS, desk.operator))["copied"] is None
