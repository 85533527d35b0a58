"""How speech sounds that came over a bad line: PESQ, through Stentor's receive path and through Janus's AudioBridge.

Three recorded people talk for 32 s each over WebRTC sessions that a proxy loses and delays packets of: 1, 5, 10 and
20 % at random, 5 % in runs of three, and ±40 ms of jitter without loss. The same browsers (bench/senders.py) send the
same to both, over networks that lose the same packets. Of Stentor that is judged which its mixer is given: WebRTC
session, reports and playout are the origin's own, with a tick each 20 ms. Of Janus, what another participant of the
room hears, packets that arrive without loss, encoded with 128 kbit/s at the best quality; for fairness Stentor's sound
encoded once more with as much is shown beside.
"""

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from bench.clips import judge, programme
from bench.impair import NETWORKS
from bench.janus import MIX_BPS, Handle, api_of, janus, media_host
from bench.pressure import prefer_this_process
from bench.report import Goal, arguments, machine, report
from bench.room import run
from bench.senders import BROWSERS_BPS, Line, Sent
from bench.speech import Pcm, decoded
from stentor.clock import MonotonicNs, SystemClock
from stentor.demo.peer import Heard, Peer
from stentor.media.encoder import OpusEncoder
from stentor.media.grid import TICK_SAMPLES
from stentor.media.playout import Playout
from tests.fakes.stage import FakeStage, fake_stage

_AT_LEAST = {"1": 4.0, "5": 3.8, "10": 3.4, "20": 2.4, "burst": 2.8, "jitter": 3.9}
_WHAT = {name: f"{name} % lost" for name in ("1", "5", "10", "20")} | {
    "burst": "5 % lost, three in a row",
    "jitter": "±40 ms, none lost",
}
GOALS = [
    *(Goal(f"pesq_{name}", f"PESQ, {_WHAT[name]}", "", at_least=least) for name, least in _AT_LEAST.items()),
    *(Goal(f"janus_{name}", f"Janus, {_WHAT[name]}", "") for name in _AT_LEAST),
    Goal("least_over_janus", "the least by which a row is better than Janus's", "", at_least=0.0),
]
SERVER_CORE, BROWSER_CORE = 0, 1
_TICK_NS = 20_000_000
_NETWORKS_AT_ONCE = 2
_TAIL_S = 1.5
_TOO_LATE_MS = 20.0


class Stage:
    """Stentor's receive path: sessions of the origin, a playout each, and a tick."""

    def __init__(self, stage: FakeStage) -> None:
        self._stage = stage
        self._playouts: dict[str, Playout] = {}
        self.latest_ms = 0.0
        self.heard: dict[str, list[Pcm]] = {}
        stage.on_packet = lambda session, packet: self._playouts[session.id].push(*packet)

    async def answer(self, offer: str) -> tuple[str, str]:
        """Return the answer, and by what name ``heard`` has the sound."""
        answer = await self._stage.post(offer)
        name = self._stage.sessions[-1].id
        self._playouts[name], self.heard[name] = Playout(), []
        return answer, name

    def counted(self, name: str) -> str:
        """Return what the playout counted, and the latest tick of all."""
        stats = self._playouts[name].stats
        counters = ("lost", "recovered", "concealed", "comfort", "late", "shortened", "lengthened")
        return (
            f"{', '.join(f'{each} {getattr(stats, each)}' for each in counters)}; latest tick {self.latest_ms:.0f} ms"
        )

    async def run(self) -> None:
        """Pull a tick of everybody each 20 ms, until cancelled."""
        clock = SystemClock()
        due = clock.monotonic_ns()
        while True:
            due = MonotonicNs(due + _TICK_NS)
            await clock.sleep_until(due)
            self.latest_ms = max(self.latest_ms, (clock.monotonic_ns() - due) / 1e6)
            for name, playout in self._playouts.items():
                self.heard[name].append(playout.pull(due)[0].copy())


