# ruff: noqa: N999 - the bench is called "return"
"""A hundred changes of address and a hundred reloads in the middle of a word: how soon the speaker is heard again.

Of each ten are of a real Chromium on the speaker's page, in a network of its own whose address is changed; the others
are of a synthetic client that does what the page does, over real HTTP, ICE, DTLS and SRTP. Somebody else on stage
listens to the mix that is sent to them. The time runs from where the page notices: for an address, its word
"reconnecting" or the client's restart; for a reload, the moment the page goes. It ends with the first packet of the mix
in which the voice is. Each client speaks in another pitch after each return, so a voice that is heard twice shows:
both pitches at once for longer than the cross-fade. Half of the synthetic pages say goodbye when they go, and half
do not. A ghost is somebody more on the roster, or a session more at the origin, than people speak.
"""

import asyncio
import random
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Page

from bench.report import Goal, arguments, machine, percentile, report
from bench.room import ROOM, run, silence, until
from stentor.clock import SystemClock
from stentor.demo.peer import Heard
from stentor.demo.staff_api import StaffApi, http_exchange, token_of
from stentor.demo.whip import HttpWhip, SpeakerEvents, WhipSpeaker
from stentor.media.decoder import OpusDecoder
from stentor.media.encoder import OpusEncoder
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from tests.fakes.away import HERE, Away, browser_in, cable
from tests.fakes.installation import Installation, free_ports, installation
from tests.fakes.moving_peer import MovingPeer

GOALS = [
    Goal("p95_s", "from the loss being noticed to sound, 95th percentile", "s", at_most=1.5),
    Goal("ghosts", "people or sessions too many", "", at_most=0),
    Goal("doubled", "returns at which a voice was heard twice", "", at_most=0),
]
PITCHES_HZ = (1_000.0, 2_300.0)
PAGE_HZ = 3_700.0
LOUD = 0.02
FADE_FRAMES = 4
"""The cross-fade, 20 ms, as it lies in frames of the mix, with what the codec adds."""
BACK_S = 12.0
WATCH = """
window.noticed = [];
addEventListener("pagehide", () => sessionStorage.setItem("left", Date.now() / 1000));
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  const status = document.querySelector("[data-testid=speaker]")?.dataset.status;
  if (status !== window.statusSeen && status === "reconnecting") window.noticed.push(Date.now() / 1000);
  window.statusSeen = status;
}).observe(document.body, { subtree: true, childList: true, attributes: true }));
"""


