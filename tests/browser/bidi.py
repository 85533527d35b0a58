"""Firefox without geckodriver, which Debian does not carry: its own WebDriver BiDi (W3C) over a WebSocket."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets

from tests.fakes.installation import free_ports

PREFERENCES = {
    "media.autoplay.default": 1,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class BidiPage:
    """One tab, by the few commands that a listening test needs."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._last = 0
        self.context = ""

    async def command(self, method: str, **parameters: object) -> dict[str, Any]:
        """Run one command; raises AssertionError with what the browser says against it."""
        self._last += 1
        await self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        async with asyncio.timeout(30):
            while True:
                said: dict[str, Any] = json.loads(await self._socket.recv())
                if said.get("id") == self._last:
                    assert said["type"] == "success", said
                    return dict(said["result"])

    async def before(self, script: str) -> None:
        """Run a script in every page before the page's own."""
        await self.command("script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}")

    async def open(self, url: str) -> None:
        """Open an address."""
        await self.command("browsingContext.navigate", context=self.context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression that is a string, a number or a truth value."""
        said = await self.command(
            "script.evaluate", expression=expression, target={"context": self.context}, awaitPromise=True
        )
        assert said["type"] == "success", said
        return said["result"].get("value")

    async def click(self, selector: str) -> None:
        """Click in the middle of the first element, as a pointer does."""
        box = json.loads(
            await self.evaluate(
                f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                " return JSON.stringify([box.x + box.width / 2, box.y + box.height / 2].map(Math.round)); })()"
            )
        )
        steps = [
            {"type": "pointerMove", "x": box[0], "y": box[1]},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        pointer = {"type": "pointer", "id": "mouse", "actions": steps}
        await self.command("input.performActions", context=self.context, actions=[pointer])


@asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[BidiPage]:
    """Run firefox-esr with a profile of its own; its sound goes nowhere, but it plays."""
    (port,) = free_ports(1)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    process = await asyncio.create_subprocess_exec(
        "firefox-esr", "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", str(port),
        env={**os.environ, "HOME": str(profile), "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        async with await _connected(port) as socket:
            page = BidiPage(socket)
            await page.command("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
            tree = await page.command("browsingContext.getTree")
            page.context = tree["contexts"][0]["context"]
            yield page
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _connected(port: int) -> websockets.ClientConnection:
    end = time.monotonic() + 40
    while True:
        try:
            return await websockets.connect(f"ws://127.0.0.1:{port}/session", max_size=None)
        except OSError:
            assert time.monotonic() < end, "firefox-esr does not open its remote port"
            await asyncio.sleep(0.1)