@dataclass
class Listener:
    """Somebody in a room of Janus's who hears the mix and keeps its packets."""

    packets: dict[int, bytes] = field(default_factory=dict)

    def take(self, heard: Heard) -> None:
        """Keep a packet."""
        self.packets[heard.sequence] = heard.payload

    def sound(self) -> Pcm:
        """Return what was heard. Raises AssertionError if a packet is missing, which would not be Janus's fault."""
        numbers = sorted(self.packets)
        if numbers[-1] - numbers[0] > 0x8000:  # the sequence numbers began anew
            numbers = [*(n for n in numbers if n >= 0x8000), *(n for n in numbers if n < 0x8000)]
        missing = (numbers[-1] - numbers[0]) % 0x10000 + 1 - len(numbers)
        assert missing <= 0, f"{missing} packets of Janus's mix did not arrive"
        return decoded(self.packets[number] for number in numbers)


@asynccontextmanager
async def browsers(lines: list[Line], seconds: float, people: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run bench.senders; it is killed if it is still there in the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.senders"), stdin=pipe, stdout=pipe, cwd=Path(__file__).parent.parent
    )
    told = {"core": BROWSER_CORE, "lines": [asdict(line) for line in lines], "seconds": seconds, "people": people}
    try:
        await tell(process, told)
        yield process
        await tell(process, None)
        async with asyncio.timeout(10):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def tell(process: asyncio.subprocess.Process, what: object) -> None:
    """Write a line of JSON."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(what).encode() + b"\n")
    await process.stdin.drain()


async def said_by(process: asyncio.subprocess.Process, limit_s: float) -> bytes:
    """Read a line. Raises AssertionError when there is none in time."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limit_s):
            line = bytearray()
            while not line.endswith(b"\n"):
                line += await process.stdout.read(65_536) or b"\n"
    except TimeoutError:
        raise AssertionError(f"the browsers say nothing for {limit_s} s") from None
    return bytes(line)


async def listen(handle: Handle, room: int) -> tuple[Peer, Listener]:
    """Join a room of Janus's to hear it."""
    listener = Listener()
    peer = Peer(SystemClock(), listener.take, "recvonly")
    await peer.connect(await handle.join(room, await peer.offer(), best=True))
    return peer, listener


@dataclass(frozen=True)
class Ran:
    """One line of one run: which way and network, what the browser says of it, and the sound."""

    way: str
    network: str
    sent: Sent
    sound: Pcm
    counted: str = ""


async def ran(networks: list[str], seconds: float, people: int) -> list[Ran]:
    """Send the programme over each network to Stentor, and to Janus at the same bitrate and at a browser's own."""
    lines: list[tuple[str, Line]] = []
    frames = len(programme(seconds, people)[0]) // TICK_SAMPLES
    for network in networks:
        seed = NETWORKS[network].seed(frames)
        lines.append(("stentor", Line(network, seed)))
        lines += [("janus", Line(network, seed, media_host(), bps)) for bps in (64_000, BROWSERS_BPS)]
    async with AsyncExitStack() as stack:
        server = await api_of((await stack.enter_async_context(janus(SERVER_CORE))).port)
        rooms = iter(await server.create(len(lines)))
        fake = await stack.enter_async_context(fake_stage())
        stage = Stage(fake)
        process = await stack.enter_async_context(browsers([line for _, line in lines], seconds, people))
        offers = json.loads(await said_by(process, 60))
        answers, names, listeners = [], {}, {}
        for index, ((way, _), offer) in enumerate(zip(lines, offers, strict=True)):
            if way == "stentor":
                answer, names[index] = await stage.answer(offer)
            else:
                room = next(rooms)
                answer = await (await server.attach()).join(room, offer)
                peer, listeners[index] = await listen(await server.attach(), room)
                stack.push_async_callback(peer.close)
            answers.append(answer)
        await tell(process, answers)
        assert await said_by(process, 60) == b"connected\n", "the browsers do not connect"
        ticking = fake.group.create_task(stage.run())
        sent = [Sent(**each) for each in json.loads(await said_by(process, 30 + 3 * people * (seconds + 4)))]
        late_ms = max(each.late_ms for each in sent)
        assert late_ms < _TOO_LATE_MS, f"this machine is too busy: packets were sent {late_ms:.0f} ms late (p99)"
        await asyncio.sleep(_TAIL_S)
        ticking.cancel()
    sounds = {index: np.concatenate(stage.heard[name]) for index, name in names.items()}
    sounds |= {index: listener.sound() for index, listener in listeners.items()}
    ways = [way if way == "stentor" else f"janus {line.bitrate_bps}" for way, line in lines]
    counted = {index: stage.counted(name) for index, name in names.items()}
    return [
        Ran(ways[index], line.network, sent[index], sounds[index], counted.get(index, ""))
        for index, (_, line) in enumerate(lines)
    ]


