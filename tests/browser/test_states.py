"""Every page of a real server in every state, in English and Arabic: accessible, mirrored, nothing untranslated."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from stentor.demo.staff_api import StaffApi, token_of
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, ROOT, Opener, Tab
from tests.browser.test_evening import join
from tests.fakes.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS = {
    "draft": (), "scheduled": (), "lobby": ("open",), "live": ("open", "start"), "held": ("open", "start", "hold"),
    "ended": ("open", "start", "end"), "published": ("open", "start", "hold", "resume", "end"),
}  # fmt: skip
TITLE = "أمسية"

# What people see or hear of the page, without what is not the page's own: addresses, keys, commands, other languages.
TEXTS = """() => {
  const foreign = "bdi, code, pre, script, style, noscript, [data-testid=form-zone], [data-testid=mic-pick], "
    + "[lang]:not([lang=ar])";
  const own = (element) => !element.closest(foreign);
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (own(walk.currentNode.parentElement)) found.push(walk.currentNode.data);
  for (const element of document.querySelectorAll("[aria-label], [title], [placeholder], [aria-valuetext]")) {
    if (!own(element)) continue;
    for (const name of ["aria-label", "title", "placeholder", "aria-valuetext"]) {
      found.push(element.getAttribute(name) ?? "");
    }
  }
  return found.filter((text) => !/^\\s*https?:/.test(text));
}"""
LATIN = re.compile(r"[A-Za-z]{2,}")
ARABIC_CATALOGUE = "".join(
    text
    for name in ("ar.ts", "ar_staff.ts")
    for text in re.findall(r'"((?:[^"\\]|\\.)*)",?$', (ROOT / "web/src/i18n" / name).read_text(), re.M)
)
ALLOWED = {*LATIN.findall(ARABIC_CATALOGUE), "GMT", "UTC", "OPUS", "xyz"}


async def until_recorded(site: Installation, room: str) -> None:
    """Wait until something of a room that is on air can be played again."""
    end = time.monotonic() + 20
    while (answer := await site.get(f"/r/{room}/replay.m3u8")).status != 200:
        assert time.monotonic() < end, f"nothing of {room} is recorded: {answer.body!r}"
        await asyncio.sleep(0.1)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def links(site: Installation, api: StaffApi) -> AsyncIterator[dict[str, dict[str, str]]]:
    """A room in each state, by state: its links."""
    found: dict[str, Any] = {}
    for state, steps in STEPS.items():
        fields: dict[str, object] = {"title": f"{TITLE} {len(found)}", "language": "ar", "description": "حديث عن البحر"}
        if state == "scheduled":
            start = datetime.now(UTC) + timedelta(days=3, hours=2)
            fields |= {"planned_start": start.isoformat(), "time_zone": "Asia/Beirut"}
        if state == "ended":
            fields["recorded"] = False
        made = await api.call("POST", "/rooms", {"room": state, **fields})
        found[state] = made["links"]
        listed: Any = await api.call("GET", f"/rooms/{state}/links")
        for link in listed["links"]:
            await api.call("DELETE", f"/rooms/{state}/links/{link['link']}")
        for role, name in (("host", "سارة"), ("speaker", "آنا")):
            link = await api.call("POST", f"/rooms/{state}/links", {"role": role, "name": name})
            found[state][role] = link["url"]
        for step in steps:
            await api.call("POST", f"/rooms/{state}/{step}", {"force": True} if step == "start" else {})
            if step == "start" and state != "ended":
                await until_recorded(site, state)
        if state == "live":
            await api.call("PUT", "/rooms/live/announcement", {"text": "نعود عند التاسعة"})
    yield found
    for state in ("lobby", "live", "held"):
        await api.call("POST", f"/rooms/{state}/end", {})


async def judge(tab: Tab, *, width: int, names: str = "") -> None:
    """Check the page as it is now, in English, then in Arabic; ``names`` are people's own words."""
    for language in ("en", "ar"):
        await tab.click(f"language-{language}")
        await tab.until(f"document.documentElement.lang === '{language}'", "the language does not change")
        assert await tab.axe() == []
        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert await tab.page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    left = {word for text in await tab.page.evaluate(TEXTS) for word in LATIN.findall(text)} - ALLOWED
    left -= set(LATIN.findall(names))
    assert not left, f"English is left in the Arabic page: {left}"