class Ear:
    """Somebody on stage who notes which pitches the mix that they are sent has, packet by packet."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder()
        self._at = 2 * np.pi * np.arange(TICK_SAMPLES) / SAMPLE_RATE_HZ
        self.last_s: dict[float, float] = {}
        self.first_s: dict[float, float] = {}
        self.both = 0

    def hear(self, heard: Heard) -> None:
        """Take one packet of the mix."""
        pcm = self._decoder.decode(heard.payload)[0]
        now = time.time()
        there = [pitch for pitch in (*PITCHES_HZ, PAGE_HZ) if self._part(pcm, pitch) > LOUD]
        for pitch in there:
            self.last_s[pitch] = now
            self.first_s.setdefault(pitch, now)
        self.both += set(PITCHES_HZ) <= set(there)

    def _part(self, pcm: NDArray[np.float32], pitch_hz: float) -> float:
        window = np.hanning(len(pcm))
        return float(abs(np.mean(window * pcm * np.exp(-1j * self._at * pitch_hz))) * 4)


@dataclass
class Mouth:
    """A synthetic client: hums without a pause over whichever connection it has."""

    whip: str
    token: str
    ear: Ear
    pitch_hz: float = PITCHES_HZ[0]
    peer: MovingPeer | None = None
    resource: str = ""
    addresses: int = 1
    _encoder: OpusEncoder = field(default_factory=OpusEncoder)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def speak(self) -> None:
        """Send a frame every 20 ms until cancelled."""
        spoken, due = 0, time.monotonic()
        while True:
            at = (spoken + np.arange(TICK_SAMPLES)) / SAMPLE_RATE_HZ
            pcm = (0.3 * np.sin(2 * np.pi * self.pitch_hz * at)).astype(np.float32).reshape(1, -1)
            spoken += TICK_SAMPLES
            payload = self._encoder.encode(pcm)
            if self.peer is not None:
                with suppress(ConnectionError):
                    await self.peer.send(payload)
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def join(self) -> None:
        """Make a session, as a page does that was just loaded."""
        peer = MovingPeer(SystemClock(), lambda _heard: None)
        headers = {**self._headers, "Content-Type": "application/sdp"}
        offer = (await peer.offer()).encode()
        answer = await asyncio.to_thread(http_exchange, "POST", self.whip, headers, offer)
        assert answer.status == 201, answer.body
        self.resource = self.whip.partition("/r/")[0] + answer.headers["location"]
        await peer.connect(answer.body.decode())
        self.peer = peer

    def turn(self) -> None:
        """Speak in the other pitch from now on."""
        self.pitch_hz = PITCHES_HZ[1 - PITCHES_HZ.index(self.pitch_hz)]
        self.ear.first_s.pop(self.pitch_hz, None)
        self.ear.both = 0

    async def move(self) -> float:
        """Lose the address, get another, restart ICE; return when the loss was noticed."""
        peer = self.peer
        assert peer is not None
        await peer.unplug()
        await asyncio.sleep(random.uniform(0.1, 1.5))
        noticed_s = time.time()
        self.turn()
        self.addresses += 1
        fragment = await peer.restart(f"127.0.1.{self.addresses % 250 + 1}")
        headers = {**self._headers, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": '"*"'}
        answer = await asyncio.to_thread(http_exchange, "PATCH", self.resource, headers, fragment.encode())
        assert answer.status == 200, answer.body
        await peer.go_on(answer.body.decode())
        return noticed_s

    async def reload(self, *, goodbye: bool) -> float:
        """Go without or with a word and come back as a new page; return when the old one went."""
        old, self.peer = self.peer, None
        assert old is not None
        noticed_s = time.time()
        self.turn()
        await old.unplug()
        if goodbye:
            await asyncio.to_thread(http_exchange, "DELETE", self.resource, self._headers, None)
        await self.join()
        await old.close()
        return noticed_s


@dataclass
class Return:
    """What the bench found."""

    site: Installation
    api: StaffApi
    ear: Ear
    moves_s: list[float] = field(default_factory=list)
    reloads_s: list[float] = field(default_factory=list)
    page_moves_s: list[float] = field(default_factory=list)
    page_reloads_s: list[float] = field(default_factory=list)
    ghosts: int = 0
    doubled: int = 0

    async def synthetic(self, mouth: Mouth, rounds: int) -> None:
        """Move and reload in turn."""
        for number in range(2 * rounds):
            await asyncio.sleep(random.uniform(0.4, 0.8))
            if number % 2:
                found, noticed_s = self.reloads_s, await mouth.reload(goodbye=number % 4 == 1)
            else:
                found, noticed_s = self.moves_s, await mouth.move()
            pitch = mouth.pitch_hz
            await until(lambda pitch=pitch: pitch in self.ear.first_s, "the voice is not heard again", BACK_S)
            found.append(self.ear.first_s[pitch] - noticed_s)
            print(f"  {'reload' if number % 2 else 'address'} {number // 2 + 1}: {found[-1]:.3f} s", flush=True)
            await asyncio.sleep(0.3)
            self.doubled += self.ear.both > FADE_FRAMES
            await self.count(2)

    async def page(self, page: Page, away: Away, rounds: int) -> None:
        """The same with the real page."""
        for number in range(2 * rounds):
            await asyncio.sleep(random.uniform(2.0, 2.5))
            if number % 2:
                await page.reload()
                noticed_s = float(await page.evaluate("sessionStorage.getItem('left')"))
                after_s = noticed_s + 0.2  # what the old page said is still on its way
            else:
                before = await page.evaluate("window.noticed.length")
                await away.move()
                while await page.evaluate("window.noticed.length") == before:  # noqa: ASYNC110 - the page says it
                    await asyncio.sleep(0.02)
                noticed_s = after_s = float(await page.evaluate("window.noticed.at(-1)"))
            await until(lambda after_s=after_s: self.ear.last_s.get(PAGE_HZ, 0) > after_s, "the page is mute", BACK_S)
            found = self.page_reloads_s if number % 2 else self.page_moves_s
            found.append(max(0.0, self.ear.last_s[PAGE_HZ] - noticed_s))
            print(
                f"  Chromium, {'reload' if number % 2 else 'address'} {number // 2 + 1}: {found[-1]:.3f} s", flush=True
            )
            await self.count(2)

    async def count(self, people: int) -> None:
        """Count who is too many on the roster."""
        roster = await self.api.call("GET", f"/rooms/{ROOM}/roster")
        shown = roster["people"]
        assert isinstance(shown, list)
        self.ghosts += max(0, sum(bool(each["connected"]) for each in shown) - people)

    async def count_sessions(self, people: int) -> None:
        """Count the sessions too many that the origin still holds, once old ones have had time to end."""
        await asyncio.sleep(3.0)
        held = len(self.site.events("seated")) - len(self.site.events("session_closed"))
        self.ghosts += max(0, held - people)


def write_microphone(path: Path) -> None:
    """Write short bursts of a pitch, which no noise suppression takes for noise."""
    at = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pcm = np.where(at % 0.15 < 0.1, 0.5 * np.sin(2 * np.pi * PAGE_HZ * at), 0) * 32_767
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(pcm.astype("<i2").tobytes())


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[Return, asyncio.TaskGroup]]:
    """Open a room that is reached over the cable too, with somebody in it who listens."""
    (staff,) = free_ports(1)
    settings = {"staff_host": HERE, "staff_port": staff, "staff_url": f"http://{HERE}:{staff}"}
    async with (
        installation(folder, udp_bind=f"127.0.0.1,{HERE}", **settings) as site,
        asyncio.TaskGroup() as group,
    ):
        api = await site.operator()
        await api.call("POST", "/rooms", {"room": ROOM, "title": "A bench"})
        await api.call("POST", f"/rooms/{ROOM}/open", {})
        ear = Ear()
        link = await api.call("POST", f"/rooms/{ROOM}/links", {"role": "speaker", "name": "Bea"})
        whip = HttpWhip(f"{site.staff_url}/r/{ROOM}/whip", token_of(str(link["url"])))
        bea = WhipSpeaker(whip, silence, SystemClock(), SpeakerEvents(on_heard=ear.hear))
        listening = group.create_task(bea.run())
        async with asyncio.timeout(30):
            await bea.connected.wait()
        try:
            yield Return(site, api, ear), group
        finally:
            listening.cancel()


async def measure(rounds: int, pages: int) -> Return:
    """Run all of it."""
    with tempfile.TemporaryDirectory(prefix="stentor-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        write_microphone(folder / "microphone.wav")
        async with cable() as namespace, stage(folder) as (bench, group):
            link = await bench.api.call("POST", f"/rooms/{ROOM}/links", {"role": "speaker", "name": "Ana"})
            mouth = Mouth(f"{bench.site.staff_url}/r/{ROOM}/whip", token_of(str(link["url"])), bench.ear)
            await mouth.join()
            speaking = group.create_task(mouth.speak())
            await until(lambda: mouth.pitch_hz in bench.ear.first_s, "Ana is not heard")
            await bench.synthetic(mouth, rounds)
            await bench.count_sessions(2)
            speaking.cancel()
            assert mouth.peer is not None
            await mouth.peer.close()
            link = await bench.api.call("POST", f"/rooms/{ROOM}/links", {"role": "speaker", "name": "Cleo"})
            async with browser_in(namespace, bench.site.staff_url, folder / "microphone.wav") as away:
                context = await away.browser.new_context(
                    permissions=["microphone"], locale="en", viewport={"width": 390, "height": 844}
                )
                page = await context.new_page()
                await page.add_init_script(WATCH)
                await page.goto(str(link["url"]))
                await page.get_by_test_id("mic-allow").click()
                await page.get_by_test_id("join").click()
                await until(lambda: PAGE_HZ in bench.ear.first_s, "the page is not heard")
                await bench.page(page, away, pages)
                await bench.count_sessions(2)
        return bench


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    pages = 2 if options.quick else 10
    found = await measure(8 if options.quick else 90, pages)
    parts = {
        "synthetic changes of address": found.moves_s,
        "synthetic reloads": found.reloads_s,
        "Chromium, changes of address": found.page_moves_s,
        "Chromium, reloads": found.page_reloads_s,
    }
    figures = {
        "p95_s": round(percentile([each for part in parts.values() for each in part], 0.95), 3),
        "ghosts": found.ghosts,
        "doubled": found.doubled,
    }
    notes = [
        f"{name}: {len(part)}, median {percentile(part, 0.5):.3f} s, p95 {percentile(part, 0.95):.3f} s, "
        f"longest {max(part):.3f} s"
        for name, part in parts.items()
    ]
    return report("return", GOALS, figures, path=options.json, before=before, notes=notes, detail=parts)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=1_200) else 1)
