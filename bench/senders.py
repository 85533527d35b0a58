"""Browsers on bad networks, in a process of their own: each says the same, over a WebRTC session and a proxy.

Told in one JSON line on stdin (``{"core", "lines", "seconds", "people"}``, see ``Line``). Prints the offers as one
line, takes the answers as one, prints ``connected``, and says on when all is said: one line with ``Sent`` of each.
The encoder is what the answer makes of a browser's: its fmtp says the bitrate, FEC and DTX, and the receiver reports
say the loss, smoothed as Chromium does (10 s).
"""

import asyncio
import gc
import json
import os
import re
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field

from bench.clips import programme
from bench.impair import NETWORKS, Proxy, proxy
from bench.report import percentile
from bench.speech import DTX_BYTES, BrowserEncoder, Pcm
from stentor.clock import MonotonicNs, SystemClock
from stentor.demo.peer import Peer
from stentor.media.grid import TICK_SAMPLES

TICK_NS = 20_000_000
BROWSERS_BPS = 32_000
"""What Chromium sends of one voice when the answer says nothing."""
_SMOOTHED_PER_MS = 0.9999


@dataclass(frozen=True)
class Line:
    """One browser: the network it has, the address at which its server reaches it, and a bitrate for the answer's."""

    network: str
    seed: int
    host: str = "127.0.0.1"
    bitrate_bps: int | None = None


@dataclass
class Sent:
    """What became of a line: bitrate, FEC and DTX as answered, loss as reported, packets sent and lost, lateness."""

    bitrate_bps: int = 0
    fec: bool = False
    dtx: bool = False
    loss: float = 0.0
    sent: int = 0
    lost: int = 0
    late_ms: float = 0.0
    lates: list[float] = field(default_factory=list)


class Browser(Peer):
    """A peer that may also let 20 ms pass unsent."""

    def skip(self) -> None:
        """Let a frame of silence pass (RFC 7587, 3.1.3)."""
        self._timestamp = self._timestamp + TICK_SAMPLES & 0xFFFFFFFF

    def told_loss(self, before: float | None) -> float | None:
        """Return the smoothed loss, 0 to 1, once reports are there."""
        for report in self.reports:
            now = report.fraction_lost / 256
            kept = _SMOOTHED_PER_MS**1_000
            before = now if before is None else kept * before + (1 - kept) * now
        self.reports.clear()
        return before


def encoder_for(answer: str, bitrate_bps: int | None) -> tuple[BrowserEncoder, Sent]:
    """Return a browser's encoder after this answer, and what was read in it."""
    fmtp = "".join(re.findall(r"^a=fmtp:111 (.*?)\r?$", answer, re.MULTILINE))
    rate = re.search(r"maxaveragebitrate=(\d+)", fmtp)
    sent = Sent(
        bitrate_bps=bitrate_bps or (int(rate[1]) if rate else BROWSERS_BPS),
        fec="useinbandfec=1" in fmtp,
        dtx="usedtx=1" in fmtp,
    )
    return BrowserEncoder(sent.bitrate_bps, fec=sent.fec, dtx=sent.dtx), sent


async def speak(peer: Browser, way: Proxy, answer: str, line: Line, said: Pcm, begin_ns: int) -> Sent:
    """Say everything, a frame each 20 ms from ``begin_ns`` on."""
    clock = SystemClock()
    encoder, sent = encoder_for(answer, line.bitrate_bps)
    loss: float | None = None
    resting = False
    for number, tick in enumerate(said.reshape(-1, TICK_SAMPLES)):
        due = MonotonicNs(begin_ns + number * TICK_NS)
        await clock.sleep_until(due)
        sent.lates.append((clock.monotonic_ns() - due) / 1e6)
        loss = peer.told_loss(loss)
        encoder.set_packet_loss(loss or 0.0)
        (payload,) = encoder.encode(tick)
        # The first packet that says "nothing" is sent, so that the decoder knows; those after it are not.
        if len(payload) <= DTX_BYTES and resting:
            peer.skip()
        else:
            await peer.send(payload)
        resting = len(payload) <= DTX_BYTES
    sent.loss, sent.sent, sent.lost = round(loss or 0.0, 3), way.sent, way.lost
    sent.late_ms, sent.lates = round(percentile(sent.lates, 0.99), 1), []
    return sent


async def main() -> None:
    """Connect and speak."""
    told = json.loads(await asyncio.to_thread(sys.stdin.readline))
    os.sched_setaffinity(0, {told["core"]})
    said, _ = programme(told["seconds"], told["people"])
    lines = [Line(**each) for each in told["lines"]]
    gc.freeze()  # as app does: a collection of everything takes longer than a packet may be late
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(proxy(NETWORKS[each.network], each.seed, each.host)) for each in lines]
        peers = [Browser(clock, lambda _heard: None) for _ in lines]
        for peer in peers:
            stack.push_async_callback(peer.close)
        offers = [way.towards_server(await peer.offer()) for way, peer in zip(ways, peers, strict=True)]
        print(json.dumps(offers), flush=True)
        answers = json.loads(await asyncio.to_thread(sys.stdin.readline))
        for way, peer, answer in zip(ways, peers, answers, strict=True):
            await peer.connect(way.towards_client(answer))
        print("connected", flush=True)
        begin_ns = clock.monotonic_ns()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(speak(peer, way, answer, line, said, begin_ns + index * TICK_NS // len(lines)))
                for index, (peer, way, answer, line) in enumerate(zip(peers, ways, answers, lines, strict=True))
            ]
        print(json.dumps([asdict(task.result()) for task in tasks]), flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main())
