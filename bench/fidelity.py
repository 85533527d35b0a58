"""Speech through the whole way: WebRTC, jitter buffer, mixer, encoder, bus, edge; compared with what was said.

A synthetic browser sends a minute of speech at 64 kbit/s, which is what our answer makes a browser send, one at
32 kbit/s, which is what it would send by itself, and a minute of audio whose every 20 ms frame carries a number in its
pitch. The push's Opus and the HLS segments' AAC are collected and decoded, and placed by
their own timestamps. PESQ (ITU-T P.862.2, wide band, 16 kHz) compares pieces of eight seconds with the source as it
was before any codec; the figure is the mean. What the first encoder alone leaves is the most that can be had.
"""

import asyncio
import io
import re
import sys
from dataclasses import dataclass, field
from functools import cache

import av
import numpy as np
from pesq import pesq
from scipy.signal import correlate, resample_poly  # type: ignore[import-untyped]  # scipy says no types

from bench.report import Goal, arguments, machine, report
from bench.room import ROOM, BenchRoom, bench_room, run, until
from bench.speech import BrowserEncoder, Pcm, decoded, digits, missing_or_repeated, numbered, read_digits, speech
from stentor.media.encoder import Encoder
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.media.rendition import RENDITIONS, RenditionName
from tests.fakes.listener import Block, push_listener

GOALS = [
    Goal("pesq_push", "PESQ wide band, push (Opus), source 64 kbit/s", "", at_least=4.0),
    Goal("pesq_hls", "PESQ wide band, HLS (AAC), source 64 kbit/s", "", at_least=4.0),
    Goal("glitches", "missing or repeated 20 ms frames in 60 s", "", at_most=0),
]
PIECE_S = 8
PAUSE_SAMPLES = 2 * SAMPLE_RATE_HZ
_POLL_S = 1.0
_RATE_HZ = 16_000


@dataclass
class Material:
    """One run of sound: what it is, before any codec, and as a browser's packets."""

    name: str
    sound: Pcm
    packets: list[bytes]


def materials(seconds: float) -> list[Material]:
    """Return the three runs, each ``seconds`` long or a little longer."""
    said = speech(seconds)
    tones = numbered(int(seconds * 50))
    return [
        Material("speech 64 kbit/s", said, BrowserEncoder(64_000).encode(said)),
        Material("speech 32 kbit/s", said, BrowserEncoder(32_000).encode(said)),
        Material("numbered", tones, BrowserEncoder(64_000).encode(tones)),
    ]


@cache
def pause() -> tuple[bytes, ...]:
    """Return the packets of two seconds of silence; made but once, since that takes longer than a packet may wait."""
    return tuple(BrowserEncoder(32_000).encode(np.zeros(PAUSE_SAMPLES, np.float32)))


class Sender:
    """A microphone whose packets are made already: silence until ``begin``, then the runs, two seconds between them."""

    def __init__(self, runs: list[Material]) -> None:
        self._packets = [*pause(), *(packet for each in runs for packet in [*each.packets, *pause()])]
        self._silence = pause()[-1]
        self.begin = False
        self.sent = 0

    def __call__(self) -> bytes:
        """Return the next packet."""
        if not self.begin or self.over:
            return self._silence
        self.sent += 1
        return self._packets[self.sent - 1]

    @property
    def over(self) -> bool:
        """Tell whether all has been sent."""
        return self.sent == len(self._packets)


