"""The demo's room: makes it, seats two synthetic people in it, goes on air, and keeps them talking."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stentor.clock import Clock
from stentor.demo.conversation import VOICES, render
from stentor.demo.staff_api import StaffApi, token_of
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.media.grid import TICK_SAMPLES

ROOM = "demo"
TITLE = "Stentor demo: Layla and Omar talk"
DESCRIPTION = "Two synthetic voices, in English and Arabic, over real WebRTC connections."


@dataclass(frozen=True, slots=True)
class DemoLinks:
    """What a newcomer opens: to listen, to talk, to host."""

    listener: str
    speaker: str
    host: str


class TrackSource:
    """A microphone that plays a track over and over, 20 ms at a time."""

    def __init__(self, track: NDArray[np.float32]) -> None:
        """``track``: mono 48 kHz float32, shape ``(samples,)``, a whole number of ticks."""
        self._ticks = track.reshape(-1, 1, TICK_SAMPLES)
        self._at = 0

    def __call__(self) -> NDArray[np.float32]:
        """Return the next tick, (1, 960)."""
        tick: NDArray[np.float32] = self._ticks[self._at]
        self._at = (self._at + 1) % len(self._ticks)
        return tick


async def run_demo_room(
    api: StaffApi,
    clock: Clock,
    say: Callable[[str], None],
    show: Callable[[DemoLinks], None],
    tls: ssl.SSLContext | None,
) -> None:
    """Open the room and talk in it until cancelled.

    ``api`` has an operator's session; ``say`` is told what happens meanwhile; ``show`` gets the links once on air.
    """
    say("rendering speech")
    tracks = await asyncio.to_thread(render)
    say("opening the room")
    made = await api.call("POST", "/rooms", {"room": ROOM, "title": TITLE, "description": DESCRIPTION})
    links = made["links"]
    assert isinstance(links, dict)  # noqa: S101  # the API's own contract
    await api.call("POST", f"/rooms/{ROOM}/open", {})
    whip = f"{api.base_url}/r/{ROOM}/whip"
    async with asyncio.TaskGroup() as group:
        speakers = []
        for voice, track in zip(VOICES, tracks, strict=True):
            link = await api.call("POST", f"/rooms/{ROOM}/links", {"role": "speaker", "name": voice.name})
            signalling = HttpWhip(whip, token_of(str(link["url"])), tls=tls)
            speakers.append(WhipSpeaker(signalling, TrackSource(track), clock))
            group.create_task(speakers[-1].run())
        say("two people join over WebRTC")
        for speaker in speakers:
            await speaker.connected.wait()
        await api.call("POST", f"/rooms/{ROOM}/start", {"force": True})
        show(DemoLinks(str(links["listener"]), str(links["speaker"]), str(links["host"])))
