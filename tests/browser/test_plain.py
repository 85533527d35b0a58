"""Without JavaScript, on a phone, in Arabic: from the room's address to the sound, and the status page."""

import asyncio
import json
import re
import time
from typing import Any

import pytest
from playwright.async_api import expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, PHONE, Opener, Tab
from tests.fakes.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

TITLE = "أمسية مع نور"
WORDS = "نضيف خوادم، ولا يفقد أحد مكانه."


async def listeners(site: Installation, room: str) -> int:
    state = json.loads((await site.get(f"/r/{room}/state.json")).body)
    return int(state["audience"]["listeners"])


async def until_listening(site: Installation, room: str, count: int) -> None:
    end = time.monotonic() + 20
    while (heard := await listeners(site, room)) != count:
        assert time.monotonic() < end, f"{heard} listen to {room}, not {count}"
        await asyncio.sleep(0.1)


async def fits(tab: Tab) -> None:
    """Check that a page is as wide as the phone, and mirrored."""
    assert await tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await expect(tab.page.locator("html")).to_have_attribute("dir", "rtl")


async def test_without_javascript_one_hears_the_room_and_reads_what_happens(
    site: Installation, api: StaffApi, browsers: Browsers, visit: Opener
) -> None:
    await api.call("POST", "/rooms", {"room": "plain", "title": TITLE, "language": "ar"})
    await api.call("POST", "/rooms/plain/open", {})
    await api.call("PUT", "/rooms/plain/door", {"cap": 5})
    phone: dict[str, Any] = {"microphone": False, "java_script_enabled": False, "locale": "ar"}
    tab = await visit(browsers.bea, f"{site.audience_url}/r/plain", **phone)
    await expect(tab.page).to_have_url(re.compile(r"/r/plain/door(\?|$)"))
    await expect(tab.page.locator("h1")).to_have_text(TITLE)
    # A door that has just been set up may count the first for a moment; the page asks again by itself.
    await expect(tab.page.locator("h2").first).to_have_text("أنت في الداخل", timeout=30_000)
    await until_listening(site, "plain", 1)
    await fits(tab)

    operator = await visit(browsers.ana, await site.operator_link(), viewport=DESK)
    await operator.get("status-text").fill(WORDS)
    await operator.click("status-say")
    await expect(operator.get("status-said").first).to_contain_text(WORDS)
    reader = await visit(browsers.bea, f"{site.audience_url}/?plain=1", **phone)
    await expect(reader.page).to_have_url(re.compile(r"/status$"))
    end = time.monotonic() + 20
    while not await reader.page.get_by_text(WORDS).count():
        assert time.monotonic() < end, await reader.page.locator("main").inner_text()
        await reader.page.reload()
    await expect(reader.page.locator("main")).to_contain_text("مستمع واحد")
    await fits(reader)
    await operator.click("status-take-back")
    await expect(operator.get("status-said")).to_have_count(0)
