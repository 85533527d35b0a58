"""What holds for the whole installation: stored first, then on the bus, and said again when either was away."""

import asyncio
from typing import Any

import pytest

from stentor.errors import StoreUnavailable
from stentor.room.documents import Dials
from stentor.room.installation import KEY, Challenge, InstallationDocument, LadderWord
from stentor.room.keys import raw_public
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk


async def said(desk: Desk) -> InstallationDocument | None:
    held = await desk.bus.get("installation", KEY)
    return InstallationDocument.model_validate_json(held.value) if held and held.value else None


async def test_it_is_said_at_the_start_with_the_key_of_grants(desk: Desk, clock: VirtualClock) -> None:
    await clock.advance(1.0)
    key = raw_public(desk.control.rules.parts.keys.grants.public_key()).hex()
    assert await said(desk) == InstallationDocument(grants_key=key)


async def test_changes_are_stored_said_and_told(desk: Desk, clock: VirtualClock) -> None:
    installation = desk.control.rules.parts.installation
    told: list[InstallationDocument] = []
    installation.on_change(told.append)
    await installation.change(door=Dials(cap=500), challenge=Challenge.ON)
    document = await installation.change(deny=("192.0.2.0/24",), ladder=LadderWord(step=2, why="Edges are busy."))
    assert (document.door, document.challenge, document.deny) == (Dials(cap=500), Challenge.ON, ("192.0.2.0/24",))
    assert await said(desk) == document == installation.document == told[-1]
    assert len(told) == 2
    assert set(await desk.catalogue.installation()) == {"door", "challenge", "deny", "ladder"}
    assert await installation.change(deny=("192.0.2.0/24",)) == document
    assert len(told) == 2


async def test_a_restarted_control_knows_it_and_mends_the_bus(desk: Desk, clock: VirtualClock) -> None:
    stored = {"door": '{"cap": 7, "per_second": 2.5}', "ladder": '{"step": "many"}', "grants_key": '"forged"'}
    await desk.catalogue.put_installation({**stored, "from-the-future": "1"})
    document = await desk.control.rules.parts.installation.read()
    key = raw_public(desk.control.rules.parts.keys.grants.public_key()).hex()
    assert document == InstallationDocument(door=Dials(cap=7, per_second=2.5), grants_key=key)
    async with asyncio.timeout(10):  # the database has its own time
        while await said(desk) != document:
            await clock.advance(1.0)
            await asyncio.sleep(0.001)


async def test_what_the_catalogue_does_not_take_is_not_said(
    desk: Desk, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clock.advance(1.0)
    before = await said(desk)

    async def away(values: Any) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.catalogue, "put_installation", away)
    with pytest.raises(StoreUnavailable):
        await desk.control.rules.parts.installation.change(door=Dials(cap=1))
    assert await said(desk) == before == desk.control.rules.parts.installation.document
