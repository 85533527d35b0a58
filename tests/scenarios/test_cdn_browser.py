"""The built page in Chromium with a CDN (Varnish with deploy/varnish.vcl) between it and the sound: ``--media-url``."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import async_playwright

import stentor
from tests.fakes.caches import varnish
from tests.fakes.crowd import Counted
from tests.fakes.installation import free_ports
from tests.fakes.wav_room import wav_room

PAGES = Path(stentor.__file__).parent / "web" / "dist"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--autoplay-policy=no-user-gesture-required"]


async def test_the_page_plays_from_a_cdn(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    refused: list[str] = []
    asked: list[str] = []
    async with wav_room(pages=PAGES, media_url=f"http://127.0.0.1:{port}") as room, async_playwright() as playwright:
        counted = Counted(room.edge)
        with varnish(tmp_path, room.port, port):
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = await browser.new_page()
            page.on("console", lambda said: refused.append(said.text) if "Security Policy" in said.text else None)
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(f"http://localhost:{room.port}/r/demo?via=hls")
            await page.get_by_test_id("listen").click()
            async with asyncio.timeout(30):  # the page's policy forbids waiting by an expression
                while not await page.evaluate("window.stentor.player.playing"):  # noqa: ASYNC110 - in the browser
                    await asyncio.sleep(0.1)
            assert await page.evaluate("window.stentor.player.transport") == "hls"
            await browser.close()
    assert refused == []
    media = [urlsplit(url) for url in asked if url.endswith(".m4s") or ".m3u8" in url]
    assert {url.port for url in media} == {port}
    assert {".m3u8", ".m4s"} <= {Path(url.path).suffix for url in media}
    assert counted.per_object() == 1
