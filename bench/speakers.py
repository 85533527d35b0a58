"""Many speakers in a process of their own, for benches: two talk at a time, the others are silent.

Told in one JSON line on stdin (``{"whip", "tokens", "core", "silent", "janus"}``; ``silent``: nobody talks; ``janus``:
the port of a Janus in whose first room so many sit instead, or 0). Says ``connected`` on stdout once all are; ends when
stdin does, and then says how many packets each sent a second (50 if they had time to), and heard a second.
"""

import asyncio
import json
import os
import sys
import time

import numpy as np

from bench.janus import Handle, Janus, api_of
from bench.room import silence
from bench.speech import BrowserEncoder, speech
from stentor.clock import SystemClock
from stentor.demo.whip import HttpWhip, Signalling, SpeakerEvents, WhipSpeaker

TURN_TICKS = 250
BITRATE_BPS = 64_000


class Turns:
    """One of ``count`` microphones: talks when its pair's turn of five seconds comes."""

    def __init__(self, place: int, count: int, said: list[bytes], quiet: list[bytes]) -> None:
        self._pair, self._pairs = place // 2, (count + 1) // 2
        self._said, self._quiet = said, quiet
        self.tick = 0

    def __call__(self) -> bytes:
        """Return the next packet."""
        self.tick += 1
        talks = self.tick // TURN_TICKS % self._pairs == self._pair
        packets = self._said if talks else self._quiet
        return packets[self.tick % len(packets)]


class JanusSignalling:
    """The way to the first room of a Janus."""

    def __init__(self, janus: Janus) -> None:
        self._janus = janus
        self._handle: Handle | None = None

    async def post(self, offer: str) -> str:
        """Join and return the answer."""
        self._handle = await self._janus.attach()
        return await self._handle.join(1, offer)

    async def delete(self) -> None:
        """Leave."""
        if self._handle is not None:
            await self._handle.detach()


async def speak(ways: list[Signalling], *, silent: bool) -> None:
    """Speak until stdin ends."""
    heard = 0

    def hear(_packet: object) -> None:
        nonlocal heard
        heard += 1

    quiet = BrowserEncoder(BITRATE_BPS).encode(np.concatenate([silence()[0] for _ in range(500)]))
    said = quiet if silent else BrowserEncoder(BITRATE_BPS).encode(speech(20.0))
    async with asyncio.TaskGroup() as group:
        turns = [Turns(place, len(ways), said, quiet) for place in range(len(ways))]
        speakers = [
            WhipSpeaker(way, turn, SystemClock(), SpeakerEvents(hear)) for way, turn in zip(ways, turns, strict=True)
        ]
        tasks = [group.create_task(speaker.run()) for speaker in speakers]
        for speaker in speakers:
            await speaker.connected.wait()
        print("connected", flush=True)
        before, heard, begun = sum(turn.tick for turn in turns), 0, time.monotonic()
        await asyncio.to_thread(sys.stdin.read)
        seconds = (time.monotonic() - begun) * len(turns)
        rates = [sum(turn.tick for turn in turns) - before, heard]
        print(json.dumps([round(each / seconds, 1) for each in rates]), flush=True)
        for speaker in speakers:
            speaker.leave()
        await asyncio.wait(tasks, timeout=3)
        for task in tasks:
            task.cancel()


async def main() -> None:
    """Take what is told and speak."""
    told = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, {told["core"]})
    tokens = told["tokens"]
    if told["janus"]:
        janus = await api_of(told["janus"])
        ways: list[Signalling] = [JanusSignalling(janus) for _ in tokens]
    else:
        ways = [HttpWhip(told["whip"], token) for token in tokens]
    await speak(ways, silent=told["silent"])


if __name__ == "__main__":
    asyncio.run(main())
