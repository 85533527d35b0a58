"""A full room in Chromium: two wait, one leaves, the right one is let in and hears; the host turns the dial."""

from typing import Any

import pytest
from playwright.async_api import expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, Opener, Tab

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(150)]

HEARS = "window.stentor.player.playing && window.ear.sounds > 3"


async def press_listen(page: Tab) -> None:
    """Press the button; what was heard before does not count."""
    await page.click("listen")


async def hears(page: Tab) -> None:
    """Wait until the hold sound is heard, and no line is shown."""
    await page.until(HEARS, "nothing is heard", limit_s=60)
    await expect(page.get("line")).to_have_count(0)


async def stands_at(page: Tab, position: int) -> None:
    """Wait until a place in line is shown; nothing is heard there."""
    await expect(page.get("line")).to_have_attribute("data-position", str(position), timeout=30_000)
    assert await page.page.evaluate("window.ear.sounds") == 0


async def test_a_full_room_lets_the_right_one_in(api: StaffApi, browsers: Browsers, visit: Opener) -> None:
    made: Any = await api.call("POST", "/rooms", {"room": "full", "title": "Full"})
    await api.call("POST", "/rooms/full/open", {})
    host = await visit(browsers.ana, made["links"]["host"], viewport=DESK)
    await host.get("door-cap").fill("2")
    await expect(host.get("door-effect-words")).to_have_text("Nobody waits, and 2 places are free.")
    await host.click("door-apply")
    await expect(host.get("door")).to_have_attribute("data-guarded", "true")

    address = made["links"]["listener"]
    first, second, third, fourth = [await visit(browsers.bea, address, microphone=False) for _ in range(4)]
    for page in (first, second):
        await press_listen(page)
        await hears(page)
    await press_listen(third)
    await stands_at(third, 1)
    await press_listen(fourth)
    await stands_at(fourth, 2)
    await expect(host.get("door-inside-now")).to_have_text("2 of 2", timeout=10_000)
    await expect(host.get("door-waiting-now")).to_have_text("2", timeout=10_000)

    await first.click("stop-listening")
    await hears(third)
    await fourth.page.reload()
    await stands_at(fourth, 1)
    await expect(host.get("door-waiting-now")).to_have_text("1", timeout=10_000)

    # The effect is said before anything is changed.
    await host.get("door-cap").fill("10")
    await expect(host.get("door-effect-words")).to_contain_text("1 wait. The last of them comes in at")
    assert await api.call("GET", "/rooms/full/door") | {"cap": 2} == await api.call("GET", "/rooms/full/door")
    await host.click("door-apply")
    await hears(fourth)
    await expect(host.get("door-inside-now")).to_have_text("3 of 10", timeout=10_000)
    await api.call("POST", "/rooms/full/end", {})


async def test_a_place_is_for_one_listener_who_may_move_it(api: StaffApi, browsers: Browsers, visit: Opener) -> None:
    made: Any = await api.call("POST", "/rooms", {"room": "moved", "title": "Moved"})
    await api.call("POST", "/rooms/moved/open", {})
    await api.call("PUT", "/rooms/moved/door", {"cap": 5})
    here = await visit(browsers.bea, made["links"]["listener"], microphone=False)
    await press_listen(here)
    await hears(here)
    async with here.page.expect_popup() as opened:  # a window that a page opens has its tab's storage
        await here.page.evaluate("void window.open(location.href)")
    there = Tab(await opened.value)
    await there.click("listen")
    await expect(there.get("elsewhere")).to_be_visible(timeout=10_000)
    assert await here.page.evaluate("window.stentor.player.playing")
    await there.click("listen-here")
    await there.until("window.stentor.player.playing", "the new page does not play", limit_s=30)
    await expect(here.get("elsewhere")).to_be_visible(timeout=10_000)
    await api.call("POST", "/rooms/moved/end", {})
