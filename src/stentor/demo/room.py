"""The demo's room: makes it, seats two synthetic people in it, goes on air, and keeps them talking."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from stentor.clock import Clock
from stentor.demo.conversation import VOICES, render
from stentor.demo.staff_api import StaffApi, token_of
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.media.grid import TICK_SAMPLES

ROOM = "demo"
_USABLE = {"draft", "scheduled", "lobby", "live", "held"}
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
    room, state, links = await _room(api)
    if state not in {"lobby", "live", "held"}:
        await api.call("POST", f"/rooms/{room}/open", {})
    whip = f"{api.base_url}/r/{room}/whip"
    async with asyncio.TaskGroup() as group:
        speakers = []
        for voice, track in zip(VOICES, tracks, strict=True):
            signalling = HttpWhip(whip, token_of(await _link(api, room, "speaker", voice.name)), tls=tls)
            talker = WhipSpeaker(signalling, TrackSource(track), clock)
            speakers.append(talker)
            group.create_task(talker.run())
        say("two people join over WebRTC")
        for talker in speakers:
            await talker.connected.wait()
        if state == "held":
            await api.call("POST", f"/rooms/{room}/resume", {})
        elif state != "live":
            await api.call("POST", f"/rooms/{room}/start", {"force": True})
        speaker = links.get("speaker") or await _link(api, room, "speaker", "Guest")
        host = links.get("host") or await _link(api, room, "host", "Host")
        show(DemoLinks(f"{api.audience_url}/r/{room}", speaker, host))


async def _room(api: StaffApi) -> tuple[str, str, dict[str, str]]:
    """Return a room to talk in, its state and, if it is new, its links; one that an earlier run left open serves."""
    there = (await api.call("GET", "/rooms"))["rooms"]
    states = {str(one["room"]): str(one["state"]) for one in there} if isinstance(there, list) else {}
    for number in count(1):
        room = ROOM if number == 1 else f"{ROOM}-{number}"
        if room not in states:
            made = await api.call("POST", "/rooms", {"room": room, "title": TITLE, "description": DESCRIPTION})
            links = made["links"]
            return room, str(made["state"]), links if isinstance(links, dict) else {}
        if states[room] in _USABLE:
            return room, states[room], {}
    raise AssertionError("count() ends")


async def _link(api: StaffApi, room: str, role: str, name: str) -> str:
    return str((await api.call("POST", f"/rooms/{room}/links", {"role": role, "name": name}))["url"])
