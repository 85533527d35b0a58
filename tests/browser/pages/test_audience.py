"""The listener's pages in every state of a room."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.pages.conftest import Mock, Opener

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATES = ("draft", "scheduled", "lobby", "live", "held", "ended", "published")


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("address", ["/", *(f"/r/{state}" for state in STATES), "/r/no-such-room"])
async def test_every_state_is_accessible_and_fits_a_small_phone(
    mock: Mock, open_page: Opener, address: str, language: str
) -> None:
    # Contrast depends on the scheme, layout on the language: two of the four show both.
    scheme: Literal["light", "dark"] = "dark" if language == "ar" else "light"
    tab = await open_page(
        mock.audience + address, locale=language, color_scheme=scheme, viewport={"width": 320, "height": 640}
    )
    await tab.page.wait_for_selector("h1")
    for summary in await tab.page.query_selector_all("summary"):
        await summary.click()
    assert await tab.axe() == []
    assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert await tab.page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")


async def test_one_address_through_the_whole_life_without_a_reload(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.audience}/r/scheduled")
    await tab.page.evaluate("window.same = true")
    for state, seen in (
        ("scheduled", "countdown"),
        ("lobby", "listen"),
        ("live", "audience"),
        ("held", "player"),
        ("ended", "ended"),
    ):
        await mock.turn("room/scheduled", state=state)
        await expect(tab.page.get_by_test_id("room")).to_have_attribute("data-state", state, timeout=10_000)
        await expect(tab.page.get_by_test_id(seen)).to_be_visible()
    replay = {"hls": "/none", "recordings": {}, "proof": "/none", "duration_s": 5, "holds": []}
    await mock.turn("room/scheduled", state="published", replay=replay)
    await expect(tab.page.get_by_test_id("replay")).to_be_visible(timeout=10_000)
    assert await tab.page.evaluate("window.same")


async def test_scheduled_room_tells_both_times_and_gives_a_calendar_entry(
    mock: Mock, open_page: Opener, tmp_path: Path
) -> None:
    await mock.turn("room/scheduled", planned_start="2030-07-01T18:00:00.000Z")
    tab = await open_page(f"{mock.audience}/r/scheduled")
    await expect(tab.page.get_by_test_id("start-here")).to_contain_text("8:00")
    await expect(tab.page.get_by_test_id("start-there")).to_contain_text("9:00")
    async with tab.page.expect_download() as download:
        await tab.page.get_by_test_id("add-to-calendar").click()
    file = tmp_path / "event.ics"
    await (await download.value).save_as(file)
    text = file.read_bytes().decode()
    assert "DTSTART:20300701T180000Z\r\n" in text
    assert f"URL:{mock.audience}/r/scheduled\r\n" in text


async def test_key_stands_on_the_page_before_it_opens(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.audience}/r/scheduled")
    shown = await tab.page.get_by_test_id("fingerprint").inner_text()
    assert len(shown.replace(" ", "")) == 64


async def test_unknown_room_says_so_and_leads_to_the_rooms(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.audience}/r/no-such-room")
    await expect(tab.page.get_by_test_id("unknown-room")).to_contain_text("There is no such room")
    await tab.page.get_by_role("link", name="All rooms").last.click()
    await expect(tab.page.get_by_test_id("room-live")).to_be_visible()


async def test_page_waits_for_a_server_that_is_away(mock: Mock, open_page: Opener) -> None:
    await mock.turn("away", away=True)
    tab = await open_page(f"{mock.audience}/r/live")
    await expect(tab.page.get_by_test_id("server-away")).to_contain_text("keeps trying by itself")
    assert await tab.axe() == []
    await mock.turn("away", away=False)
    await expect(tab.page.get_by_test_id("room")).to_be_visible(timeout=15_000)
    await expect(tab.page.get_by_test_id("server-away")).to_have_count(0)


async def test_who_speaks_is_seen_and_said(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.audience}/r/live")
    speaking = tab.page.locator("[data-testid=person][data-speaking=true]")
    await expect(speaking).to_have_count(1)
    await expect(speaking).to_contain_text("speaking")
    await expect(tab.page.get_by_test_id("audience")).to_contain_text("1,284 people are listening")
    await expect(tab.page.get_by_test_id("announcement")).to_contain_text("nine o’clock")


@pytest.mark.parametrize(
    ("language", "blocks", "cached"),
    [
        ("en", "Sound comes in blocks of 1.9 s, so that many people can listen.", "3,000 more through caches"),
        ("ar", "دفعات مدتها", "عبر ذاكرات التخزين المؤقت"),
    ],
)
async def test_size_of_blocks_and_hidden_listeners_are_told_apart(
    mock: Mock, open_page: Opener, language: str, blocks: str, cached: str
) -> None:
    await mock.turn("room/live", audience={"listeners": 1284, "by_beacon": 0}, delivery={"block_steps": 1})
    tab = await open_page(f"{mock.audience}/r/live", locale=language)
    await expect(tab.page.get_by_test_id("audience")).to_be_visible()
    await expect(tab.page.get_by_test_id("delivery")).to_have_count(0)
    await expect(tab.page.get_by_test_id("audience-by-beacon")).to_have_count(0)
    audience = {"listeners": 1284, "by_beacon": 3000}
    await mock.turn("room/live", audience=audience, delivery={"block_steps": 8, "block_s": 1.92})
    await expect(tab.page.get_by_test_id("delivery")).to_contain_text(blocks, timeout=10_000)
    await expect(tab.page.get_by_test_id("audience-by-beacon")).to_contain_text(cached)
    await expect(tab.page.get_by_test_id("audience")).to_have_attribute("data-count", "1284")
    assert await tab.axe() == []


async def test_language_is_remembered(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.audience}/r/held")
    await tab.page.get_by_test_id("language-ar").click()
    await expect(tab.page.get_by_test_id("audience")).to_have_text("11 شخصًا يستمعون")
    await tab.page.reload()
    await expect(tab.page.get_by_test_id("audience")).to_have_text("11 شخصًا يستمعون")
    assert await tab.page.evaluate("document.documentElement.lang") == "ar"


async def test_replay_plays_seeks_and_skips_holds(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.audience}/r/published")
    toggle = tab.page.get_by_test_id("replay-toggle")
    await toggle.click()
    await expect(toggle).to_have_attribute("data-status", "playing", timeout=20_000)
    await tab.page.get_by_test_id("seek").fill("41")
    await expect(tab.page.get_by_test_id("replay-position")).to_have_text("1:01", timeout=10_000)
    await tab.page.get_by_test_id("skip-holds").uncheck()
    await tab.page.get_by_test_id("seek").fill("41")
    await expect(tab.page.get_by_test_id("replay-position")).to_have_text("0:42", timeout=10_000)
    await tab.page.get_by_test_id("replay-rate").select_option("1.5")
    assert await tab.page.evaluate("window.stentor.player.audio.playbackRate") == 1.5
    await toggle.click()
    await expect(toggle).to_have_attribute("data-status", "paused")
    for kind in ("m4a", "opus", "mp3"):
        assert await tab.page.get_by_test_id(f"download-{kind}").get_attribute("download") == f"published.{kind}"
