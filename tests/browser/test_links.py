"""A link belongs to the first browser that opens it: moved by the host with one tap; a reload keeps the place."""

from typing import Any

import pytest
from playwright.async_api import expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import DESK, Opener
from tests.browser.test_evening import join

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_link_moves_to_a_new_device_and_survives_a_reload(
    api: StaffApi, browsers: Browsers, visit: Opener
) -> None:
    made = await api.call("POST", "/rooms", {"room": "moving", "title": "Moving"})
    await api.call("POST", "/rooms/moving/open", {})
    links: Any = made["links"]
    host = await visit(browsers.bea, links["host"], viewport=DESK)
    first = await visit(browsers.ana, links["speaker"])
    await join(first)
    people = host.get("roster-person")
    await expect(people).to_have_count(1)
    person = await people.get_attribute("data-person")

    await first.page.reload()
    # Back in place by itself.
    await expect(first.get("air")).to_have_attribute("data-air", "off", timeout=15_000)
    await expect(people).to_have_count(1)
    assert await people.get_attribute("data-person") == person

    second = await visit(browsers.ana, links["speaker"])
    await expect(second.get("session-in-use")).to_contain_text("A link belongs to the first browser that opens it")
    await expect(second.get("session-in-use")).to_contain_text("can move it here with one tap")
    await expect(first.get("air")).to_have_attribute("data-air", "off")
    code = await second.get("device-code").text_content()
    for page in (first, host):
        await expect(page.get("asked")).to_contain_text(str(code))
    await host.click("link-move")
    await expect(first.get("session-replaced")).to_contain_text("let go of the microphone")
    await expect(second.get("role")).to_have_text("Speaker", timeout=10_000)
    await join(second)
    await expect(people).to_have_count(1)
    assert await people.get_attribute("data-person") == person
    await host.until("document.querySelector('[data-testid=roster-person]').dataset.heard === 'true'", "not heard")
