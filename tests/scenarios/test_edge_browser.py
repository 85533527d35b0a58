"""A WAV heard in real Chromium over push: encoder, chunker, boxes, bus, edge, WebSocket, MediaSource, decoder."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from stentor.room.states import RoomState
from tests.fakes.wav_room import WavRoom, wav_room

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
LISTENER_JS = """
const heard = window.heard = {beeps: [], inits: 0, frames: 0, errors: [], peak: 0, state: null};
const audio = new Audio(), source = new MediaSource(), queue = [];
let buffer = null;
const next = () => {
  if (!buffer || buffer.updating) return;
  if (queue.length) { buffer.appendBuffer(queue.shift()); return; }
  const ranges = audio.buffered, last = ranges.length - 1;
  if (last < 0) return;
  const start = ranges.start(last);
  if (audio.currentTime < start) audio.currentTime = start + 0.01;
};
audio.src = URL.createObjectURL(source);
audio.onerror = () => heard.errors.push(audio.error.message);
source.onsourceopen = () => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/r/demo/push?rendition=" + RENDITION);
  socket.binaryType = "arraybuffer";
  socket.onclose = (event) => { heard.closed = event.code; };
  socket.onmessage = ({data}) => {
    if (typeof data === "string") {
      const said = JSON.parse(data);
      if (said.type === "hello") {
        buffer = source.addSourceBuffer(said.mime);
        buffer.onupdateend = next;
      } else heard.state = said;
      return;
    }
    const header = new DataView(data);
    if (header.getUint8(1) === 1) heard.inits += 1; else heard.frames += 1;
    queue.push(data.slice(16));
    next();
  };
};
const context = new AudioContext();
const analyser = context.createAnalyser();
analyser.fftSize = 2048;
context.createMediaElementSource(audio).connect(analyser);
analyser.connect(context.destination);
audio.play();
context.resume();
const samples = new Float32Array(2048), spectrum = new Float32Array(1024);
let loud = false;
setInterval(() => {
  analyser.getFloatTimeDomainData(samples);
  const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  heard.peak = Math.max(heard.peak, peak);
  if (peak > 0.3 && !loud) {
    analyser.getFloatFrequencyData(spectrum);
    const bin = spectrum.indexOf(Math.max(...spectrum));
    heard.beeps.push({at: audio.currentTime, hz: bin * context.sampleRate / 2048});
  }
  loud = peak > 0.1;
}, 10);
"""


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[WavRoom]:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>listener</title><script src=/assets/l.js></script>")
    (tmp_path / "assets" / "l.js").write_text(
        "const RENDITION = new URLSearchParams(location.search).get('rendition') || 'opus';" + LISTENER_JS
    )
    async with wav_room(pages=tmp_path) as running:
        yield running


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield await browser.new_page()
        await browser.close()


async def beeps_of(page: Page, count: int) -> list[dict[str, float]]:
    """Return ``count`` beeps once they have been heard; the first may have been cut into and is left out."""
    await page.wait_for_function("n => heard.beeps.length >= n || heard.errors.length", arg=count + 1, timeout=40_000)
    heard = await page.evaluate("heard")
    assert heard["errors"] == []
    return list(heard["beeps"][1 : count + 1])


@pytest.mark.parametrize("rendition", ["opus", "aac"])
async def test_a_wav_is_heard_in_chromium_where_the_clock_says(room: WavRoom, page: Page, rendition: str) -> None:
    await page.goto(f"{room.url}?rendition={rendition}")
    beeps = await beeps_of(page, 3)
    # The page looks at a spectrum when it can: one look in three may fall on a beep's edge.
    assert sorted(beep["hz"] for beep in beeps)[1] == pytest.approx(1_000, abs=60)
    for beep in beeps:
        # Media time is the room's time: the beeps begin at its whole seconds. The page looks every 10 ms (or later).
        off_s = beep["at"] - math.floor(beep["at"])
        assert off_s < 0.2 or off_s > 0.95
    assert 0.4 < await page.evaluate("heard.peak") < 0.7


async def test_a_takeover_and_the_end_reach_the_page(room: WavRoom, page: Page) -> None:
    await page.goto(room.url)
    await beeps_of(page, 1)
    await room.kill_origin()
    room.start_origin()
    await page.wait_for_function("() => heard.inits === 2", timeout=20_000)
    before = len(await page.evaluate("heard.beeps"))
    await beeps_of(page, before + 1)
    await room.put(RoomState.ENDED)
    await room.kill_origin()
    async with asyncio.timeout(15):
        await page.wait_for_function("() => heard.closed === 1000")
    assert (await page.evaluate("heard.state"))["state"] == "ended"


HLS_JS = Path(__file__).parents[2] / "web/node_modules/hls.js/dist/hls.min.js"
PLAYER_JS = """
const audio = new Audio(), hls = new Hls({lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.1});
window.heard = {fatal: [], paused: () => audio.paused, at: () => audio.currentTime, latency: () => hls.latency};
hls.on(Hls.Events.ERROR, (_, said) => { if (said.fatal) heard.fatal.push(said.details); });
hls.loadSource(location.pathname + "/" + (new URLSearchParams(location.search).get("playlist")));
hls.attachMedia(audio);
audio.play();
"""


@pytest.mark.parametrize("playlist", ["live.m3u8", "live-opus.m3u8"])
async def test_hls_js_plays_in_parts_and_goes_on_through_a_takeover(page: Page, tmp_path: Path, playlist: str) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(
        "<!doctype html><script src=/assets/h.js></script><script src=/assets/l.js></script>"
    )
    (tmp_path / "assets" / "h.js").write_bytes(HLS_JS.read_bytes())
    (tmp_path / "assets" / "l.js").write_text(PLAYER_JS)
    async with wav_room(pages=tmp_path) as room:
        await page.goto(f"{room.url}?playlist={playlist}")
        await page.wait_for_function("() => heard.at() > 0 && heard.latency() < 3.8", timeout=30_000)
        await room.kill_origin()
        new = room.start_origin()
        await room.until(lambda: len(new.published) > 3 * 16, "the new origin has put out 16 steps")
        at = await page.evaluate("heard.at()")
        await page.wait_for_function("at => heard.at() > at + 4", arg=at, timeout=30_000)
        assert await page.evaluate("heard.fatal") == []
        assert await page.evaluate("heard.paused()") is False
        assert room.edge.rooms.get("demo").by_transport()["hls"] == 1
