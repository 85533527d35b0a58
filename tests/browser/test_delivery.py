"""How the listener's page follows the edge: blocks that grow and shrink, proxies without WebSocket, beacons.

A proxy inside the test stands between the page and a real edge, and makes blocks of several steps out of its own: to a
SourceBuffer several fragments in one frame are what one fragment of several steps is.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, WebSocketRoute, expect

from stentor.demo.staff_api import StaffApi
from tests.browser.conftest import Browsers
from tests.browser.support import Opener, Tab
from tests.fakes.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOMS = ("cadence", "blocks", "proxied", "beacons")
_HEADER_BYTES = 16
_MEDIA = 2
NO_WEBSOCKET = """
window.WebSocket = class {
  constructor() { setTimeout(() => this.onclose?.({ code: 1006, reason: "" }), 20); }
  close() {}
};
"""
BEACONS = """
window.beacons = [];
const fetched = window.fetch;
window.fetch = async (url, options) => {
  const answer = await fetched(url, options);
  if (String(url).endsWith("/beacon")) window.beacons.push([answer.status, JSON.parse(options.body)]);
  return answer;
};
const told = navigator.sendBeacon.bind(navigator);
navigator.sendBeacon = (url, body) => { window.lastBeacon = [url, JSON.parse(body)]; return told(url, body); };
"""


@dataclass
class Cadencer:
    """Puts the edge's steps into blocks of as many as ``steps`` says, and tells the page what a change is."""

    steps: int = 1
    _route: WebSocketRoute | None = None
    _server: WebSocketRoute | None = None
    _waiting: list[bytes] = field(default_factory=list)
    _last_step: int = 0

    def attach(self, route: WebSocketRoute) -> None:
        """Stand between the page and the edge."""
        self._route, self._waiting = route, []
        self._server = route.connect_to_server()
        self._server.on_message(self._came)

    def _came(self, message: str | bytes) -> None:
        assert self._route is not None
        if isinstance(message, str) or message[1] != _MEDIA:
            self._route.send(message)
            return
        self._waiting.append(message)
        self._last_step = int.from_bytes(message[8:_HEADER_BYTES], "big")
        if len(self._waiting) >= self.steps:
            self._flush()

    def _flush(self) -> None:
        assert self._route is not None
        if self._waiting:
            self._route.send(
                self._waiting[-1][:_HEADER_BYTES] + b"".join(each[_HEADER_BYTES:] for each in self._waiting)
            )
        self._waiting = []

    async def change(self, steps: int, *, emergency: bool = False) -> None:
        """Announce blocks of so many steps as an edge does, and make them when the page has had its time."""
        assert self._route is not None
        grown = max(0, steps - self.steps)
        ahead = 1 if emergency else 1 + round(grown / 0.06)
        told = {"type": "cadence", "block_steps": steps, "from_step": self._last_step + ahead, "emergency": emergency}
        self._route.send(json.dumps(told))
        if grown and not emergency:
            await asyncio.sleep(ahead * 0.24)
        self._flush()
        self.steps = steps


async def open_room(api: StaffApi, room: str) -> str:
    """Open the doors of a new room, where the hold sound plays; return the listener's address."""
    made: Any = await api.call("POST", "/rooms", {"room": room, "title": room})
    await api.call("POST", f"/rooms/{room}/open", {})
    return str(made["links"]["listener"])


async def figures(page: Page) -> dict[str, Any]:
    """Return what the player says of itself."""
    seen: dict[str, Any] = await page.evaluate("({ ...window.stentor.player, audio: undefined })")
    return seen


async def settle(page: Tab, block_s: float) -> None:
    """Wait until the player holds the distance that these blocks need."""
    await page.until(
        f"window.stentor.player.playing && window.stentor.player.target >= {block_s} + 0.3"
        " && Math.abs(window.stentor.player.rate - 1) < 0.02",
        f"the player does not settle for blocks of {block_s} s",
        limit_s=40,
    )


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def rooms_end(api: StaffApi) -> AsyncIterator[None]:
    """Each room of these tests would keep a UDP port and its share of the machine."""
    yield
    listed: Any = await api.call("GET", "/rooms")
    for room in listed["rooms"]:
        if room["room"] in ROOMS and room["state"] == "lobby":
            await api.call("POST", f"/rooms/{room['room']}/end", {})


