"""A challenge in Chromium: a worker solves it under the page's own policy, and the listener is let in and hears."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, Opener
from tests.fakes.installation import Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

HEARS = "window.stentor.player.playing && window.ear.sounds > 3"


async def solved(site: Installation) -> int:
    """Return how many challenges the edges have seen solved."""
    page = (await site.get("/metrics", base=site.private_url)).body.decode()
    return sum(int(float(count)) for count in re.findall(r'challenges_total\{[^}]*"solved"[^}]*\} (\S+)', page))


async def test_a_newcomer_solves_a_challenge_and_hears(
    site: Installation, api: StaffApi, browsers: Browsers, visit: Opener
) -> None:
    made: Any = await api.call("POST", "/rooms", {"room": "asked", "title": "Asked"})
    await api.call("POST", "/rooms/asked/open", {})
    await api.call("PUT", "/rooms/asked/door", {"cap": 5})
    before = await solved(site)
    await api.call("PUT", "/installation", {"challenge": "on"})
    try:
        page = await visit(browsers.bea, made["links"]["listener"], microphone=False)
        await page.click("listen")
        await page.until(HEARS, "nothing is heard", limit_s=60)
        assert await solved(site) == before + 1
        host = await visit(browsers.ana, made["links"]["host"], viewport=DESK)
        await expect(host.get("meter")).to_be_visible()
        await expect(host.get("meter-challenged")).to_be_visible(timeout=20_000)
    finally:
        await api.call("PUT", "/installation", {"challenge": "auto"})
    await api.call("POST", "/rooms/asked/end", {})
