"""Raised hands on the listener's and the host's page, against the mock server."""

from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.pages.conftest import Mock, Opener

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = {"width": 320, "height": 640}
URL = "http://127.0.0.1:1/r/live#t=x"


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_a_listeners_hand_from_the_form_to_the_invitation(
    mock: Mock, open_page: Opener, language: Literal["en", "ar"]
) -> None:
    tab = await open_page(
        f"{mock.audience}/r/live", locale=language, viewport=SMALL, color_scheme="dark" if language == "ar" else "light"
    )
    card, page = tab.page.get_by_test_id("hand"), tab.page
    # With the keyboard alone; the focus goes to what is said, as the form is gone.
    await page.get_by_test_id("hand-name").fill("Mariam")
    await page.get_by_test_id("hand-name").press("Enter")
    await expect(card).to_have_attribute("data-status", "waiting")
    await expect(page.get_by_test_id("hand-place")).to_have_attribute("data-position", "2")
    assert await page.evaluate("document.activeElement.getAttribute('role')") == "status"
    assert await tab.axe() == []
    await mock.turn("hand", state="invited", url=URL)
    await expect(page.get_by_test_id("hand-join")).to_have_attribute("href", URL)
    assert await tab.axe() == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    await page.get_by_test_id("hand-decline").click()
    await expect(card).to_have_attribute("data-status", "down")
    await expect(page.get_by_test_id("hand-name")).to_have_value("Mariam")


async def test_what_the_line_says_is_said_and_nothing_asks_that_has_no_hand_up(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.audience}/r/live")
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/hand") else None)
    card, raise_hand = tab.page.get_by_test_id("hand"), tab.page.get_by_test_id("hand-raise")
    await tab.page.get_by_test_id("hand-name").fill("Mariam")
    for state, said in (
        ("full", "The line is full for now."),
        ("closed", "The hosts take no more questions for now."),
        ("declined", "The hosts have lowered your hand."),
    ):
        await mock.turn("hand", state=state)
        await raise_hand.click()
        await expect(card).to_have_attribute("data-status", state)
        await expect(card).to_contain_text(said)
    assert len(asked) == 3
    await mock.turn("hand", state="waiting")
    await raise_hand.click()
    await expect(card).to_have_attribute("data-status", "waiting")
    await mock.turn("hand", state="none")
    await expect(card).to_contain_text("Your hand is down again.")
    await mock.turn("room/live", hands_open=False)
    await expect(raise_hand).to_have_count(0, timeout=10_000)


async def test_hosts_see_the_line_and_speakers_their_place(mock: Mock, open_page: Opener) -> None:
    host = await open_page(f"{mock.staff}/r/live#t=host", viewport=SMALL)
    rows = host.page.get_by_test_id("hand-row")
    await expect(rows).to_have_count(4)
    await expect(host.page.get_by_test_id("hands")).to_contain_text("May have left")
    assert await host.axe() == []
    assert await host.page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    await host.page.get_by_role("button", name="Invite محمد الأمين to speak").click()
    await expect(rows.nth(1)).to_have_attribute("data-state", "invited")
    await host.page.get_by_role("button", name="Lower the hand of Mariam Said").click()
    await expect(rows).to_have_count(3)
    await host.page.get_by_role("switch", name="Listeners may raise their hands").uncheck()
    calls = await mock.calls()
    for call in ("POST rooms/live/hands/h2/invite", "DELETE rooms/live/hands/h1", "PUT rooms/live/hands"):
        assert call in calls
