"""A listener raises a hand on the real page, the host invites them, and they speak."""

from typing import Any

import pytest
from playwright.async_api import expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, Opener
from tests.browser.test_evening import join

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_listener_raises_a_hand_is_invited_and_speaks(api: StaffApi, browsers: Browsers, visit: Opener) -> None:
    made = await api.call("POST", "/rooms", {"room": "questions", "title": "Questions"})
    await api.call("POST", "/rooms/questions/open", {})
    links: Any = made["links"]
    host = await visit(browsers.bea, links["host"], viewport=DESK)
    await host.get("hands-open").check()
    listener = await visit(browsers.ana, links["listener"])
    await listener.get("hand-name").fill("Ana")
    await listener.get("hand-name").press("Enter")
    await expect(listener.get("hand-place")).to_have_text("You are first in line.")
    await listener.page.reload()
    await expect(listener.get("hand-place")).to_have_attribute("data-position", "1")

    row = host.get("hand-row")
    await expect(row).to_have_attribute("data-name", "Ana")
    await host.page.get_by_role("button", name="Invite Ana to speak").click()
    await expect(row).to_have_attribute("data-state", "invited")
    await listener.page.get_by_role("link", name="Go to the stage").click(timeout=10_000)
    await expect(listener.get("role")).to_have_text("Speaker")
    await join(listener)
    await host.until(
        "document.querySelector('[data-testid=roster-person][data-name=Ana]')?.dataset.heard === 'true'",
        "the listener is not heard on stage",
    )
    await expect(row).to_have_count(0)

    # On stage a hand goes up in the same line; being called on takes it down.
    await listener.click("own-hand")
    await expect(listener.get("own-place")).to_have_attribute("data-position", "1")
    await host.page.get_by_role("button", name="Call on Ana").click()
    await expect(listener.get("own-place")).to_have_attribute("data-position", "")
