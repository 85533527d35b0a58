"""What is done to people on stage, over the staff API and real media: it holds for the very next packets.

Prints (with ``-s``) how long each act took from the request to the last packet with the voice in it; goal: 500 ms.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from stentor.clock import MonotonicNs, SystemClock
from stentor.demo.peer import Heard
from stentor.demo.staff_api import ProblemError
from stentor.demo.whip import SpeakerEvents, WhipSpeaker
from stentor.errors import Unavailable
from stentor.media.decoder import OpusDecoder
from stentor.media.encoder import OpusEncoder
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.origin.cast import Cast
from stentor.origin.mux import UdpMux
from stentor.origin.requests import serve_requests
from stentor.origin.session import MediaSession
from stentor.room.documents import RoomDocument
from stentor.room.requests import Announced, RingRead
from stentor.store.sql_migrate import migrate
from tests.fakes.staff import DEVICE, OTHER_DEVICE, Desk, staff_desk

pytestmark = pytest.mark.timeout(60)

ROOM = "/api/v1/rooms/demo"
TICK_NS = 20_000_000
ANA_HZ, CLEO_HZ, PHONE_HZ = 1_000.0, 2_300.0, 3_100.0
_THERE = 0.005
_GONE_FRAMES = 15


class _NoProgram:
    """The program side of a room that has none."""

    async def announced(self, asked: Announced) -> None:
        del asked

    def ring(self, asked: RingRead) -> bytes:
        del asked
        return b""


class ApiWhip:
    """WHIP through control's app."""

    def __init__(self, desk: Desk, session: str) -> None:
        self._desk, self._session = desk, session

    async def post(self, offer: str) -> str:
        headers = {"Content-Type": "application/sdp"}
        answer = await self._desk.call("POST", "/r/demo/whip", self._session, content=offer, headers=headers)
        if answer.status_code >= 500:
            raise Unavailable(answer.text)
        if answer.status_code != 201:
            raise ProblemError(answer.text)
        return answer.text

    async def delete(self) -> None:
        return


class Listening:
    """What one person on stage hears: which pitches, frame by frame."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder()
        self._last: dict[float, int] = {}
        self._frames = 0
        self._came = asyncio.Event()
        self.together = 0
        """Frames in which both of Ana's devices were heard."""

    def hear(self, packet: Heard) -> None:
        frame = self._decoder.decode(packet.payload).reshape(-1)[:TICK_SAMPLES]
        at = np.arange(len(frame)) / SAMPLE_RATE_HZ
        self._frames += 1
        there = [
            pitch
            for pitch in (ANA_HZ, CLEO_HZ, PHONE_HZ)
            if abs(np.mean(np.hanning(len(frame)) * frame * np.exp(-2j * np.pi * pitch * at))) * 4 > _THERE
        ]
        self._last |= dict.fromkeys(there, self._frames)
        self.together += ANA_HZ in there and PHONE_HZ in there
        self._came.set()

    def has(self, pitch_hz: float) -> bool:
        """Tell whether a pitch was in the last frames."""
        return self._frames - self._last.get(pitch_hz, -1_000) < _GONE_FRAMES

    async def until(self, holds: Callable[[], bool], why_not: str) -> None:
        try:
            async with asyncio.timeout(10):
                while not holds():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{why_not}; heard last: {self._last} of {self._frames} frames") from None

    async def until_gone(self, pitch_hz: float, act: str, done: Awaitable[object]) -> None:
        """Wait until an act has silenced a pitch; print how long its last packet came after the request."""
        begun, frames = time.monotonic(), self._frames
        await done
        answered_ms = (time.monotonic() - begun) * 1_000
        await self.until(lambda: not self.has(pitch_hz), f"{act}: {pitch_hz} Hz is still heard")
        heard_ms = max(0, self._last[pitch_hz] - frames) * 20
        sys.stdout.write(f"{act}: answered after {answered_ms:.0f} ms, last packet after {heard_ms} ms\n")


class Stage:
    """A desk, a cast with real sessions on loopback, and the people who speak."""

    def __init__(self, desk: Desk, group: asyncio.TaskGroup) -> None:
        self.desk = desk
        self._group = group
        self.people: list[WhipSpeaker] = []

    async def link(self, role: str, name: str) -> dict[str, str]:
        return await self.desk.invite(role, name)

    async def join(self, session: str, pitch_hz: float | None, ear: Listening | None = None) -> WhipSpeaker:
        """Let a session speak, as one pitch or as silence."""
        events = SpeakerEvents(ear.hear) if ear is not None else None
        speaker = WhipSpeaker(ApiWhip(self.desk, session), _microphone(pitch_hz), SystemClock(), events)
        self.people.append(speaker)
        self._group.create_task(_until_refused(speaker))
        async with asyncio.timeout(15):
            await speaker.connected.wait()
        return speaker


