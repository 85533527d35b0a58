"""Chromium, and the mock server that the pages were built against."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

ROOT = Path(__file__).parents[3]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
PHONE = {"width": 390, "height": 844}


@dataclass
class Mock:
    """The two ports of the mock server, and its knobs."""

    audience: str
    staff: str
    client: httpx.AsyncClient

    async def turn(self, knob: str, **values: object) -> None:
        """Turn a knob: ``room/live``, ``stage/live``, ``event/live/session``, ``away``."""
        (await self.client.post(f"{self.audience}/mock/{knob}", json=values)).raise_for_status()

    async def calls(self) -> list[str]:
        """Return what the pages asked the staff API to change."""
        answer: list[str] = (await self.client.get(f"{self.audience}/mock/calls")).json()
        return answer


@dataclass
class Tab:
    """A page with what went wrong in it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    async def axe(self) -> list[str]:
        """Return what axe-core finds wrong, each with its elements."""
        # As a script of the tools, not of the page, whose policy allows no script but its own.
        found = await self.page.evaluate(AXE.read_text() + "; axe.run(document, {resultTypes: ['violations']})")
        return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}" for each in found["violations"]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def mock_server() -> AsyncIterator[Mock]:
    process = await asyncio.create_subprocess_exec(
        "node", str(ROOT / "web" / "mock" / "server.mjs"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    urls: dict[str, str] = json.loads(await process.stdout.readline())
    async with httpx.AsyncClient() as client:
        yield Mock(urls["audience"], urls["staff"], client)
    process.terminate()
    await process.wait()


@pytest_asyncio.fixture(loop_scope="session")
async def mock(mock_server: Mock) -> Mock:
    await mock_server.turn("reset")
    return mock_server


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator["Opener"]:
    opener = Opener(browser)
    yield opener
    for context in opener.contexts:
        await context.close()
    assert opener.errors() == []


class Opener:
    """Opens pages and keeps an eye on their errors."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._tabs: list[Tab] = []
        self.contexts: list[BrowserContext] = []

    async def __call__(self, url: str, *, script: str | None = None, microphone: bool = True, **options: Any) -> Tab:
        """Open an address. ``script`` runs before the page's own; ``options`` are Playwright's for a context."""
        settings = {"viewport": PHONE, "locale": "en", "timezone_id": "Europe/Berlin"} | options
        context = await self._browser.new_context(**settings)
        self.contexts.append(context)
        if microphone:
            await context.grant_permissions(["microphone"])
        page = await context.new_page()
        if script:
            await page.add_init_script(script)
        tab = Tab(page)
        page.on("pageerror", lambda error: tab.errors.append(str(error)))
        page.on("console", lambda line: tab.errors.append(line.text) if "Content Security" in line.text else None)
        self._tabs.append(tab)
        await page.goto(url)
        return tab

    def errors(self) -> list[str]:
        """Return the uncaught errors and breaches of the policy of all pages."""
        return [error for tab in self._tabs for error in tab.errors]
