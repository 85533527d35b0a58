"""The room's process is killed on air: listeners and speaker go on by themselves, without a click."""

import os
import signal
from typing import Any

import pytest
from playwright.async_api import expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, Opener
from tests.browser.test_evening import all_of, join, listen
from tests.fakes.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_everybody_goes_on_when_the_room_dies(
    site: Installation, api: StaffApi, browsers: Browsers, visit: Opener
) -> None:
    made = await api.call("POST", "/rooms", {"room": "takeover", "title": "Takeover"})
    await api.call("POST", "/rooms/takeover/open", {})
    links: Any = made["links"]
    host = await visit(browsers.bea, links["host"], viewport=DESK)
    ana = await visit(browsers.ana, links["speaker"])
    await join(ana)
    await api.call("POST", "/rooms/takeover/start", {"force": True})
    listeners = [await listen(visit, browsers, links["listener"], way) for way in ("push", "hls")]
    await all_of(listeners, lambda page: page.hears("ana", "Ana is not heard before the takeover"))
    epoch = (await api.call("GET", "/rooms/takeover/roster"))["epoch"]
    (assigned,) = [each for each in site.events("room_process_assigned") if each["room"] == "takeover"]
    os.kill(int(str(assigned["pid"])), signal.SIGKILL)
    await ana.until("document.querySelector('[data-testid=speaker]').dataset.returns === '1'", "Ana does not return")
    await expect(ana.get("air")).to_have_attribute("data-air", "on")
    for page in listeners:
        await page.until(f"window.stentor.player.epoch > {epoch}", "the listener plays no new epoch")
    await all_of(listeners, lambda page: page.hears("ana", "Ana is not heard after the takeover"))
    for page in listeners:
        await expect(page.get("player-status")).to_have_attribute("data-status", "playing")
        await expect(page.get("stop-listening")).to_be_visible()
        await expect(page.get("person")).to_have_count(1)
    roster: Any = await api.call("GET", "/rooms/takeover/roster")
    assert [person["connected"] for person in roster["people"]] == [True]
    await expect(host.get("roster-person")).to_have_count(1)
    await expect(host.get("roster-person")).to_have_attribute("data-heard", "true")
