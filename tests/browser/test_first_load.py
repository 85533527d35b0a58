"""What a listener's page weighs on the wire before it plays, and that nothing is loaded that is not needed."""

import asyncio
import http.client
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import Opener
from tests.browser.test_evening import listen
from tests.fakes.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT_BYTES = 60_000


def wire_bytes(url: str, encoding: str) -> int:
    """Return how many bytes of body come for a GET that accepts one content coding."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path, headers={"Accept-Encoding": encoding})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, url
    connection.close()
    return len(body)


async def test_first_load_is_small_and_hls_js_waits_until_it_is_needed(
    site: Installation, api: StaffApi, browsers: Browsers, visit: Opener
) -> None:
    made: Any = await api.call("POST", "/rooms", {"room": "light", "title": "Light"})
    await api.call("POST", "/rooms/light/open", {})
    loaded: list[str] = []
    page = await visit(browsers.bea, "about:blank", microphone=False)
    page.page.on("response", lambda answer: loaded.append(answer.url))
    await page.page.goto(made["links"]["listener"])
    await page.click("listen")
    await page.until("window.stentor.player.playing", "the push does not play")
    files = [url for url in loaded if "/assets/" in url or url.endswith("/r/light")]
    assert len(files) > 2, loaded
    for encoding in ("br", "gzip"):
        sizes = {url: await asyncio.to_thread(wire_bytes, url, encoding) for url in files}
        assert sum(sizes.values()) <= LIMIT_BYTES, f"{encoding}: {sizes}"
    assert not [url for url in loaded if re.search("hls", url)], "hls.js is loaded though the push is used"
    assert (await page.page.evaluate("window.stentor.player.transport")) == "push"
    by_hls = await listen(visit, browsers, made["links"]["listener"], "hls")
    scripts = await by_hls.page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert [url for url in scripts if re.search("/assets/.*hls", url)], scripts
    await api.call("POST", "/rooms/light/end", {})
