"""A whole evening through the real pages and their real links, in Chromium, and its talk once more over TLS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from playwright.async_api import expect

from stentor.clock import SystemClock
from stentor.demo.staff_api import ProblemError, StaffApi, token_of
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.media.grid import TICK_SAMPLES
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, Opener, Tab
from tests.fakes.installation import Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


@asynccontextmanager
async def silent_speaker(site: Installation, room: str, link: str) -> AsyncIterator[None]:
    """Seat somebody whose microphone gives nothing."""
    whip = HttpWhip(f"{site.staff_url}/r/{room}/whip", token_of(link), tls=site.tls)
    speaker = WhipSpeaker(whip, lambda: np.zeros((1, TICK_SAMPLES), np.float32), SystemClock())

    async def until_refused() -> None:
        with suppress(ProblemError):
            await speaker.run()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(until_refused())
        async with asyncio.timeout(15):
            await speaker.connected.wait()
        yield
        task.cancel()


async def invite(host: Tab, name: str) -> str:
    """Make a speaker's link on the host's page; return its address."""
    await host.get("link-name").fill(name)
    await host.click("link-create")
    await expect(host.page.get_by_text(f"Send this link to {name}")).to_be_visible()
    return str(await host.get("new-link").get_attribute("href"))


async def join(page: Tab) -> None:
    """Go through the speaker's page: microphone, level, join."""
    await page.click("mic-allow")
    await expect(page.get("mic-pick").locator("option")).not_to_have_count(0)
    await expect(page.get("mic-level-word")).not_to_have_text("Say something")
    await page.click("join")
    await expect(page.get("air")).to_have_attribute("data-air", "off", timeout=15_000)
    await expect(page.get("air")).to_contain_text("OFF AIR")


async def listen(visit: Opener, browsers: Browsers, url: str, transport: str) -> Tab:
    """Open the room's page as a listener and press the button."""
    page = await visit(browsers.bea, url + ("" if transport == "push" else f"?via={transport}"), microphone=False)
    await page.click("listen")
    await page.until("window.stentor.player.playing", f"{transport} does not play", limit_s=30)
    assert await page.page.evaluate("window.stentor.player.transport") == transport
    return page


async def start_with_everybody_asked(host: Tab, bea: Tab) -> None:
    """Press start while one is muted and one was never heard; then unmute and go on air anyway."""
    await bea.click("self-mute")
    await expect(bea.get("muted")).to_have_attribute("data-by", "self")
    await host.click("do-start")
    await expect(host.get("not-ready")).to_contain_text("Bea: muted")
    await expect(host.get("not-ready")).to_contain_text("Cid: not heard yet")
    await expect(host.get("not-ready")).not_to_contain_text("Ana")
    await host.click("not-ready-wait")
    await bea.click("self-mute")
    await expect(bea.get("muted")).to_have_count(0)
    await host.until(
        "document.querySelector('[data-testid=roster-person][data-name=Bea]')?.dataset.muted === ''", "Bea stays muted"
    )
    await host.click("do-start")
    await expect(host.get("not-ready-person")).to_have_count(1)
    await host.click("start-anyway")


