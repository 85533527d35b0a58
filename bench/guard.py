"""Strangers at the door of a room: a million datagrams, while twenty people are on stage and others come and go.

One of the twenty says numbered frames, whose way to a listener shows each glitch. The datagrams come from ever new
addresses and ports of the loopback, none of which ICE has validated, and are of every kind: STUN with the username
fragment of a live session and with others, broken STUN, DTLS, SRTP, SRTCP and garbage. Memory is the room's process's.

A process that has just begun grows with whatever it does first, up to its working size. So people come and go before,
until that makes it no larger; by how much it grew until then is shown beside the figure.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from pathlib import Path

from bench.fidelity import Material, find, push_sound
from bench.microphones import microphones
from bench.report import Goal, arguments, machine, report
from bench.room import ROOM, BenchRoom, bench_room, run, silence
from bench.speech import digits, missing_or_repeated, read_digits
from bench.stand import speakers
from stentor.clock import SystemClock
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.errors import StentorError
from stentor.media.grid import TICK_SAMPLES
from tests.fakes.listener import Block, push_listener

PEOPLE = 20
SEATS = 50
RATE = 20_000
GOALS = [
    Goal("stayed", "sessions that stayed", "", at_least=PEOPLE),
    Goal("handshakes", "handshakes that succeeded meanwhile", "", at_least=200),
    Goal("rss_mb", "growth of the room's memory", "MB", at_most=5.0),
    Goal("glitches", "missing or repeated 20 ms frames in the program", "", at_most=0),
]
_WORKERS, _CALLERS, _PAUSE_S = 4, 28, 0.4
_LOOKS = 100
_WARM_S = 5.0
_WARM_BATCHES = 8
_STEADY_BYTES = 1_000_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Listening(HttpWhip):
    """The way to the stage, noting the username fragment that the last answer gave."""

    ufrag = ""

    async def post(self, offer: str) -> str:  # type: ignore[explicit-override]  # from Python 3.12
        """POST the offer."""
        answer = await super().post(offer)
        self.ufrag = re.findall(r"^a=ice-ufrag:(\S+)", answer, re.MULTILINE)[0]
        return answer


@dataclass
class Callers:
    """People who come, connect, and leave again."""

    room: BenchRoom
    tokens: list[str]
    succeeded: int = 0
    failed: list[str] = field(default_factory=list)

    async def handshakes(self, count: int) -> None:
        """Have so many connections made, a few at a time, and none so often that control would turn it away."""
        async with asyncio.TaskGroup() as group:
            for worker in range(_WORKERS):
                share = count // _WORKERS + (worker < count % _WORKERS)
                group.create_task(self._worker(self.tokens[worker::_WORKERS], share))

    async def _worker(self, tokens: list[str], count: int) -> None:
        for token in islice(cycle(tokens), count):
            await asyncio.sleep(_PAUSE_S)
            whip = HttpWhip(f"{self.room.site.staff_url}/r/{ROOM}/whip", token)
            speaker = WhipSpeaker(whip, silence, SystemClock())
            running = asyncio.create_task(speaker.run())
            try:
                async with asyncio.timeout(15):
                    await speaker.connected.wait()
                    self.succeeded += speaker.connections == 1
                    speaker.leave()
                    await running
            except (TimeoutError, StentorError) as error:
                self.failed.append(repr(error))
                running.cancel()
                await asyncio.wait({running})


async def work_in(callers: Callers, process: int, calls: int) -> str:
    """Have people come and go, ``calls`` at a time, until that makes the room no larger; return how it grew."""
    sizes = [rss_bytes(process)]
    while len(sizes) <= _WARM_BATCHES:
        await callers.handshakes(calls)
        sizes.append(rss_bytes(process))
        if sizes[-1] - sizes[-2] < _STEADY_BYTES:
            break
    grew = ", ".join(f"{(after - before) / 1e6:.1f}" for before, after in pairwise(sizes))
    return f"before, the room grew to its working size: by {grew} MB with {calls} handshakes each"


def rss_bytes(pid: int) -> int:
    """Return a process's resident memory (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


async def attack(kind: str, told: dict[str, object]) -> asyncio.subprocess.Process:
    """Start an attack (bench/attack)."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "bench.attack", kind]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=Path(__file__).parent.parent)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode() + b"\n")
    return process


async def said(process: asyncio.subprocess.Process, limit_s: float) -> dict[str, object] | None:
    """Return what an attack answers, or None if it died."""
    assert process.stdout is not None
    async with asyncio.timeout(limit_s):
        line = await process.stdout.readline()
        await process.wait()
    found: dict[str, object] | None = json.loads(line) if line else None
    return found


@asynccontextmanager
async def ending(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.subprocess.Process]:
    """Kill a process that the context leaves running."""
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def samples(blocks: list[Block]) -> int:
    """Return how much sound has come."""
    return TICK_SAMPLES * sum(len(block.units) for block in blocks)


def glitches(blocks: list[Block], spoken: Material, after: int) -> int:
    """Return how many frames are missing or came twice: by the numbers of all, in the sound of the numbered run.

    The run is looked for in the 20 s after sample ``after``.
    """
    sound, wrong = push_sound(blocks)
    begin = find(sound, spoken.sound, after, 20.0)
    heard = sound[begin : begin + len(spoken.sound)]
    edits, _ = missing_or_repeated(digits(len(spoken.packets)), read_digits(heard))
    return wrong + edits + (len(spoken.sound) - len(heard)) // TICK_SAMPLES


async def metric(room: BenchRoom, name: str) -> dict[str, float]:
    """Return a metric's samples by their labels."""
    page = (await room.site.get("/metrics", base=room.site.private_url)).body.decode()
    return {label: float(value) for label, value in re.findall(rf"^{name}(\S*) (\S+)$", page, re.MULTILINE)}