@pytest.mark.timeout(150)
async def test_blocks_grow_and_shrink(site: Installation, api: StaffApi, browsers: Browsers, visit: Opener) -> None:
    address = await open_room(api, "cadence")
    cadencer = Cadencer()
    page = await visit(browsers.bea, "about:blank", microphone=False)
    await page.page.route_web_socket("**/push?**", cadencer.attach)
    await page.page.goto(address)
    await page.click("listen")
    await settle(page, 0.24)
    stalls = (await figures(page.page))["stalls"]
    await page.page.evaluate(
        "window.rates = []; setInterval(() => window.rates.push(window.stentor.player.audio.playbackRate), 50)"
    )
    await cadencer.change(2)
    await settle(page, 0.48)
    await asyncio.sleep(2)
    assert (await figures(page.page))["stalls"] == stalls, "an announced block was heard as a stall"
    assert min(await page.page.evaluate("window.rates")) == pytest.approx(0.94)
    await cadencer.change(8, emergency=True)
    await page.until(f"window.stentor.player.stalls > {stalls}", "an emergency is no stall")
    await settle(page, 1.92)
    await asyncio.sleep(4)
    assert (await figures(page.page))["stalls"] == stalls + 1, "an emergency is one stall"
    behind = (await figures(page.page))["latency_s"]
    await cadencer.change(1)
    await page.until(f"window.stentor.player.latency_s < {behind} - 0.4", "latency does not come back", limit_s=40)
    assert (await figures(page.page))["stalls"] == stalls + 1
    assert max(await page.page.evaluate("window.rates")) <= 1.061


@pytest.mark.timeout(150)
async def test_page_follows_the_operators_word_without_a_stall(
    site: Installation, api: StaffApi, browsers: Browsers, visit: Opener
) -> None:
    page = await visit(browsers.bea, await open_room(api, "blocks"), microphone=False)
    await page.click("listen")
    await settle(page, 0.24)
    await expect(page.get("delivery")).to_have_count(0)
    stalls = (await figures(page.page))["stalls"]
    await api.call("PUT", "/rooms/blocks/delivery", {"block_steps": 4})
    await expect(page.get("delivery")).to_have_attribute("data-block-steps", "4", timeout=40_000)
    await settle(page, 0.96)
    await asyncio.sleep(3)
    large = await figures(page.page)
    assert large["stalls"] == stalls
    await api.call("PUT", "/rooms/blocks/delivery", {"block_steps": None})
    await page.until(f"window.stentor.player.latency_s < {large['latency_s']} - 0.4", "latency stays", limit_s=40)
    await expect(page.get("delivery")).to_have_count(0)
    assert (await figures(page.page))["stalls"] == stalls


async def test_sound_comes_over_hls_where_no_websocket_gets_through(
    site: Installation, api: StaffApi, browsers: Browsers, visit: Opener
) -> None:
    page = await visit(browsers.bea, await open_room(api, "proxied"), script=NO_WEBSOCKET, microphone=False)
    await page.click("listen")
    await page.until("window.stentor.player.playing", "nothing plays", limit_s=30)
    assert (await figures(page.page))["transport"] == "hls"
    assert "push" in (await figures(page.page))["failure"]


async def test_player_tells_how_it_fares(site: Installation, api: StaffApi, browsers: Browsers, visit: Opener) -> None:
    address = await open_room(api, "beacons")
    ids = set()
    for transport in ("push", "hls", "progressive"):
        page = await visit(browsers.bea, f"{address}?via={transport}", script=BEACONS, microphone=False)
        await page.click("listen")
        ((status, first),) = await page.until("window.beacons.length && window.beacons", "no beacon", limit_s=40)
        assert status == 204
        assert set(first) == {
            "player", "ticket", "transport", "join_ms", "stalls", "stall_ms", "played_ms", "latency_ms",
        }  # fmt: skip
        assert first["transport"] == transport
        assert (first["ticket"] is not None) == (transport == "hls")
        assert (first["ticket"] is not None) == (transport == "hls")
        assert 0 < first["join_ms"] < 30_000
        await expect(page.get("player-status")).to_have_attribute("data-status", "playing")
        await page.click("stop-listening")
        url, last = await page.until("window.lastBeacon", "no beacon at the end")
        assert url == "/r/beacons/beacon"
        assert last["player"] == first["player"]
        assert last["transport"] == transport
        assert last["bye"]
        assert last["join_ms"] is None
        assert last["played_ms"] > 0
        assert last["bye"] is True
        ids.add(first["player"])
    assert len(ids) == 3
