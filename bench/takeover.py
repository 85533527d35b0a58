"""Twenty times ``kill -9`` of a room's process on air: how long listeners hear nothing, and what is lost.

One speaker hums without a pause, another is quiet. Chromium listens by push and by hls.js, each page with its own ear;
a page is pressed only if it has not sounded again by itself after 15 s, and that is a click. Before each kill the new
process has run for ten seconds, as long as the host takes to forget a crash.

Beside them a subscriber on the bus notes every chunk that went out live. The origin spools before it sends, so all of
these were acknowledged or spooled: afterwards the log must hold each, byte for byte.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import Page

from bench.browser import chromium, open_listener
from bench.report import Goal, arguments, machine, percentile, report
from bench.room import ROOM, BenchRoom, bench_room, run, silence, until
from bench.tones import Hum
from stentor.bus.nats import NatsBus
from stentor.bus.port import chunk_subject
from stentor.clock import SystemClock
from stentor.demo.whip import WhipSpeaker
from tests.fakes.listener import PushListener, push_listener

STABLE_S = 10.5
PATIENCE_S = 15.0


def goals(rounds: int) -> list[Goal]:
    """Return the goals for so many kills."""
    return [
        Goal("silence_p95_s", "silence heard, 95th percentile (the worse of push and hls.js)", "s", at_most=3.0),
        Goal("clicks", "listeners who had to click", "", at_most=0),
        Goal("missing", "chunks acknowledged or spooled and then missing", "", at_most=0),
        Goal("rejoined", f"of {rounds} kills all speakers came back by themselves", "", at_least=rounds),
    ]


@dataclass
class Witness:
    """Every chunk that went out live, by subject of the log, as bytes."""

    sent: set[tuple[str, bytes]] = field(default_factory=set)

    def hear(self, subject: str, payload: bytes) -> None:
        """Note one message of the bus."""
        self.sent.add((chunk_subject(ROOM, subject.rpartition(".")[2]), payload))

    async def missing(self, bus: NatsBus) -> int:
        """Return how many of them the log does not hold."""
        after, absent = 0, set(self.sent)
        while records := await bus.read(f"room.{ROOM}.>", after=after, limit=256):
            absent -= {(record.subject, record.payload) for record in records}
            after = records[-1].sequence
        return len(absent)


@dataclass
class Round:
    """One kill: seconds of silence by page, what the log says of the new process, and whether all came back."""

    silence_s: dict[str, float]
    serves_after_s: float
    sound_after_s: float
    spoken_after_s: list[float]
    warm: bool
    clicks: int
    rejoined: bool


@asynccontextmanager
async def bus_of(room: BenchRoom) -> AsyncIterator[NatsBus]:
    """Connect to the installation's own bus, as the archive may."""
    run_dir = room.site.data_dir / "run"
    users = json.loads((run_dir / "nats.conf").read_text())["authorization"]["users"]
    (user,) = [each for each in users if each["user"] == "archive"]
    (ports,) = run_dir.glob("nats-server_*.ports")
    url = json.loads(ports.read_text())["nats"][0]
    async with NatsBus.connect(
        url, SystemClock(), role="archive", credentials={"user": "archive", "password": user["password"]}
    ) as bus:
        yield bus