def encoded_again(sound: Pcm) -> Pcm:
    """Return what is left after Opus with as much as Janus's mix has."""
    encoder = OpusEncoder(MIX_BPS, speech=False)
    whole = sound[: len(sound) // TICK_SAMPLES * TICK_SAMPLES]
    return decoded([encoder.encode(tick.reshape(1, -1)) for tick in whole.reshape(-1, TICK_SAMPLES)])


async def measure(seconds: float, people: int) -> tuple[dict[str, list[float]], dict[str, tuple[Sent, str]]]:
    """Return PESQ of each piece, and what was sent and counted, by ``way, network``."""
    runs: list[Ran] = []
    names = list(NETWORKS)
    for start in range(0, len(names), _NETWORKS_AT_ONCE):
        runs += await ran(names[start : start + _NETWORKS_AT_ONCE], seconds, people)
    sounds = {f"{each.way}, {each.network}": each.sound for each in runs}
    again = {f"stentor again, {each.network}": each.sound for each in runs if each.way == "stentor"}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        sounds |= dict(zip(again, pool.map(encoded_again, again.values()), strict=True))
        waiting = {key: pool.submit(judge, sound, seconds, people) for key, sound in sounds.items()}
        found = {key: await asyncio.wrap_future(each) for key, each in waiting.items()}
    return found, {f"{each.way}, {each.network}": (each.sent, each.counted) for each in runs}


def notes(found: dict[str, list[float]], sent: dict[str, tuple[Sent, str]]) -> list[str]:
    """Return a line for each network: means and spreads of every way, and what the browsers did."""
    lines = []
    for network in NETWORKS:
        of = {key.partition(",")[0]: key for key in found if key.endswith(f", {network}")}
        lines.append(
            f"{_WHAT[network]}: "
            + "; ".join(f"{way} {mean(found[key]):.2f} (±{stdev(found[key]):.2f})" for way, key in of.items())
        )
        for key in (each for each in of.values() if each in sent):
            one, counted = sent[key]
            sending = (
                f"{one.bitrate_bps // 1000} kbit/s, FEC {one.fec}, DTX {one.dtx}, told of {100 * one.loss:.0f} % loss"
            )
            lines.append(f"    {key}: {sending}; {one.lost} of {one.sent} lost, {one.late_ms} ms late (p99){counted}")
    return lines


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    os.sched_setaffinity(0, {SERVER_CORE})
    prefer_this_process()
    gc.freeze()  # as app does: a collection of everything takes longer than a tick may
    seconds, people = (16.0, 1) if options.quick else (32.0, 3)
    found, sent = await measure(seconds, people)
    figures = {f"pesq_{name}": round(mean(found[f"stentor, {name}"]), 2) for name in NETWORKS}
    figures |= {f"janus_{name}": round(mean(found[f"janus 64000, {name}"]), 2) for name in NETWORKS}
    figures["least_over_janus"] = round(min(figures[f"pesq_{name}"] - figures[f"janus_{name}"] for name in NETWORKS), 2)
    return report(
        "loss", GOALS, figures, path=options.json, before=before, notes=notes(found, sent), detail={"pesq": found}
    )


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=900) else 1)
