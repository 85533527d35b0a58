"""A real Chromium on the speaker's page, behind a line that takes 40 kbit/s up: it is understood all the same."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from stentor.demo.speech import speak
from stentor.demo.staff_api import StaffApi
from tests.fakes.away import HERE, browser_in, cable
from tests.fakes.installation import free_ports, installation
from tests.scenarios.test_whip_browser import write_wav

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root"),
]


async def sound_of(api: StaffApi) -> dict[str, Any]:
    people: Any = (await api.call("GET", "/rooms/thin/roster"))["people"]
    return next((person["sound"] or {} for person in people if person["connected"]), {})


async def test_a_speaker_with_40_kbit_s_up_is_understood(tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", speak("One room, from microphone to listener, and to the replay. " * 4))
    (staff,) = free_ports(1)
    settings = {"staff_host": HERE, "staff_port": staff, "staff_url": f"http://{HERE}:{staff}", "udp_bind": HERE}
    async with cable() as namespace, installation(tmp_path, **settings) as site:
        api = await site.operator()
        made: Any = await api.call("POST", "/rooms", {"room": "thin", "title": "A thin line"})
        await api.call("POST", "/rooms/thin/open", {})
        async with browser_in(namespace, site.staff_url, tmp_path / "speech.wav") as away:
            context = await away.browser.new_context(
                permissions=["microphone"], locale="en", viewport={"width": 390, "height": 844}
            )
            page = await context.new_page()
            await page.goto(made["links"]["speaker"])
            await page.get_by_test_id("mic-allow").click()
            await page.get_by_test_id("join").click()
            await page.locator("[data-testid=speaker][data-status=on-stage]").wait_for()
            await away.thin(40)
            # The report is of the last 5 s: first it must have been bad, or the line was not thin.
            await until(api, lambda sound: sound.get("loss", 0) > 0.2, "the line loses nothing at 40 kbit/s")
            await until(
                api,
                lambda sound: sound.get("loss", 1) < 0.02 and sound.get("concealed", 1) < 0.02,
                "the speaker is not understood",
            )
            assert await page.get_by_test_id("speaker").get_attribute("data-status") == "on-stage"


async def until(api: StaffApi, holds: Any, why_not: str, limit_s: float = 40.0) -> None:
    end = time.monotonic() + limit_s
    while not holds(said := await sound_of(api)):
        assert time.monotonic() < end, f"{why_not}: {said}"
        await asyncio.sleep(0.2)