def room_port(room_process: int) -> int:
    """Return the UDP port on which a process receives (proc(5), net/udp)."""
    own = {str(each.readlink()) for each in Path(f"/proc/{room_process}/fd").iterdir() if each.is_symlink()}
    for line in Path(f"/proc/{room_process}/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in own:
            return int(fields[1].split(":")[1], 16)
    raise AssertionError("the room has no UDP port")


async def on_stage(room: BenchRoom) -> set[str]:
    """Return who is connected."""
    roster = await room.api.call("GET", f"/rooms/{ROOM}/roster")
    listed = roster["people"]
    assert isinstance(listed, list)
    return {str(each["person"]) for each in listed if each["connected"]}


async def all_on_stage(room: BenchRoom) -> set[str]:
    """Wait until everybody is connected: the roster says so a moment later than they. Raises AssertionError."""
    people: set[str] = set()
    for _ in range(_LOOKS):
        people = await on_stage(room)
        if len(people) >= PEOPLE:
            return people
        await asyncio.sleep(0.1)
    raise AssertionError(f"{len(people)} are on stage")


def closed(room: BenchRoom, people: set[str]) -> dict[str, str]:
    """Return the people of whom a session has ended, and why."""
    ended = {str(each["person"]): str(each["reason"]) for each in room.site.events("session_closed")}
    return {person: ended[person] for person in people & ended.keys()}


async def measure(count: int, calls: int) -> tuple[dict[str, float], list[str]]:
    """Return the figures, and notes."""
    seconds = count / RATE
    async with bench_room() as room:
        await room.api.call("PATCH", f"/rooms/{ROOM}", {"seats": SEATS})
        tokens = [await room.link(f"Speaker {number}") for number in range(PEOPLE - 2)]
        door = Listening(f"{room.site.staff_url}/r/{ROOM}/whip", await room.link("Known"))
        known = WhipSpeaker(door, silence, SystemClock())
        callers = Callers(room, [await room.link(f"Caller {number}") for number in range(_CALLERS)])
        numbers = await room.link("Numbers")
        room.tasks.append(room.group.create_task(known.run()))
        await known.connected.wait()
        await room.go_on_air()
        async with (
            speakers(room, tokens, silent=True),
            microphones([(f"{room.site.staff_url}/r/{ROOM}/whip", numbers)], seconds + 5) as stage,
            push_listener(room.site.audience_url, ROOM) as listener,
        ):
            people = await all_on_stage(room)
            process = room.room_process()
            grew = await work_in(callers, process, calls)
            await asyncio.sleep(_WARM_S)
            callers.succeeded = 0
            before, late = rss_bytes(process), await metric(room, "stentor_origin_late_ticks_total")
            after = samples(listener.blocks)
            stage.say()
            told = {"host": "127.0.0.1", "port": room_port(process), "count": count, "rate": RATE, "ufrag": door.ufrag}
            async with ending(await attack("flood", told)) as flood, asyncio.TaskGroup() as group:
                group.create_task(callers.handshakes(calls))
                done = await said(flood, 60 + 4 * seconds)
            growth = rss_bytes(process) - before
            await stage.over(60)
            await asyncio.sleep(3.0)
            there, lost = people & await on_stage(room), closed(room, people)
            late_after = await metric(room, "stentor_origin_late_ticks_total")
            dropped = await metric(room, "stentor_origin_datagrams_(?:dropped_total|filtered)")
        wrong = await asyncio.to_thread(glitches, listener.blocks, stage.material, after)
    figures = {
        "stayed": len(there - lost.keys()),
        "handshakes": callers.succeeded,
        "rss_mb": round(growth / 1e6, 2),
        "glitches": wrong,
    }
    notes = [
        f"sent: {done}; ticks more than 20 ms late: {sum(late_after.values()) - sum(late.values()):.0f}",
        "turned away: " + ", ".join(f"{label} {value:.0f}" for label, value in dropped.items() if value),
        grew,
        f"at the end {len(there)} are connected; sessions ended: {lost or 'none'}",
        *(f"a handshake that failed: {each}" for each in callers.failed[:5]),
    ]
    return figures, notes


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    figures, notes = await measure(*((100_000, 20) if options.quick else (1_000_000, 200)))
    return report("guard", GOALS, figures, path=options.json, before=before, notes=notes)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=700) else 1)
