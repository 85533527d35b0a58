"""The ladder in control: edges say how they are, the document says which step is in force, people see and set it."""

import asyncio
import json
from typing import Any

import pytest

from stentor.bus.port import load_subject
from stentor.clock import NS_PER_S
from stentor.control.ladder_rules import LadderRules
from stentor.errors import StoreUnavailable
from stentor.room.installation import KEY, InstallationDocument, LadderWord
from stentor.room.ladder import BLOCKS, CAP, SLOWER, Cause, LoadReport
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk

PATH = "/api/v1/installation/ladder"
BUSY = LoadReport(edge="edge-1", cpu_share=0.97, pass_share=0.8, connections=4_000, sent_bytes_per_s=2e7)
CALM = LoadReport(edge="edge-1", cpu_share=0.2, pass_share=0.05, connections=4_000, sent_bytes_per_s=1e7)


async def said(desk: Desk) -> LadderWord:
    held = await desk.bus.get("installation", KEY)
    assert held is not None
    assert held.value is not None
    return InstallationDocument.model_validate_json(held.value).ladder


async def reported(desk: Desk, clock: VirtualClock, report: LoadReport, seconds: int) -> None:
    for _ in range(seconds):
        await desk.bus.publish(load_subject(report.edge), report.to_bytes())
        await clock.advance(1)
        await desk.catalogue.installation()  # SQLite answers in real time: what control stores is through before this


async def test_a_busy_edge_takes_steps_and_a_calm_one_gives_them_back(desk: Desk, clock: VirtualClock) -> None:
    await reported(desk, clock, BUSY, 20)
    word = await said(desk)
    assert (word.step, word.block_steps, word.cause, word.by_hand) == (BLOCKS, 4, Cause.CPU, False)
    shown = await desk.ok("GET", PATH, desk.operator)
    assert (shown["step"], shown["name"], shown["cause"]) == (BLOCKS, "larger blocks", "cpu")
    assert shown["why"] == "The edge is short of time or line: edge-1 uses 97 % of a core."
    assert shown["since"].startswith("20")
    assert [step["in_force"] for step in shown["steps"]] == [True, False, False, False, False]
    assert shown["load"] == {
        "edges": 1,
        "short": 1,
        "connections": 4_000,
        "cpu_share": 0.97,
        "loop_lag_ms": 0.0,
        "unread": 0,
        "sent_bytes_per_s": 2e7,
    }
    await reported(desk, clock, CALM, 11)
    blocks = (await desk.ok("GET", PATH, desk.operator))["steps"][0]
    assert (blocks["cpu_saved"], blocks["bytes_saved"]) == (pytest.approx(1 - 0.2 / 0.97, abs=0.01), 0.5)
    await reported(desk, clock, CALM, 60)
    assert (await said(desk)).step == 0
    audit = [entry for entry in await desk.catalogue.audit(None) if entry.action == "ladder"]
    assert [(entry.name, json.loads(entry.detail)["step"]) for entry in audit] == [("the ladder", 1), ("the ladder", 0)]


async def test_by_hand_until_it_is_left_to_the_load(desk: Desk, clock: VirtualClock) -> None:
    shown = await desk.ok("PUT", PATH, desk.operator, json={"step": CAP})
    assert (shown["step"], shown["by_hand"], shown["cause"]) == (CAP, True, "by-hand")
    assert shown["why"].startswith("Set by hand by ")
    assert all(step["in_force"] for step in shown["steps"])
    assert (await said(desk)).step == CAP
    await reported(desk, clock, CALM, 70)
    assert (await said(desk)).step == CAP
    shown = await desk.ok("PUT", PATH, desk.operator, json={"step": None})
    assert (shown["step"], shown["by_hand"]) == (CAP, False)
    await reported(desk, clock, CALM, 65)
    assert (await said(desk)).step == CAP - 1


async def test_a_restarted_control_goes_on(desk: Desk, clock: VirtualClock) -> None:
    kept = LadderWord(step=SLOWER, since_ns=NS_PER_S, why="2 of 2 edges were short.", cause="cpu", block_steps=16)
    await desk.catalogue.put_installation({"ladder": kept.model_dump_json()})
    again = LadderRules(desk.control.rules.parts)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(again.run())
        await reported(desk, clock, CALM, 10)
        assert (await again.shown()).why == "2 of 2 edges were short."
        await reported(desk, clock, CALM, 60)
        assert (await said(desk)).step == BLOCKS
        running.cancel()


async def test_only_operators(desk: Desk) -> None:
    links = await desk.room()
    host = await desk.session(links["host"])
    for method, more in (("GET", {}), ("PUT", {"json": {"step": 1}})):
        assert (await desk.call(method, PATH, host, **more)).status_code == 403
        assert (await desk.call(method, PATH, **more)).status_code == 401
    for step in (6, -1, "all", 1.5):
        assert (await desk.call("PUT", PATH, desk.operator, json={"step": step})).status_code == 400


async def test_what_the_catalogue_does_not_take_does_not_hold(
    desk: Desk, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clock.advance(2)
    put = desk.catalogue.put_installation

    async def away(values: Any) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.catalogue, "put_installation", away)
    assert (await desk.call("PUT", PATH, desk.operator, json={"step": 2})).status_code == 503
    assert (await desk.ok("GET", PATH, desk.operator))["step"] == 0
    await reported(desk, clock, BUSY, 20)
    assert (await said(desk)).step == 0
    monkeypatch.setattr(desk.catalogue, "put_installation", put)
    await reported(desk, clock, BUSY, 5)
    assert (await said(desk)).step == BLOCKS


async def test_pages_of_the_staff_are_told(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", "open")
    told: list[tuple[str, str, str]] = []
    desk.control.rules.parts.hub.tell_room = lambda *said: told.append(said)  # type: ignore[method-assign]  # listens in
    await desk.stage()
    await desk.ok("PUT", PATH, desk.operator, json={"step": 3})
    assert [(room, name, json.loads(data)["step"]) for room, name, data in told if name == "ladder"] == [
        ("demo", "ladder", 3)
    ]


async def test_garbage_on_the_bus_is_left_alone(desk: Desk, clock: VirtualClock) -> None:
    for payload in (b"", b"{}", b'{"edge": "x", "cpu_share": -1}', b'{"edge": "x", "connections": 1e99}'):
        await desk.bus.publish(load_subject("x"), payload)
    await clock.advance(2)
    assert (await desk.ok("GET", PATH, desk.operator))["load"]["edges"] == 0