@dataclass
class HlsTape:
    """Records the AAC rendition as an HLS client that takes whole segments."""

    room: BenchRoom
    init: bytes = b""
    segments: dict[int, bytes] = field(default_factory=dict)

    async def run(self) -> None:
        """Poll the playlist and fetch what is new, until cancelled."""
        while True:
            playlist = (await self.room.site.get(f"/r/{ROOM}/aac.m3u8")).body.decode()
            for uri, number in re.findall(r"^(\S*?(\d+)\.m4s)(?:\?\S*)?$", playlist, re.MULTILINE):
                if int(number) not in self.segments:
                    self.segments[int(number)] = (await self.room.site.get(self._path(uri))).body
            if not self.init:
                found = re.search(r'EXT-X-MAP:URI="([^"]+)"', playlist)
                if found:
                    self.init = (await self.room.site.get(self._path(found[1]))).body
            await asyncio.sleep(_POLL_S)

    @staticmethod
    def _path(uri: str) -> str:
        return uri if uri.startswith("/") else f"/r/{ROOM}/{uri}"

    def sound(self) -> tuple[Pcm, int, int]:
        """Return the sound, its first sample's number, and how many segments are missing in between."""
        numbers = sorted(self.segments)
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        file = io.BytesIO(self.init + b"".join(self.segments[n] for n in numbers))
        with av.open(file, mode="r") as container:
            frames = [(frame.pts or 0, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
        first = frames[0][0]
        placed = np.zeros(frames[-1][0] - first + 4096, np.float32)
        for at, pcm in frames:
            placed[at - first : at - first + len(pcm)] = pcm
        return placed, first, missing


def push_sound(blocks: list[Block]) -> tuple[Pcm, int]:
    """Return the decoded push and how many of its frames are missing or came twice."""
    glitches = 0
    expected = blocks[0].first_sample
    for block in blocks:
        glitches += abs(block.first_sample - expected) // TICK_SAMPLES
        expected = block.first_sample + len(block.units) * TICK_SAMPLES
    return decoded(unit for block in blocks for unit in block.units), glitches


def find(sound: Pcm, wanted: Pcm, after: int, within_s: float) -> int:
    """Return the sample of ``sound`` at which ``wanted`` begins, looked for from ``after`` on."""
    start = wanted[: 5 * SAMPLE_RATE_HZ]
    window = sound[after : after + int(within_s * SAMPLE_RATE_HZ) + len(start)]
    return after + int(np.argmax(np.abs(correlate(window, start, mode="valid", method="fft"))))


def score(source: Pcm, heard: Pcm) -> list[float]:
    """Return PESQ wide band of each piece of ``heard``, which begins with ``source`` to about a frame."""
    piece = PIECE_S * SAMPLE_RATE_HZ
    values = []
    for start in range(0, min(len(source), len(heard)) - piece + 1, piece):
        reference, degraded = (resample_poly(each[start : start + piece], 1, 3) for each in (source, heard))
        values.append(float(pesq(_RATE_HZ, reference, degraded, "wb")))
    return values


def alone(rendition: RenditionName, sound: Pcm) -> Pcm:
    """Return the sound through the program's encoder alone."""
    units = Encoder(RENDITIONS[rendition]).encode(sound.reshape(1, -1))
    return decoded(units)


async def record(runs: list[Material]) -> tuple[Pcm, int, HlsTape]:
    """Send the runs and return the push's sound, its glitches, and what HLS gave."""
    sender = Sender(runs)
    async with bench_room() as room:
        await room.seat("Browser", sender)
        await room.go_on_air()
        tape = HlsTape(room)
        async with push_listener(room.site.audience_url, ROOM) as listener:
            room.tasks.append(room.group.create_task(tape.run()))
            await until(lambda: bool(listener.blocks and tape.segments), "nothing is heard")
            sender.begin = True
            await until(lambda: sender.over, "the speaker does not come to an end", 300)
            await asyncio.sleep(6.0)
        sound, glitches = push_sound(listener.blocks)
    return sound, glitches, tape


def compare(runs: list[Material], push: Pcm, hls: Pcm) -> tuple[dict[str, float], dict[str, int]]:
    """Return PESQ by row, and the glitches that the numbered frames show by way."""
    rows: dict[str, float] = {}
    glitches: dict[str, int] = {}
    after = {"push": 0, "hls": 0}
    for each in runs:
        for way, sound in (("push", push), ("hls", hls)):
            begin = find(sound, each.sound, after[way], 3.0 if after[way] else 15.0)
            heard = sound[begin : begin + len(each.sound)]
            after[way] = begin + len(each.sound)
            if each.name == "numbered":
                sent = digits(len(each.packets))
                edits, differences = missing_or_repeated(sent, read_digits(heard))
                glitches[way] = edits
                rows[f"numbered frames read wrong, {way}"] = differences
            else:
                rows[f"{each.name}, {way}"] = float(np.mean(score(each.sound, heard)))
        if each.name != "numbered":
            rows[f"{each.name}, its encoder alone"] = float(np.mean(score(each.sound, decoded(each.packets))))
    said = runs[0].sound
    rows["no source codec, program's Opus alone"] = float(np.mean(score(said, alone(RenditionName.OPUS, said))))
    return rows, glitches


async def main() -> bool:
    """Measure and report."""
    parser = arguments(__doc__.splitlines()[0] if __doc__ else "")
    options = parser.parse_args()
    before = machine()
    runs = materials(16.0 if options.quick else 60.0)
    push, push_glitches, tape = await record(runs)
    hls, _, hls_missing = tape.sound()
    rows, numbered_glitches = await asyncio.to_thread(compare, runs, push, hls)
    figures = {
        "pesq_push": round(rows["speech 64 kbit/s, push"], 2),
        "pesq_hls": round(rows["speech 64 kbit/s, hls"], 2),
        "glitches": push_glitches + hls_missing + sum(numbered_glitches.values()),
    }
    notes = [
        *(f"{row}: {value:.2f}" for row, value in rows.items()),
        f"glitches: {push_glitches} by the push's numbers, {hls_missing} HLS segments, heard in the numbered frames: "
        + ", ".join(f"{way} {count}" for way, count in numbered_glitches.items()),
    ]
    return report("fidelity", GOALS, figures, path=options.json, before=before, notes=notes, detail=rows)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=300) else 1)
