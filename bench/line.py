"""A mobile line between two network namespaces: delay, loss, rate and outages of the packets themselves, under TCP.

Two TUN devices (Linux, root only), one in this namespace and one in a namespace of its own; a relay moves packets
between them. In each direction a packet is dropped by chance or because the line is down, waits for those before it to
be sent at the line's rate (drop-tail queue), and arrives after the delay. `tc netem` is missing from some kernels.
"""

import asyncio
import fcntl
import os
import random
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU_BYTES = 1_500


@dataclass(frozen=True)
class LineSettings:
    """What the line does in each direction."""

    delay_s: float = 0.075
    loss: float = 0.02
    rate_bps: float = 200_000.0
    queue_bytes: int = 32_000


@dataclass
class Way:
    """One direction: takes packets of one device and gives them to the other."""

    settings: LineSettings
    chance: random.Random
    source: int
    sink: int
    down: bool = False
    passed: int = 0
    lost: int = 0
    refused: int = 0
    cut: int = 0
    _free_at_s: float = 0.0

    def readable(self) -> None:
        """Take every packet that waits at the source."""
        while True:
            try:
                packet = os.read(self.source, _MTU_BYTES + 64)
            except BlockingIOError:
                return
            self._take(packet)

    def _take(self, packet: bytes) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        begins = max(now, self._free_at_s)
        if self.down:
            self.cut += 1
        elif self.chance.random() < self.settings.loss:
            self.lost += 1
        elif (begins - now) * self.settings.rate_bps / 8 + len(packet) > self.settings.queue_bytes:
            self.refused += 1
        else:
            self.passed += 1
            self._free_at_s = begins + len(packet) * 8 / self.settings.rate_bps
            loop.call_at(self._free_at_s + self.settings.delay_s, self._give, packet)

    def _give(self, packet: bytes) -> None:
        if not self.down:
            os.write(self.sink, packet)


@dataclass
class MobileLine:
    """A running line: ``here`` is this side's address; ``command`` runs a program on the other side."""

    namespace: str
    here: str
    there: str
    down_way: Way
    up_way: Way
    outages: list[tuple[float, float]] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        """Return the words to put before a program so that it runs at the far end of the line."""
        return ["ip", "netns", "exec", self.namespace]

    async def outage(self, seconds: float) -> None:
        """Let nothing through for so long; notes when, in Unix seconds."""
        self.down_way.down = self.up_way.down = True
        begun = time.time()
        await asyncio.sleep(seconds)
        self.down_way.down = self.up_way.down = False
        self.outages.append((begun, time.time()))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _open_tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


@asynccontextmanager
async def mobile_line(settings: LineSettings, *, seed: int = 1) -> AsyncIterator[MobileLine]:
    """Set a line up for as long as the context lives. Needs root and /dev/net/tun."""
    tag = os.getpid() % 60_000
    namespace, near, far = f"stentor-line-{tag}", f"sl{tag}n", f"sl{tag}f"
    net = f"10.{200 + tag % 50}.{tag // 50 % 250}"
    here, there = f"{net}.1", f"{net}.2"
    _ip("netns", "add", namespace)
    devices: list[int] = []
    ways: list[Way] = []
    loop = asyncio.get_running_loop()
    try:
        devices += [_open_tun(near), _open_tun(far)]
        _ip("link", "set", far, "netns", namespace)
        _ip("address", "add", here, "peer", there, "dev", near)
        _ip("link", "set", near, "mtu", str(_MTU_BYTES), "up")
        inside = ["-n", namespace]
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "address", "add", there, "peer", here, "dev", far)
        _ip(*inside, "link", "set", far, "mtu", str(_MTU_BYTES), "up")
        chance = random.Random(seed)
        down = Way(settings, chance, devices[0], devices[1])
        up = Way(settings, chance, devices[1], devices[0])
        for way in (down, up):
            ways.append(way)
            loop.add_reader(way.source, way.readable)
        yield MobileLine(namespace, here, there, down, up)
    finally:
        for way in ways:
            way.down = True  # what is under way has nowhere to go
        for device in devices:
            loop.remove_reader(device)
            os.close(device)
        _ip("netns", "delete", namespace)
