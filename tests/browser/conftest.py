"""A whole Stentor, and Chromium with two people's microphones, shared by all tests of this folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, async_playwright

from stentor.demo.staff_api import StaffApi
from tests.browser.support import FLAGS, PITCHES, Opener, write_microphone
from tests.fakes.certificates import write_certificate
from tests.fakes.installation import Installation, installation


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    # All browsers have one address, which is to be challenged and limited like any other, only later.
    limits = "connections=5000,handshakes=5000,requests=5000,tickets=1000,pages=1000"
    async with installation(tmp_path_factory.mktemp("site"), allow="", limits=limits) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def tls_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder)
    async with installation(folder, tls=(folder / "cert.pem", folder / "key.pem")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def api(site: Installation) -> StaffApi:
    return await site.operator()


@dataclass
class Browsers:
    """Two Chromiums: what each hears through its microphone is a file."""

    ana: Browser
    bea: Browser


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browsers(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browsers]:
    folder = tmp_path_factory.mktemp("microphones")
    started = {}
    for name, pitch_hz in PITCHES.items():
        wav = write_microphone(folder / f"{name}.wav", pitch_hz)
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={wav}"]
        started[name] = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
    yield Browsers(**started)
    for browser in started.values():
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit() -> AsyncIterator[Opener]:
    opener = Opener()
    yield opener
    await opener.close()
