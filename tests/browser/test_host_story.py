"""What a host does with people: sees how they sound, mutes all, shares and hands over the room, removes and blocks."""

from typing import Any

import pytest
from playwright.async_api import expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, Opener, Tab
from tests.browser.test_evening import join

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOM = "/rooms/people"


async def link(api: StaffApi, role: str, name: str) -> str:
    """Return the address that somebody is sent."""
    made: Any = await api.call("POST", f"{ROOM}/links", {"role": role, "name": name})
    return str(made["url"])


def row(page: Tab, name: str) -> Any:
    """Return somebody's row of the roster."""
    return page.page.locator(f"[data-testid=roster-person][data-name={name}]")


async def choose(page: Tab, name: str, testid: str) -> None:
    """Do something with a person on stage."""
    await row(page, name).get_by_test_id("roster-more").click()
    await page.click(testid)


async def test_a_host_looks_after_people(api: StaffApi, browsers: Browsers, visit: Opener) -> None:
    await api.call("POST", "/rooms", {"room": "people", "title": "People"})
    await api.call("POST", f"{ROOM}/open", {})
    host = await visit(browsers.bea, await link(api, "host", "Bea"), viewport=DESK)
    ana = await visit(browsers.ana, await link(api, "speaker", "Ana"))
    cid = await visit(browsers.bea, await link(api, "speaker", "Cid"))
    await join(ana)
    await join(cid)
    await expect(host.get("seats")).to_have_attribute("data-taken", "2")

    # How they sound: a light, a sentence, and the numbers behind it.
    light = row(host, "Ana").get_by_test_id("sound")
    await expect(light).to_have_attribute("data-light", "good", timeout=10_000)
    await light.locator("summary").click()
    await expect(light.get_by_test_id("sound-loss")).to_have_text("0.0 %")
    await expect(ana.get("sound-hint")).to_have_count(0)

    await host.click("mute-all")
    await expect(host.get("mute-all-status")).to_have_text("Muted: Ana, Cid")
    for page in (ana, cid):
        await expect(page.get("muted")).to_contain_text("Only a host can unmute you")
    await row(host, "Ana").get_by_test_id("roster-mute").click()
    await expect(ana.get("muted")).to_have_count(0)

    # Ana becomes co-host and then host where she is, and is not interrupted.
    await choose(host, "Ana", "make-cohost")
    await expect(ana.get("role-news")).to_have_text("You are a co-host now: you can run the show.")
    await expect(ana.get("show")).to_be_visible()
    await choose(host, "Ana", "make-host")
    await expect(ana.get("role-news")).to_have_text("You are the host now: Bea handed over to you.")
    await expect(host.get("role")).to_have_text("Co-host")
    await expect(ana.get("speaker")).to_have_attribute("data-returns", "0")
    await expect(ana.get("air")).to_have_attribute("data-air", "off")

    await choose(ana, "Cid", "roster-remove")
    await ana.click("remove-block")
    await ana.click("remove-confirm")
    await expect(row(ana, "Cid")).to_have_count(0)
    await expect(cid.get("session-invalid")).to_be_visible()
    # Another link does not help this browser, until somebody lets it in.
    again = await link(api, "speaker", "Cid")
    await cid.page.goto(again)
    await expect(cid.get("session-blocked")).to_be_visible()
    await ana.get("blocks").locator("summary").click()
    await ana.click("unblock")
    await expect(ana.get("block")).to_have_count(0)
    await cid.page.reload()
    await expect(cid.get("role")).to_have_text("Speaker")
    await api.call("POST", f"{ROOM}/end", {})
