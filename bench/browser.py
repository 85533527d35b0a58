"""Chromium as a listener: opens the real page and finds the markers in what its <audio> element plays."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]

# Listens to every element that plays: notes the wall time and pitch of each tone, and silences longer than 0.3 s.
EAR = """
(() => {
  const ear = (window.__ear = { heard: [], silences: [], clicked: null, playing: null, loudAt: null });
  const hooked = new WeakSet();
  const wall = () => (performance.timeOrigin + performance.now()) / 1000;
  addEventListener("click", () => { ear.clicked ??= wall(); }, true);
  const hook = (element) => {
    if (hooked.has(element)) return;
    hooked.add(element);
    const context = new AudioContext();
    const source = context.createMediaElementSource(element);
    const tap = context.createScriptProcessor(256, 1, 1);
    let onset = null, crossings = 0, count = 0, sign = 0, quiet = 1e9;
    tap.onaudioprocess = (event) => {
      const block = event.inputBuffer.getChannelData(0);
      let peak = 0;
      for (const x of block) peak = Math.max(peak, Math.abs(x));
      const now = wall();
      const loud = peak > 0.05;
      if (loud) {
        if (ear.loudAt !== null && now - ear.loudAt > 0.3) ear.silences.push([ear.loudAt, now]);
        ear.loudAt = now;
        if (ear.playing === null) ear.playing = now;
      }
      if (onset === null && loud && quiet > context.sampleRate / 4) { onset = now; crossings = 0; count = 0; sign = 0; }
      else if (onset !== null) {
        for (const x of block) {
          const s = Math.abs(x) < 0.01 ? 0 : Math.sign(x); // noise before the tone is no pitch
          if (s && sign && s !== sign) crossings++;
          if (s) sign = s;
        }
        count += block.length;
        if (count >= 2400) { ear.heard.push([onset, crossings * context.sampleRate / (2 * count)]); onset = null; }
      }
      quiet = loud ? 0 : quiet + block.length;
    };
    source.connect(tap); tap.connect(context.destination); source.connect(context.destination);
    context.resume();
  };
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () { if (!this.srcObject) hook(this); return play.call(this); };
})();
"""


@asynccontextmanager
async def chromium(*extra_flags: str, program: str = "/usr/bin/chromium") -> AsyncIterator[Browser]:
    """Yield Debian's Chromium, headless, closed again at the end; ``program`` may be a script that starts it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*FLAGS, *extra_flags])
        try:
            yield browser
        finally:
            await browser.close()


async def open_listener(
    browser: Browser, url: str, *, locale: str = "en-GB", script: str = ""
) -> tuple[BrowserContext, Page]:
    """Open the room's page in a fresh context and press its listen button; returns context and page.

    ``script`` runs in the page before its own.
    """
    context = await browser.new_context(locale=locale, ignore_https_errors=True)
    page = await context.new_page()
    await page.add_init_script(EAR + script)
    await page.goto(url)
    await page.get_by_test_id("listen").click()
    return context, page


async def heard(page: Page) -> list[tuple[float, float]]:
    """Return the markers that the page has played so far: (wall seconds, frequency in Hz)."""
    found: list[list[float]] = await page.evaluate("window.__ear.heard")
    return [(at, frequency) for at, frequency in found]