async def all_of(pages: list[Tab], act: Callable[[Tab], Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for page in pages:
            group.create_task(act(page))


async def on_air(host: Tab, ana: Tab, bea: Tab, listeners: list[Tab]) -> None:
    """Everybody hears whom they should."""
    for page in (ana, bea):
        await expect(page.get("air")).to_have_attribute("data-air", "on")
    await expect(ana.page).to_have_title("🔴 ON AIR · An evening")
    await all_of(listeners, lambda page: page.hears("ana", "a listener does not hear Ana"))
    await all_of(listeners, lambda page: page.hears("bea", "a listener does not hear Bea"))
    await all_of([ana], lambda page: page.hears("bea", "Ana does not hear Bea"))
    await all_of([bea], lambda page: page.hears("ana", "Bea does not hear Ana"))
    assert await ana.page.evaluate("window.ear.ana") == 0, "Ana hears herself"
    assert await bea.page.evaluate("window.ear.bea") == 0, "Bea hears herself"
    await expect(host.get("recording")).to_have_attribute("data-on", "true")


async def hold_and_resume(host: Tab, ana: Tab, bea: Tab, listeners: list[Tab]) -> None:
    await host.click("do-hold")
    await expect(ana.get("air")).to_have_attribute("data-air", "off")
    await all_of(listeners, lambda page: page.stops_hearing("ana", "Ana is heard on hold"))
    await all_of(listeners, lambda page: page.stops_hearing("bea", "Bea is heard on hold"))
    await all_of(listeners, Tab.hears_hold_only)
    await bea.hears("ana", "the stage does not hear itself on hold")
    await host.click("do-resume")
    await expect(ana.get("air")).to_have_attribute("data-air", "on")
    await all_of(listeners, lambda page: page.hears("ana", "Ana is not heard after the hold"))


async def mute_and_remove(host: Tab, bea: Tab, listeners: list[Tab]) -> None:
    row = host.page.locator("[data-testid=roster-person][data-name=Bea]")
    await row.get_by_test_id("roster-mute").click()
    await expect(bea.get("muted")).to_contain_text("Only a host can unmute you")
    await expect(bea.get("self-mute")).to_be_disabled()
    await all_of(listeners, lambda page: page.stops_hearing("bea", "Bea is heard though muted"))
    await all_of(listeners, lambda page: page.hears("ana", "Ana is not heard beside muted Bea"))
    await row.get_by_test_id("roster-more").click()
    await host.click("roster-remove")
    await host.click("remove-confirm")
    await expect(row).to_have_count(0)
    await expect(bea.get("session-invalid")).to_contain_text("This link does not work")
    names = listeners[0].page.locator("[data-testid=person]")
    await expect(names.filter(has_text="Bea")).to_have_count(0)
    await expect(names.filter(has_text="Ana")).to_have_count(1)


async def replay(page: Tab, site: Installation) -> None:
    """The page that listened plays the recording: seek bar, hold marked and skippable, downloads."""
    await expect(page.get("replay")).to_be_visible(timeout=30_000)
    document = await page.page.evaluate("fetch(location.pathname + '/state.json').then((answer) => answer.json())")
    (hold,) = document["replay"]["holds"]
    await expect(page.get("hold")).to_have_count(1)
    await page.click("replay-toggle")
    await expect(page.get("replay-toggle")).to_have_attribute("data-status", "playing", timeout=20_000)
    await page.hears("ana", "Ana is not heard in the replay")
    before = int(hold["start_s"])
    await page.get("seek").fill(str(before))
    await page.until(f"window.stentor.replay.position >= {hold['end_s']} - 0.1", "the hold is not skipped")
    await page.get("skip-holds").uncheck()
    await page.get("seek").fill(str(before + 1))
    await page.until(
        f"window.stentor.replay.position > {before + 1} && window.stentor.replay.position < {hold['end_s']}",
        "the hold is not played though asked for",
    )
    await page.click("replay-toggle")
    for kind, said in (("m4a", "audio/mp4"), ("opus", "audio/ogg"), ("mp3", "audio/mpeg")):
        address = str(await page.get(f"download-{kind}").get_attribute("href"))
        answer = await site.get(address)
        assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, said)
        assert len(answer.body) > 20_000


async def evening(site: Installation, browsers: Browsers, visit: Opener) -> None:
    operator: StaffApi = await site.operator()
    made = await operator.call("POST", "/rooms", {"room": "evening", "title": "An evening"})
    links: Any = made["links"]
    host = await visit(browsers.ana, links["host"], viewport=DESK)
    await host.click("do-open")
    ana = await visit(browsers.ana, await invite(host, "Ana"))
    bea = await visit(browsers.bea, await invite(host, "Bea"))
    cid = await invite(host, "Cid")
    await join(ana)
    await join(bea)
    listeners = [await listen(visit, browsers, links["listener"], way) for way in ("push", "hls")]
    await all_of(listeners, Tab.hears_hold_only)
    async with silent_speaker(site, "evening", cid):
        await start_with_everybody_asked(host, bea)
        await on_air(host, ana, bea, listeners)
        await hold_and_resume(host, ana, bea, listeners)
        await mute_and_remove(host, bea, listeners)
        await host.get("announce-text").fill("Back at <b>nine</b>")
        await host.click("announce-send")
        for page in listeners:
            await expect(page.get("announcement")).to_contain_text("Back at <b>nine</b>")
        await host.click("do-end")
        await host.click("end-confirm")
        await expect(ana.get("speaker")).to_contain_text("The talk is over")
        await replay(listeners[0], site)


async def test_an_evening_from_doors_to_replay(site: Installation, browsers: Browsers, visit: Opener) -> None:
    await evening(site, browsers, visit)


async def test_everybody_hears_whom_they_should_over_tls(
    tls_site: Installation, browsers: Browsers, visit: Opener
) -> None:
    operator: StaffApi = await tls_site.operator()
    made = await operator.call("POST", "/rooms", {"room": "evening", "title": "An evening"})
    links: Any = made["links"]
    host = await visit(browsers.ana, links["host"], viewport=DESK)
    await host.click("do-open")
    ana = await visit(browsers.ana, await invite(host, "Ana"))
    bea = await visit(browsers.bea, await invite(host, "Bea"))
    await join(ana)
    await join(bea)
    listeners = [await listen(visit, browsers, links["listener"], way) for way in ("push", "hls")]
    await ana.hears("bea", "Ana does not hear Bea before the start")
    await bea.hears("ana", "Bea does not hear Ana before the start")
    await host.click("do-start")
    await on_air(host, ana, bea, listeners)
