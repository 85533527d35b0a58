"""A Chromium in a network of its own: its address can be changed, and its line made thin.

A network namespace with one cable (veth) to this machine. Needs root, ``ip`` and ``tc``; all of it is gone when its
context ends.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.browser.support import FLAGS

_NET = f"10.213.{os.getpid() % 250}"
HERE = f"{_NET}.1"
"""This machine's end of the cable."""
_FIRST = 2
_ADDRESSES = 250


async def shell(*words: str) -> None:
    """Run a command. Raises AssertionError with what it said."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{' '.join(words)}: {said.decode()}"


@dataclass
class Away:
    """The namespace and the browser in it."""

    name: str
    browser: Browser
    number: int = _FIRST

    @property
    def address(self) -> str:
        """Return the browser's address."""
        return f"{_NET}.{self.number}"

    async def inside(self, *words: str) -> None:
        """Run a command in the namespace."""
        await shell("ip", "netns", "exec", self.name, *words)

    async def move(self) -> None:
        """Change its address, as when a phone goes from one network to another."""
        old, self.number = self.address, _FIRST + (self.number - _FIRST + 1) % _ADDRESSES
        await self.inside("ip", "address", "add", f"{self.address}/24", "dev", "near")
        await self.inside("ip", "address", "delete", f"{old}/24", "dev", "near")

    async def thin(self, kbit_s: int) -> None:
        """Let it send no more than that, with a queue of at most 0.6 s before packets are dropped."""
        rate = ("rate", f"{kbit_s}kbit", "burst", "2000", "latency", "600ms")
        await self.inside("tc", "qdisc", "replace", "dev", "near", "root", "tbf", *rate)

    async def wide(self) -> None:
        """Take the limit away."""
        await self.inside("tc", "qdisc", "delete", "dev", "near", "root")


@asynccontextmanager
async def cable() -> AsyncIterator[str]:
    """Make the namespace and the cable; yield the namespace's name. ``HERE`` is an address of this machine then."""
    name, far = f"stentor-{os.getpid()}", f"away{os.getpid() % 100_000}"
    await shell("ip", "netns", "add", name)
    try:
        await shell("ip", "link", "add", far, "type", "veth", "peer", "name", "near", "netns", name)
        await shell("ip", "address", "add", f"{HERE}/24", "dev", far)
        await shell("ip", "link", "set", far, "up")
        for words in (("link", "set", "lo", "up"), ("link", "set", "near", "up")):
            await shell("ip", "netns", "exec", name, "ip", *words)
        # Else the first address takes with it those that came after.
        promote = "echo 1 > /proc/sys/net/ipv4/conf/near/promote_secondaries"
        await shell("ip", "netns", "exec", name, "sh", "-c", promote)
        yield name
    finally:
        await shell("ip", "netns", "delete", name)


@asynccontextmanager
async def browser_in(name: str, origin: str, microphone: Path) -> AsyncIterator[Away]:
    """Start Chromium in the namespace; ``origin`` counts as secure, so that its page may have the microphone."""
    with tempfile.TemporaryDirectory(prefix="stentor-away-") as folder:
        script = Path(folder) / "chromium"
        script.write_text(f'#!/bin/sh\nexec ip netns exec {name} /usr/bin/chromium "$@"\n')
        script.chmod(0o755)
        flags = [
            *FLAGS,
            "--autoplay-policy=no-user-gesture-required",
            f"--use-file-for-fake-audio-capture={microphone}",
            f"--unsafely-treat-insecure-origin-as-secure={origin}",
        ]
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=str(script), args=flags)
            try:
                away = Away(name, browser)
                await away.inside("ip", "address", "add", f"{away.address}/24", "dev", "near")
                yield away
            finally:
                await browser.close()
