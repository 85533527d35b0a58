"""Rehearsals at control: permits that operators give and take back, verdicts that a change of configuration voids."""

from typing import Any

import pytest

from stentor.errors import Forbidden
from stentor.room.installation import KEY, InstallationDocument
from stentor.room.permits import PermitReader
from tests.fakes.clock import START_NS, VirtualClock
from tests.fakes.staff import Desk

ROOM = "/api/v1/rooms/demo"
ASKED = {"listeners": 2_000, "per_second": 500.0, "minutes": 30, "networks": ["198.51.100.7", "2001:db8::/32"]}
NOW_S = START_NS // 1_000_000_000


def verdict(configuration: dict[str, Any] | None) -> dict[str, Any]:
    finding = {"key": "worse", "what": "positions that got worse", "value": 0, "at_most": 0, "met": True}
    return {
        "rehearsal": "r1",
        "outcome": "met",
        "summary": "Every objective was met.",
        "begun_at": "2026-11-23T06:00:00Z",
        "ended_at": "2026-11-23T06:05:00Z",
        "listeners": 2_000,
        "per_second": 500,
        "findings": [finding],
        "configuration": configuration,
        "series": {"begins_s": 1, "every_s": 1, "values": {}},
    }


async def document(desk: Desk) -> InstallationDocument:
    held = await desk.bus.get("installation", KEY)
    assert held is not None
    assert held.value is not None
    return InstallationDocument.model_validate_json(held.value)


async def test_a_permit_is_signed_and_told_to_the_edges(desk: Desk) -> None:
    await desk.room()
    given = await desk.ok("POST", f"{ROOM}/permits", desk.operator, json=ASKED)
    said = await document(desk)
    permit = PermitReader(said.grants_key).read(given["token"])
    assert (permit.room, permit.listeners, permit.per_second) == ("demo", 2_000, 500.0)
    assert (permit.begins_s, permit.expires_s) == (NOW_S, NOW_S + 1_800)
    assert [each.id for each in said.permits] == [permit.id]
    assert {"198.51.100.7/32", "2001:db8::/32"} <= set(said.unlimited)
    listed = (await desk.ok("GET", f"{ROOM}/permits", desk.operator))["permits"]
    assert [(each["permit"], each["token"]) for each in listed] == [(permit.id, None)]


async def test_a_permit_is_taken_back_or_runs_out(desk: Desk, clock: VirtualClock) -> None:
    await desk.room()
    first = await desk.ok("POST", f"{ROOM}/permits", desk.operator, json=ASKED)
    await desk.ok("POST", f"{ROOM}/permits", desk.operator, json=ASKED | {"minutes": 1})
    assert (await desk.call("DELETE", f"{ROOM}/permits/{first['permit']}", desk.operator)).status_code == 204
    assert [each.id for each in (await document(desk)).permits] != []
    assert (await desk.call("DELETE", f"{ROOM}/permits/{first['permit']}", desk.operator)).status_code == 404
    await clock.advance(61.0)
    assert (await desk.ok("GET", f"{ROOM}/permits", desk.operator))["permits"] == []


async def test_only_operators_permit(desk: Desk) -> None:
    links = await desk.room()
    host = await desk.session(links["host"])
    assert (await desk.call("POST", f"{ROOM}/permits", host, json=ASKED)).status_code == 403
    assert (await desk.call("POST", f"{ROOM}/rehearsals", host, json=verdict(None))).status_code == 403
    assert (await desk.call("GET", f"{ROOM}/rehearsals", host)).json() == {"last": None}


@pytest.mark.parametrize(
    "change",
    [{"listeners": 0}, {"per_second": 0}, {"minutes": 0}, {"networks": ["here"]}, {"forever": True}],
)
async def test_permits_that_make_no_sense_are_refused(desk: Desk, change: dict[str, Any]) -> None:
    await desk.room()
    assert (await desk.call("POST", f"{ROOM}/permits", desk.operator, json=ASKED | change)).status_code == 400


async def test_a_change_of_configuration_voids_the_verdict(desk: Desk) -> None:
    links = await desk.room()
    host = await desk.session(links["host"])
    configuration = await desk.ok("GET", f"{ROOM}/configuration", desk.operator)
    kept = await desk.ok("POST", f"{ROOM}/rehearsals", desk.operator, json=verdict(configuration))
    assert (kept["void"], kept["changed"]) == (False, [])
    await desk.ok("POST", f"{ROOM}/permits", desk.operator, json=ASKED)
    assert (await desk.ok("GET", f"{ROOM}/rehearsals", host))["last"]["void"] is False
    await desk.ok("PUT", f"{ROOM}/door", host, json={"cap": 900})
    last = (await desk.ok("GET", f"{ROOM}/rehearsals", host))["last"]
    assert (last["void"], last["changed"]) == (True, ["room"])
    assert last["verdict"]["findings"][0]["key"] == "worse"
    assert (await desk.ok("GET", f"{ROOM}/configuration", host))["dials"]["cap"] == 900
    await desk.ok("PUT", f"{ROOM}/door", host, json={"cap": None})
    assert (await desk.ok("GET", f"{ROOM}/rehearsals", host))["last"]["void"] is False


async def test_a_verdict_about_nothing_known_is_void(desk: Desk) -> None:
    await desk.room()
    kept = await desk.ok("POST", f"{ROOM}/rehearsals", desk.operator, json=verdict(None))
    assert kept["void"] is True


async def test_what_another_key_signed_is_no_permit(desk: Desk) -> None:
    await desk.room()
    given = await desk.ok("POST", f"{ROOM}/permits", desk.operator, json=ASKED)
    said = await document(desk)
    head, body, seal = given["token"].split(".")
    reader = PermitReader(said.grants_key)
    for forged in (f"{head}.{body}.{seal[::-1]}", f"{head}.{body}", "x" * 2_000, desk.operator):
        with pytest.raises(Forbidden):
            reader.read(forged)