@dataclass
class Takeover:
    """The room, who speaks in it and who listens."""

    room: BenchRoom
    speakers: list[WhipSpeaker]
    pages: dict[str, Page]
    listener: PushListener
    connected_at: dict[int, float] = field(default_factory=dict)

    async def one(self) -> Round:
        """Kill the room's process once and see what happens."""
        site = self.room.site
        served = len(site.events("room_process_serves"))
        connections = [speaker.connections for speaker in self.speakers]
        killed_at = time.time()
        site.kill_room()
        await until(lambda: len(site.events("room_process_serves")) > served, "no process serves the room again")
        serves_after_s = time.time() - killed_at
        back, rejoined = await self._rejoin(connections, killed_at)
        clicks = await self._sound_again(killed_at)
        sound_after_s = time.time() - killed_at
        await asyncio.sleep(max(0.0, killed_at + serves_after_s + STABLE_S - time.time()))
        return Round(
            silence_s={name: await self._silence(page, killed_at) for name, page in self.pages.items()},
            serves_after_s=round(serves_after_s, 2),
            sound_after_s=round(sound_after_s, 2),
            spoken_after_s=back,
            warm=bool(site.events("room_process_assigned")[-1]["warm"]),
            clicks=clicks,
            rejoined=rejoined,
        )

    async def _rejoin(self, connections: list[int], killed_at: float) -> tuple[list[float], bool]:
        back: list[float] = []
        for speaker, before in zip(self.speakers, connections, strict=True):

            def is_back(speaker: WhipSpeaker = speaker, before: int = before) -> bool:
                return speaker.connections > before and speaker.connected.is_set()

            try:
                await until(is_back, "a speaker does not come back", PATIENCE_S)
            except AssertionError:
                return back, False
            back.append(round(time.time() - killed_at, 2))
        return back, True

    async def _sound_again(self, killed_at: float) -> int:
        """Wait for sound at every page; return how many had to be pressed."""
        clicks = 0
        for page in self.pages.values():
            while await self._quiet_s(page) > 0.3 or await self._loud_at(page) < killed_at + 1.0:
                if time.time() > killed_at + PATIENCE_S:
                    clicks += 1
                    await page.reload()
                    await page.get_by_test_id("listen").click()
                    break
                await asyncio.sleep(0.05)
        return clicks

    async def _quiet_s(self, page: Page) -> float:
        return time.time() - await self._loud_at(page)

    @staticmethod
    async def _loud_at(page: Page) -> float:
        return float(await page.evaluate("window.__ear.loudAt || 0"))

    @staticmethod
    async def _silence(page: Page, killed_at: float) -> float:
        """Return the seconds of silence (longer than 0.3 s each) at a page since the kill."""
        silences: list[list[float]] = await page.evaluate("window.__ear.silences")
        return round(sum(end - start for start, end in silences if end > killed_at), 3)


async def measure(rounds: int) -> tuple[list[Round], int, int]:
    """Return the rounds, how many chunks are missing, and how many there were."""
    witness = Witness()
    async with bench_room() as room, chromium() as browser, bus_of(room) as bus:
        speakers = [await room.seat("Hum", Hum()), await room.seat("Quiet", silence)]
        await room.go_on_air()
        async with (
            bus.subscribe(f"live.{ROOM}.chunk.*", witness.hear),
            push_listener(room.site.audience_url, ROOM) as listener,
        ):
            pages = {}
            for via in ("push", "hls"):
                _, pages[via] = await open_listener(browser, f"{room.page}?via={via}")
            bench = Takeover(room, speakers, pages, listener)
            await asyncio.sleep(STABLE_S + 4)
            found = []
            for number in range(rounds):
                found.append(await bench.one())
                print(f"  kill {number + 1}: {found[-1]}", flush=True)
        await asyncio.sleep(1.0)  # what was sent last is acknowledged by now
        return found, await witness.missing(bus), len(witness.sent)


async def main() -> bool:
    """Measure and report."""
    parser = arguments(__doc__.splitlines()[0] if __doc__ else "")
    options = parser.parse_args()
    rounds = 4 if options.quick else 20
    before = machine()
    found, missing, chunks = await measure(rounds)
    silences = {via: [each.silence_s[via] for each in found] for via in ("push", "hls")}
    figures = {
        "silence_p95_s": round(max(percentile(each, 0.95) for each in silences.values()), 2),
        "clicks": sum(each.clicks for each in found),
        "missing": missing,
        "rejoined": sum(each.rejoined for each in found),
    }
    notes = [
        *(
            f"{via}: silence p50 {percentile(each, 0.5):.2f} s, p95 {percentile(each, 0.95):.2f} s, "
            f"most {max(each):.2f} s"
            for via, each in silences.items()
        ),
        f"the new process serves after p50 {percentile([each.serves_after_s for each in found], 0.5):.2f} s; "
        f"{sum(each.warm for each in found)} of {rounds} came from the warm spare",
        f"speakers are back after p50 {percentile([max(each.spoken_after_s, default=0) for each in found], 0.5):.2f} s",
        f"{chunks} chunks went out live and were looked for in the log",
    ]
    detail = [vars(each) for each in found]
    return report("takeover", goals(rounds), figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=480) else 1)
