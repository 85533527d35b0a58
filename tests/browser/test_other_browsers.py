"""Listening in browsers that are not Chromium, as far as they can be driven here (docs/browsers.md)."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from selenium.webdriver.webkitgtk.webdriver import WebDriver

from stentor.clock import SystemClock
from stentor.demo.staff_api import StaffApi, token_of
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from tests.browser.bidi import BidiPage, firefox
from tests.browser.support import EAR, PITCHES
from tests.fakes.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

MINI_BROWSER = Path("/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser")
SEEN = "JSON.stringify({...window.stentor.player, audio: undefined})"


def hum() -> Iterator[Any]:
    """Yield 20 ms after 20 ms of Ana's pitch."""
    at = np.arange(TICK_SAMPLES) / SAMPLE_RATE_HZ
    while True:
        yield (0.3 * np.sin(2 * np.pi * PITCHES["ana"] * at)).astype(np.float32).reshape(1, -1)
        at = at + TICK_SAMPLES / SAMPLE_RATE_HZ


@asynccontextmanager
async def on_air(site: Installation, api: StaffApi, room: str) -> AsyncIterator[str]:
    """Have somebody hum in a room on air; yields the page's address."""
    made: Any = await api.call("POST", "/rooms", {"room": room, "title": "Elsewhere"})
    await api.call("POST", f"/rooms/{room}/open", {})
    source = hum()
    whip = HttpWhip(f"{site.staff_url}/r/{room}/whip", token_of(made["links"]["speaker"]))
    speaker = WhipSpeaker(whip, lambda: next(source), SystemClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(speaker.run())
        async with asyncio.timeout(15):
            await speaker.connected.wait()
        await api.call("POST", f"/rooms/{room}/start", {"force": True})
        yield made["links"]["listener"]
        task.cancel()
    await api.call("POST", f"/rooms/{room}/end", {})


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def address(site: Installation, api: StaffApi) -> AsyncIterator[str]:
    async with on_air(site, api, "elsewhere") as page:
        yield page


async def until(page: BidiPage, expression: str, why_not: str) -> None:
    end = time.monotonic() + 30
    while not await page.evaluate(expression):
        assert time.monotonic() < end, f"{why_not}: {await page.evaluate(SEEN)}"
        await asyncio.sleep(0.1)


@pytest.mark.skipif(shutil.which("firefox-esr") is None, reason="firefox-esr is not installed")
async def test_firefox_goes_on_over_push(address: str, tmp_path: Path) -> None:
    async with firefox(tmp_path) as page:
        # The ear takes the sound away from the card that a test machine does not have.
        await page.before(EAR)
        await page.open(address)
        await until(page, "!!document.querySelector('[data-testid=listen]')", "no button to listen with")
        await page.click("[data-testid=listen]")
        # Without a sound card Firefox keeps Web Audio suspended: what it plays is judged by the room's clock.
        await until(page, "window.stentor.player.playing", "Firefox does not begin")
        at = await page.evaluate("window.stentor.player.position")
        going = f"window.stentor.player.playing && window.stentor.player.position > {at} + 3"
        await until(page, f"{going} && window.stentor.player.latency_s < 4", "Firefox does not go on")
        assert await page.evaluate("window.stentor.player.transport") == "push"


@contextmanager
def webkit() -> Iterator[WebDriver]:
    """Run WebKitGTK's MiniBrowser on a screen of its own."""
    read, write = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x900x24", "-nolisten", "tcp"],
        pass_fds=(write,),
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        display = told.readline().strip()
    options = Options()
    options.binary_location = str(MINI_BROWSER)
    options.add_argument("--automation")
    environment = {**os.environ, "DISPLAY": f":{display}", "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}
    try:
        driver = webdriver.WebKitGTK(options=options, service=Service("/usr/bin/WebKitWebDriver", env=environment))
        driver.set_script_timeout(10)
        try:
            yield driver
        finally:
            driver.quit()
    finally:
        screen.terminate()
        screen.wait()


def listen_in_webkit(address: str) -> dict[str, Any]:
    """Press the button in WebKitGTK; return what the page says and can do, after it played or gave up."""
    with webkit() as driver:
        driver.get(address)
        end = time.monotonic() + 20
        while not (buttons := driver.find_elements(By.CSS_SELECTOR, "[data-testid=listen]")):
            assert time.monotonic() < end, "no button to listen with in WebKitGTK"
        buttons[0].click()
        said: dict[str, Any] = {}
        end = time.monotonic() + 20
        while time.monotonic() < end and not said.get("position"):
            said = driver.execute_script(
                "return {...window.stentor.player, audio: undefined, apple: navigator.vendor,"
                " source: 'MediaSource' in window && MediaSource.isTypeSupported('audio/mp4; codecs=\"mp4a.40.2\"'),"
                " hls: document.createElement('audio').canPlayType('application/vnd.apple.mpegurl'),"
                " error: window.stentor.player.audio.error?.message ?? null,"
                " text: document.querySelector('[data-testid=player-status]')?.innerText}"
            )
            time.sleep(0.1)
        return said


@pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning")  # Selenium's own call
@pytest.mark.skipif(shutil.which("WebKitWebDriver") is None or not MINI_BROWSER.exists(), reason="no WebKitGTK")
async def test_webkitgtk_opens_the_page_and_plays(address: str) -> None:
    try:
        said = await asyncio.to_thread(listen_in_webkit, address)
    except WebDriverException as error:
        pytest.skip(f"WebKitGTK cannot be driven here: {error.msg}")
    assert said["position"] > 0, said
