"""What the browser tests share: microphones, ears, pages that are watched, waits that say why not yet."""

import asyncio
import json
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import Browser, BrowserContext, Error, Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
FLAGS = [
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
PITCHES = {"ana": 3_110, "bea": 4_270}
"""What each microphone hears, in Hz: pitches that the hold sound does not have."""

# Listens to what each <audio> element plays: counts the looks (25 ms) at which it sounds, and at which a pitch does.
EAR = """
(() => {
  const PITCHES = %s;
  const ear = (window.ear = { looks: 0, sounds: 0, ana: 0, bea: 0, lastAna: -1e9, lastBea: -1e9, lastSound: -1e9 });
  const hooked = new WeakMap();
  let context = null;
  const hook = (element) => {
    const from = element.srcObject ?? "file";
    if (hooked.get(element) === from) return;
    hooked.set(element, from);
    context ??= new AudioContext();
    void context.resume();
    const source = from === "file" ? context.createMediaElementSource(element) : context.createMediaStreamSource(from);
    const analyser = context.createAnalyser();
    analyser.fftSize = 2048;
    analyser.smoothingTimeConstant = 0;
    source.connect(analyser);
    if (from === "file") source.connect(context.destination);
    const samples = new Float32Array(2048), bins = new Float32Array(1024);
    setInterval(() => {
      const now = performance.now();
      ear.looks += 1;
      ear.context = context.state;
      analyser.getFloatTimeDomainData(samples);
      if (samples.some((sample) => Math.abs(sample) > 0.003)) { ear.sounds += 1; ear.lastSound = now; }
      analyser.getFloatFrequencyData(bins);
      for (const [name, hz] of Object.entries(PITCHES)) {
        const at = Math.round((hz * 2048) / context.sampleRate);
        const level = Math.max(bins[at - 1], bins[at], bins[at + 1]);
        ear[name + "Level"] = Math.max(level, (ear[name + "Level"] ?? -200) - 2);
        if (level > -50) { ear[name] += 1; ear[name === "ana" ? "lastAna" : "lastBea"] = now; }
      }
    }, 25);
  };
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () { hook(this); return play.call(this); };
})();
""" % json.dumps(PITCHES)  # noqa: UP031 -- the script is full of braces
CLEAR = "Object.assign(window.ear, { looks: 0, sounds: 0, ana: 0, bea: 0 })"
SEEN = """() => ({
  url: location.href, title: document.title, ear: window.ear && { ...window.ear },
  player: window.stentor && { ...window.stentor.player, audio: undefined },
  replay: window.stentor?.replay && { ...window.stentor.replay },
  main: document.querySelector("main")?.innerText.slice(0, 700),
})"""


def write_microphone(path: Path, pitch_hz: int) -> Path:
    """Write a WAV to speak from: bursts of a pitch, which no noise suppression takes for noise."""
    at = np.arange(48_000 * 2) / 48_000
    on = (at % 0.5 < 0.25) & (at % 2 < 1.9)
    pcm = np.where(on, 0.5 * np.sin(2 * np.pi * pitch_hz * at), 0) * 32_767
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(pcm.astype("<i2").tobytes())
    return path


@dataclass
class Tab:
    """A page, and what went wrong in it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def get(self, testid: str) -> Any:
        """Return the locator of a test id."""
        return self.page.get_by_test_id(testid)

    async def click(self, testid: str) -> None:
        """Click what has a test id; it must be there within ten seconds."""
        await self.page.get_by_test_id(testid).click(timeout=10_000)

    async def until(self, expression: str, why_not: str, *, limit_s: float = 20.0) -> Any:
        """Look until an expression is true in the page; return its value. Works under the pages' policy (no eval)."""
        end = time.monotonic() + limit_s
        said: object = None
        while time.monotonic() < end:
            try:
                said = await self.page.evaluate(expression)
            except Error as error:
                said = error
            else:
                if said:
                    return said
            await asyncio.sleep(0.05)
        raise AssertionError(f"{why_not}; {expression} is {said}; {await self.seen()}")

    async def seen(self) -> str:
        """Return what the page looks like now, for messages."""
        try:
            return json.dumps(await self.page.evaluate(SEEN), ensure_ascii=False)
        except Error as error:
            return str(error)

    async def hears(self, who: str, why_not: str, *, limit_s: float = 20.0) -> None:
        """Wait until somebody is heard from now on."""
        await self.page.evaluate(CLEAR)
        await self.until(f"window.ear.{who} > 3", why_not, limit_s=limit_s)

    async def stops_hearing(self, who: str, why_not: str, *, limit_s: float = 20.0) -> None:
        """Wait until somebody has not been heard for two seconds, four bursts, while the page went on looking."""
        last = f"window.ear.last{who.capitalize()}"
        await self.until(f"performance.now() - {last} > 2000", why_not, limit_s=limit_s)

    async def hears_hold_only(self) -> None:
        """Check that there is sound for three seconds, and nobody's voice in it."""
        await self.page.evaluate(CLEAR)
        await self.until("window.ear.looks > 100 && window.ear.sounds > 20", "no hold sound")
        ear = await self.page.evaluate("({ ...window.ear })")
        assert ear["ana"] == ear["bea"] == 0, f"a voice is heard on hold: {ear}"

    async def axe(self) -> list[str]:
        """Return what axe-core finds wrong, each with its elements."""
        found = await self.page.evaluate(AXE.read_text() + "; axe.run(document, {resultTypes: ['violations']})")
        return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}" for each in found["violations"]]


class Opener:
    """Opens pages, each in a browser profile of its own, and keeps an eye on their errors."""

    def __init__(self) -> None:
        self.tabs: list[Tab] = []
        self.contexts: list[BrowserContext] = []

    async def __call__(
        self, browser: Browser, url: str, *, script: str = "", microphone: bool = True, **options: Any
    ) -> Tab:
        """Open an address. ``script`` runs before the page's own; ``options`` are Playwright's for a context."""
        settings: dict[str, Any] = {"viewport": PHONE, "locale": "en", "ignore_https_errors": True} | options
        context = await browser.new_context(**settings)
        self.contexts.append(context)
        if microphone:
            await context.grant_permissions(["microphone"])
        page = await context.new_page()
        page.set_default_timeout(15_000)
        await page.add_init_script(EAR + script)
        tab = Tab(page)
        page.on("pageerror", lambda error: tab.errors.append(str(error)))
        page.on("console", lambda line: tab.errors.append(line.text) if "Content Security" in line.text else None)
        self.tabs.append(tab)
        await page.goto(url)
        return tab

    async def close(self) -> None:
        """Close every page; fails on uncaught errors and breaches of the policy."""
        errors = [error for tab in self.tabs for error in tab.errors]
        for context in self.contexts:
            await context.close()
        assert not errors, errors