def _microphone(pitch_hz: float | None) -> Callable[[], bytes]:
    """Return a source of one Opus packet, over and over: every pitch here has whole periods in 20 ms."""
    encoder = OpusEncoder()
    sound = np.sin(2 * np.pi * (pitch_hz or 0.0) * np.arange(TICK_SAMPLES) / SAMPLE_RATE_HZ) * 0.2
    packets = [encoder.encode(sound.astype(np.float32).reshape(1, -1)) for _ in range(10)]
    return lambda: packets[-1]


async def _until_refused(speaker: WhipSpeaker) -> None:
    with suppress(ProblemError):
        await speaker.run()


async def _tick(cast: Cast, clock: SystemClock) -> None:
    due = clock.monotonic_ns()
    while True:
        cast.tick(due)
        due = MonotonicNs(due + TICK_NS)
        await clock.sleep_until(due)


@asynccontextmanager
async def running_stage(folder: Path) -> AsyncIterator[Stage]:
    """Run control and a room's stage in this process; the room is open."""
    clock = SystemClock()
    database = f"sqlite+aiosqlite:///{folder}/catalogue.db"
    await migrate(database)
    mux = UdpMux(("127.0.0.1",))
    mux.open()
    async with AsyncExitStack() as stack:
        stack.callback(mux.close)
        desk = await stack.enter_async_context(staff_desk(clock, database, folder))
        await desk.room("demo", "open")
        held = await desk.bus.get("rooms", "demo")
        assert held is not None
        assert held.value is not None
        document = RoomDocument.model_validate_json(held.value)
        cast = Cast(document, lambda events: MediaSession(mux, clock, events), clock, lambda: None)
        await serve_requests(desk.bus, "demo", cast, _NoProgram(), stack)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running = [group.create_task(cast.run()), group.create_task(_tick(cast, clock))]
        stage = Stage(desk, group)
        yield stage
        for speaker in stage.people:
            speaker.leave()
        await cast.close("over")
        for task in running:
            task.cancel()


async def test_every_act_reaches_the_packets(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        desk = stage.desk
        host = await desk.session((await stage.link("host", "Bea"))["url"], "the laptop of Bea")
        ear = Listening()
        await stage.join(host, None, ear)
        ana, cleo = await stage.link("speaker", "Ana"), await stage.link("cohost", "Cleo")
        laptop = await desk.session(ana["url"], DEVICE)
        await stage.join(laptop, ANA_HZ)
        await stage.join(await desk.session(cleo["url"], "the laptop of Cleo"), CLEO_HZ)
        await ear.until(lambda: ear.has(ANA_HZ) and ear.has(CLEO_HZ), "not everybody is heard")

        mute = f"{ROOM}/people/{ana['link']}/mute"
        await ear.until_gone(ANA_HZ, "mute all", desk.ok("POST", f"{ROOM}/mute-all", host))
        assert ear.has(CLEO_HZ)
        await desk.ok("POST", mute, host, json={"muted": False})
        await ear.until(lambda: ear.has(ANA_HZ), "Ana is not heard again")
        await ear.until_gone(ANA_HZ, "mute", desk.ok("POST", mute, host, json={"muted": True}))
        await desk.ok("POST", mute, host, json={"muted": False})
        await ear.until(lambda: ear.has(ANA_HZ), "Ana is not heard again")

        asked = (await desk.open(ana["url"], OTHER_DEVICE)).json()
        move = f"{ROOM}/links/{ana['link']}/move"
        moving = desk.ok("POST", move, laptop, json={"code": asked["code"]})
        await ear.until_gone(ANA_HZ, "move to another device", moving)
        await stage.join(await desk.session(ana["url"], OTHER_DEVICE), PHONE_HZ)
        await ear.until(lambda: ear.has(PHONE_HZ), "the phone is not heard")
        assert not ear.has(ANA_HZ)
        assert ear.together == 0

        role = {"role": "moderator"}
        silencing = desk.ok("POST", f"{ROOM}/people/{cleo['link']}/role", host, json=role)
        await ear.until_gone(CLEO_HZ, "make a moderator", silencing)
        block = desk.call("DELETE", f"{ROOM}/people/{ana['link']}?block=true", host)
        await ear.until_gone(PHONE_HZ, "remove and block", block)
        assert (await desk.open((await stage.link("speaker", "x"))["url"], OTHER_DEVICE)).status_code == 403


async def test_who_joined_twice_in_one_browser_does_not_hear_themself(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        desk = stage.desk
        mine, other = Listening(), Listening()
        first, second = await stage.link("speaker", "Ana"), await stage.link("host", "Ana")
        await stage.join(await desk.session(second["url"], DEVICE), None, mine)
        await stage.join(await desk.session(first["url"], DEVICE), ANA_HZ)
        link = await stage.link("speaker", "Cleo")
        await stage.join(await desk.session(link["url"], OTHER_DEVICE), CLEO_HZ, other)
        await other.until(lambda: other.has(ANA_HZ), "Ana is not heard")
        await mine.until(lambda: mine.has(CLEO_HZ), "Cleo is not heard")
        assert ANA_HZ not in mine._last
