"""The line on the listener's page and the dials on the staff's, against the mock server."""

from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.pages.conftest import Mock, Opener

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = {"width": 320, "height": 640}


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_standing_in_line_through_everything_that_may_happen(
    mock: Mock, open_page: Opener, language: Literal["en", "ar"]
) -> None:
    await mock.turn("room/live", door={"guarded": True})
    await mock.turn("ticket", position=None, wait_s=None, because="counting")
    tab = await open_page(f"{mock.audience}/r/live", locale=language, viewport=SMALL)
    page, line = tab.page, tab.page.get_by_test_id("line")
    await page.get_by_test_id("listen").click()
    await expect(line).to_have_attribute("data-because", "counting")
    await mock.turn("ticket", overflow="/r/live/live.m3u8")
    await expect(line).to_have_attribute("data-position", "1284")
    assert (await page.title()).startswith("(1,284) ")
    assert await tab.axe() == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    for because in ("rate-lowered", "cap-lowered", "slower-than-thought", "missed-turn", "challenge"):
        await mock.turn("ticket", because=because)
        await expect(line).to_have_attribute("data-because", because)
        said = await page.get_by_test_id("line-because").inner_text()
        assert len(said) > 40
        await expect(page.get_by_test_id("line-said")).to_contain_text(said)
    await mock.turn("away", away=True)
    await expect(line).to_have_attribute("data-away", "true")
    await expect(line).to_have_attribute("data-position", "1284")
    await mock.turn("away", away=False)
    await mock.turn("ticket", position=7, wait_s=[20, 50])
    await expect(line).to_have_attribute("data-position", "7", timeout=15_000)
    await page.reload()
    await expect(line).to_have_attribute("data-position", "7")
    await page.get_by_test_id("line-leave").click()
    await expect(page.get_by_test_id("listen")).to_be_visible()


async def test_a_line_before_the_doors_open(mock: Mock, open_page: Opener) -> None:
    await mock.turn("room/scheduled", door={"guarded": True})
    await mock.turn("ticket", position=None, wait_s=None, because="doors-closed")
    tab = await open_page(f"{mock.audience}/r/scheduled")
    await expect(tab.page.get_by_test_id("autostart")).to_have_count(0)
    await tab.page.get_by_test_id("line-early").click()
    await expect(tab.page.get_by_test_id("line-because")).to_contain_text("the order is drawn then")
    await expect(tab.page.get_by_test_id("line-early")).to_have_count(0)
    assert await tab.axe() == []
    # The door opens before the page has heard that the room has.
    await mock.turn("ticket", admitted=True)
    await expect(tab.page.get_by_test_id("line")).to_have_count(0)
    assert await tab.page.evaluate("window.stentor.player.status") == "connecting"
    await mock.turn("room/scheduled", state="lobby")
    await expect(tab.page.get_by_test_id("stop-listening")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_dials_say_what_they_do_before_they_are_turned(
    mock: Mock, open_page: Opener, language: Literal["en", "ar"]
) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=host", locale=language, viewport=SMALL)
    page, door = tab.page, tab.page.get_by_test_id("door")
    await expect(door).to_have_attribute("data-guarded", "false")
    effect, words = page.get_by_test_id("door-effect"), page.get_by_test_id("door-effect-words")
    await page.get_by_test_id("door-rate").fill("5")
    await expect(effect).to_have_attribute("data-preview", "true")
    await expect(words).to_have_attribute("data-known", "true")
    await expect(page.get_by_test_id("door-plot")).to_have_attribute("data-minutes", "14")
    if language == "en":
        await expect(words).to_contain_text("4,000 wait; at 5 a second the last of them comes in at")
        await expect(words).to_contain_text("(14 minutes from now)")
    assert await tab.axe() == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    assert "PUT rooms/live/door" not in await mock.calls()
    await page.get_by_test_id("door-apply").click()
    await expect(door).to_have_attribute("data-guarded", "true")
    await expect(page.get_by_test_id("door-waiting-now")).to_have_text("4,000")
    assert "PUT rooms/live/door" in await mock.calls()
    # Somebody else turns a dial, and another holds it lower.
    await mock.turn("door", cap=3000, held={"cap": 2500, "cap_by": "ladder"})
    await expect(page.get_by_test_id("door-cap")).to_have_value("3000")
    await expect(page.get_by_test_id("door-cap-held")).to_contain_text("2,500")
    await page.get_by_test_id("door-cap-slider").press("End")
    await expect(page.get_by_test_id("door-cap")).to_have_value("")
    await page.get_by_test_id("door-cap").fill("many")
    await expect(page.get_by_test_id("door-apply")).to_be_disabled()


async def test_lowering_the_cap_says_that_nobody_is_thrown_out(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/#t=operator")
    page = tab.page
    await page.get_by_test_id("door-cap").fill("1000")
    await expect(page.get_by_test_id("door-effect-words")).to_contain_text(
        "4,000 listen now, more than that. All of them stay; nobody new comes in until 3,001 have left."
    )
    await page.get_by_test_id("door-apply").click()
    await expect(page.get_by_test_id("door-rooms")).to_contain_text("In line 4,000")
    assert "PUT installation/door" in await mock.calls()
