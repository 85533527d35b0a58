"""Five rooms beside each other: room A is offered ten times what its edges hold, then its process is killed.

A whole ``stentor serve``, nothing pinned; see bench.pressure for the crowd. In each of B to E one speaker sends sound
whose every 20 ms frame has the pitch of its number, and 25 listeners take the push. Glitches are what is missing or
repeated in these rooms' programs on the bus. A stall is a block that comes to a listener more than 0.4 s later than is
usual in its room: that is the least that players of ours keep in hand; listeners who are lost or get less than the full
rate count as one stall each. In room A somebody hums, who comes back by itself as pages do; ``back_s`` is how long
after the kill a listener of A hears the hum again.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from bench.crowd import Crowd, Said, crowd
from bench.microphones import Microphones, microphones
from bench.pressure import prefer_this_process, pressure
from bench.report import Goal, arguments, machine, middle, report, shown
from bench.room import ROOM, BenchRoom, bench_room, run, until
from bench.takeover import bus_of
from bench.tape import Tape
from bench.tones import Hum
from stentor.demo.staff_api import token_of
from tests.fakes.listener import PushListener, push_listener

GOALS = [
    Goal("glitches_others", "20 ms frames that are missing or repeated in rooms B to E", "", at_most=0),
    Goal("stalls_others", "times that a listener of B to E ran dry", "", at_most=0),
    Goal("back_s", "from the kill until room A is heard again", "s", at_most=3.0),
]
OTHERS = ("room-b", "room-c", "room-d", "room-e")
LISTENERS = 25
MARGIN_S = 0.4
_FULL_RATE = 4_000
_LOUD = 0.05


class Ear:
    """A listener of room A: when it last heard the hum, and since when again after a pause."""

    def __init__(self) -> None:
        self.loud: list[float] = []

    def __call__(self, pcm: NDArray[np.float32], begun_s: float) -> None:
        """Take a block that has just come; it begins at ``begun_s`` and could be played from now on."""
        if float(np.sqrt(np.mean(np.square(pcm)))) > _LOUD:
            self.loud.append(begun_s + len(pcm) / 48_000)


@dataclass
class Other:
    """One of the rooms that nothing should happen to."""

    name: str
    tape: Tape
    listeners: Crowd


@dataclass
class Round:
    """One round: what happened in the other rooms, by room, and how long A was away."""

    glitches: dict[str, int]
    stalls: dict[str, int]
    worst_lag_s: float
    back_s: float
    inside: int
    offered: int


def stalls(said: Said, expected: int) -> int:
    """Return how often listeners ran dry in a window, or were lost, or got less than there was."""
    lags = said.spread("lag_us")
    late = sum(count for value, count in lags.histogram if value > lags.at(0.5) + MARGIN_S * 1e6)
    short = said.spread("bytes").smallest < _FULL_RATE * (said.seconds - 2.0)
    return late + (expected - said["open"]) + int(short)


async def open_room(room: BenchRoom, name: str) -> tuple[str, str]:
    """Open a room and put it on air; return the address at which its speaker joins, and the token."""
    await room.api.call("POST", "/rooms", {"room": name, "title": name})
    await room.api.call("POST", f"/rooms/{name}/open", {})
    made = await room.api.call("POST", f"/rooms/{name}/links", {"role": "speaker", "name": "Speaker"})
    await room.api.call("POST", f"/rooms/{name}/start", {"force": True})
    return f"{room.site.staff_url}/r/{name}/whip", token_of(str(made["url"]))


def process_of(room: BenchRoom, name: str) -> int:
    """Return the process that runs a room."""
    assigned = [event for event in room.site.events("room_process_assigned") if event["room"] == name]
    return int(str(assigned[-1]["pid"]))


@dataclass
class Bench:
    """Room A with its listener, and the others."""

    room: BenchRoom
    stage: Microphones
    others: list[Other]
    listener: PushListener
    ear: Ear

    async def one(self, seconds: float, held: int) -> Round:
        """Offer room A too much, kill its process half-way, and look at the others until all has been said."""
        for other in self.others:
            other.tape.begin()
            await other.listeners.open()
        self.stage.say()
        async with pressure(self.room.site, ROOM, held=held, seconds=seconds) as crowd:
            await asyncio.sleep(seconds / 2)
            back_s = await self._kill()
            await self.stage.over(seconds + 30)
            inside = await crowd.inside()
        said = {other.name: await other.listeners.close() for other in self.others}
        await asyncio.sleep(4.0)
        return Round(
            glitches={other.name: await other.tape.glitches(self.stage.material) for other in self.others},
            stalls={name: stalls(each, LISTENERS) for name, each in said.items()},
            worst_lag_s=round(max(each.spread("lag_us").largest for each in said.values()) / 1e6, 3),
            back_s=round(back_s, 2),
            inside=inside,
            offered=crowd.offered,
        )

    async def _kill(self) -> float:
        """Kill the process of room A; return after how many seconds its listener hears somebody again."""
        before, killed_at = self.listener.blocks[-1].epoch, time.time()
        os.kill(process_of(self.room, ROOM), signal.SIGKILL)

        def again() -> float:
            anew = [block.came_s for block in self.listener.blocks if block.epoch > before][:1]
            return next((at for at in self.ear.loud if anew and at >= anew[0]), 0.0)

        await until(lambda: again() > 0, "room A does not come back", 20)
        return again() - killed_at


@asynccontextmanager
async def five_rooms(seconds: float) -> AsyncIterator[Bench]:
    """Put all rooms on air, with their listeners."""
    async with AsyncExitStack() as stack:
        room = await stack.enter_async_context(bench_room())
        prefer_this_process()
        await room.seat("Hum", Hum())
        await room.go_on_air()
        doors = [await open_room(room, name) for name in OTHERS]
        stage = await stack.enter_async_context(microphones(doors, seconds))
        port = urlsplit(room.site.audience_url).port or 80
        bus = await stack.enter_async_context(bus_of(room))
        others = []
        for name in OTHERS:
            tape = Tape(name)
            await stack.enter_async_context(bus.subscribe(tape.subject, tape.hear))
            push = f"/r/{name}/push?rendition=opus"
            listeners = await stack.enter_async_context(crowd("push", port, LISTENERS, path=push, rest_us=2_000))
            await listeners.arrived()
            others.append(Other(name, tape, listeners))
        ear = Ear()
        listener = await stack.enter_async_context(push_listener(room.site.audience_url, ROOM, on_sound=ear))
        await until(lambda: bool(ear.loud), "nobody is heard in room A")
        await asyncio.sleep(3.0)
        yield Bench(room, stage, others, listener, ear)


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    seconds, rounds, held = (12.0, 1, 100) if options.quick else (30.0, 5, 2_000)
    before = machine()
    found: list[Round] = []
    async with five_rooms(seconds) as bench:
        for number in range(rounds):
            found.append(await bench.one(seconds, held))
            print(f"  round {number + 1}: {found[-1]}", flush=True)
    figures = {
        "glitches_others": sum(sum(each.glitches.values()) for each in found),
        "stalls_others": sum(sum(each.stalls.values()) for each in found),
        "back_s": middle([each.back_s for each in found]),
    }
    notes = [
        f"{rounds} rounds of {seconds:.0f} s; room A was offered {found[0].offered:,}, of whom "
        f"{', '.join(str(each.inside) for each in found)} came in",
        f"room A was back after {shown([each.back_s for each in found])} s, median (least to most)",
        f"latest block of any listener in B to E: {shown([each.worst_lag_s for each in found])} s after its last step",
        f"{len(OTHERS)} other rooms with {LISTENERS} listeners each",
    ]
    detail = [vars(each) for each in found]
    return report("rooms", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=420) else 1)
