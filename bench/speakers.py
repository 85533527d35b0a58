"""Many speakers in a process of their own, for benches: two talk at a time, the others are silent.

Told in one JSON line on stdin (``{"whip", "tokens", "core", "silent"}``; ``silent``: nobody talks). Says ``connected``
on stdout once all are; ends when stdin does, and then says how many packets each sent a second (50 if they had time
to).
"""

import asyncio
import json
import os
import sys
import time

import numpy as np

from bench.room import silence
from bench.speech import BrowserEncoder, speech
from stentor.clock import SystemClock
from stentor.demo.whip import HttpWhip, WhipSpeaker

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


async def speak(whip: str, tokens: list[str], *, silent: bool) -> None:
    """Speak until stdin ends."""
    quiet = BrowserEncoder(BITRATE_BPS).encode(np.concatenate([silence()[0] for _ in range(500)]))
    said = quiet if silent else BrowserEncoder(BITRATE_BPS).encode(speech(20.0))
    async with asyncio.TaskGroup() as group:
        turns = [Turns(place, len(tokens), said, quiet) for place in range(len(tokens))]
        speakers = [
            WhipSpeaker(HttpWhip(whip, token), turn, SystemClock()) for token, turn in zip(tokens, turns, strict=True)
        ]
        tasks = [group.create_task(speaker.run()) for speaker in speakers]
        for speaker in speakers:
            await speaker.connected.wait()
        print("connected", flush=True)
        before, begun = sum(turn.tick for turn in turns), time.monotonic()
        await asyncio.to_thread(sys.stdin.read)
        sent = sum(turn.tick for turn in turns) - before
        print(round(sent / len(turns) / (time.monotonic() - begun), 1), flush=True)
        for speaker in speakers:
            speaker.leave()
        await asyncio.wait(tasks, timeout=3)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    told = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, {told["core"]})
    asyncio.run(speak(told["whip"], told["tokens"], silent=told["silent"]))