@pytest.mark.parametrize("address", ["/", "/r/xyz", *(f"/r/{state}" for state in STEPS if state != "draft")])
async def test_listeners_pages(
    site: Installation, links: dict[str, Any], browsers: Browsers, visit: Opener, address: str
) -> None:
    tab = await visit(browsers.ana, site.audience_url + address, microphone=False)
    await tab.page.wait_for_selector("h1")
    state = address.removeprefix("/r/")
    if state in STEPS:
        # What was not recorded has no replay to wait for.
        await expect(tab.get("room")).to_have_attribute("data-state", re.compile(f"{state}|published"))
    if state == "ended":
        await expect(tab.get("room-state")).to_have_text("Ended")
    if state == "published":
        await expect(tab.get("replay")).to_be_visible(timeout=15_000)
    if state in ("lobby", "live", "held"):
        await tab.click("listen")
        await tab.until("window.stentor.player.playing", "it does not play")
    for summary in await tab.page.query_selector_all("summary"):
        await summary.click()
    await judge(tab, width=390)


async def test_speakers_page_before_and_after_joining(links: dict[str, Any], browsers: Browsers, visit: Opener) -> None:
    tab = await visit(browsers.ana, links["held"]["speaker"])
    await tab.get("name").fill("آنا")
    await tab.get("name").press("Enter")
    await judge(tab, width=390)
    await tab.click("language-en")
    await join(tab)
    await judge(tab, width=390)
    await tab.click("language-en")
    again = await visit(browsers.bea, links["held"]["speaker"])
    await expect(again.get("session-in-use")).to_be_visible()
    await judge(again, width=390)
    await tab.click("leave")


async def staff(visit: Opener, browser: Browser, url: str) -> Tab:
    tab = await visit(browser, url, viewport=DESK)
    await tab.page.wait_for_selector("h1")
    for summary in await tab.page.query_selector_all("summary"):
        await summary.click()
    return tab


@pytest.mark.parametrize("state", ["draft", "lobby", "published"])
async def test_hosts_pages(links: dict[str, Any], browsers: Browsers, visit: Opener, state: str) -> None:
    tab = await staff(visit, browsers.ana, links[state]["host"])
    await expect(tab.get("show")).to_have_attribute("data-state", state)
    await judge(tab, width=1280)


async def test_operators_page(
    site: Installation, api: StaffApi, links: dict[str, Any], browsers: Browsers, visit: Opener
) -> None:
    made = await api.call("POST", "/rooms/draft/links", {"role": "moderator", "name": "مها"})
    moderator = await staff(visit, browsers.ana, str(made["url"]))
    await expect(moderator.get("role")).to_be_visible()
    await judge(moderator, width=1280)
    operator = await staff(visit, browsers.ana, await site.operator_link())
    await expect(operator.get("rooms")).to_be_visible()
    others: Any = (await api.call("GET", "/rooms"))["rooms"]
    await judge(operator, width=1280, names=" ".join(room["title"] for room in others))


async def test_who_has_no_link_is_told(
    site: Installation, links: dict[str, Any], browsers: Browsers, visit: Opener
) -> None:
    for url, said in (
        (f"{site.staff_url}/r/live", "session-none"),
        (f"{site.staff_url}/r/live#t=x", "session-invalid"),
    ):
        tab = await visit(browsers.ana, url)
        await expect(tab.get(said)).to_be_visible()
        await judge(tab, width=390)
    token = token_of(links["live"]["host"])
    tab = await visit(browsers.ana, f"{site.staff_url}/r/lobby#t={token}")
    await expect(tab.get("session-forbidden")).to_be_visible()
