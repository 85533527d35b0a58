"""A bad network: which packets are lost and how late the others are, the same for every run with the same seed.

``Network.delays_ms`` decides; ``proxy`` does it to UDP on this machine, bench.offline to packets in virtual time.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice

from stentor.media.grid import TICK_SAMPLES

_BASE_MS = 5.0
_LOOPBACK = "127.0.0.1"

Address = tuple[str, int]


@dataclass(frozen=True)
class Network:
    """Loss and jitter of a line.

    Args:
        loss: the share of packets lost, 0 to 1.
        run: how many in a row are lost at a time; 1 is one here and one there.
        jitter_ms: each packet is late or early by up to so much, evenly spread, each by itself: they overtake another.
    """

    loss: float = 0.0
    run: int = 1
    jitter_ms: float = 0.0

    def delays_ms(self, seed: int) -> Iterator[float | None]:
        """Yield for one packet after the other how long it is under way, or None if it is lost; without an end."""
        dice = random.Random(seed)  # to be the same each time, not to be secret
        # With runs of n and chance p that one begins, n p / (n p + 1 - p) of all are lost.
        chance = self.loss / (self.run - self.loss * (self.run - 1))
        losing = 0
        while True:
            late_ms = _BASE_MS + self.jitter_ms * (1 + dice.uniform(-1, 1))
            if not losing and dice.random() < chance:
                losing = self.run
            yield None if losing else late_ms
            losing = max(0, losing - 1)

    def seed(self, frames: int) -> int:
        """Return the first seed with which of so many frames as many are lost as there should be, to 3 %."""
        for seed in count(1):
            lost = sum(late_ms is None for late_ms in islice(self.delays_ms(seed), frames))
            if abs(lost - frames * self.loss) <= 0.03 * frames * self.loss:
                return seed
        raise AssertionError("unreachable: the seeds have no end")


NETWORKS = {
    "1": Network(loss=0.01),
    "5": Network(loss=0.05),
    "10": Network(loss=0.10),
    "20": Network(loss=0.20),
    "burst": Network(loss=0.05, run=3),
    "jitter": Network(jitter_ms=40.0),
}
"""The rows of bench.loss."""


class _Socket(asyncio.DatagramProtocol):
    """One of a proxy's two sockets."""

    def __init__(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        self._on_datagram = on_datagram
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override,explicit-override]  # narrower than the base's; from Python 3.12
        """Keep the transport."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: Address) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        """Hand on what comes."""
        self._on_datagram(data, address)

    def send(self, data: bytes, to: Address) -> None:
        """Send, unless closed meanwhile."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, to)

    @property
    def address(self) -> Address:
        """Return where it is."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")
        return host, port

    def close(self) -> None:
        """Give the port back."""
        if self._transport is not None:
            self._transport.close()


@dataclass
class Proxy:
    """A bad network between a WebRTC client and its server. Make it with ``proxy``.

    The client takes ``near`` for the server, the server ``far`` for the client. Media to the server and reports both
    ways are lost and late; media to the client, which nobody listens to here, is dropped, and ICE and DTLS
    pass, so that all runs begin alike.
    """

    network: Network
    seed: int
    server: Address | None = None
    sent: int = 0
    lost: int = 0
    near: _Socket = field(init=False)
    far: _Socket = field(init=False)
    _client: Address | None = None
    _timestamp: int | None = None

    def __post_init__(self) -> None:
        """Make the two sockets, not yet open."""
        self.near, self.far = _Socket(self._from_client), _Socket(self._from_server)
        self._media = self.network.delays_ms(self.seed)
        self._reports = self.network.delays_ms(self.seed + 1)

    def _from_client(self, data: bytes, address: Address) -> None:
        self._client = address
        if self.server is None:
            return
        if not _is_rtp(data):
            self.far.send(data, self.server)
            return
        if _is_rtcp(data):
            late_ms = next(self._reports)
        else:
            late_ms = self.delay_ms(int.from_bytes(data[4:8], "big"))
            self.sent += 1
            self.lost += late_ms is None
        if late_ms is not None:
            asyncio.get_running_loop().call_later(late_ms / 1_000, self.far.send, data, self.server)

    def delay_ms(self, timestamp: int) -> float | None:
        """Return the delay of a frame by its RTP timestamp: the same frames are lost with DTX as without."""
        frames = 1 if self._timestamp is None else (timestamp - self._timestamp) % 0x100000000 // TICK_SAMPLES
        self._timestamp = timestamp
        return next(islice(self._media, frames - 1, None))

    def _from_server(self, data: bytes, address: Address) -> None:
        if self._client is None or address != self.server:
            return
        if not _is_rtp(data):
            self.near.send(data, self._client)
        elif _is_rtcp(data):
            late_ms = next(self._reports)
            if late_ms is not None:
                asyncio.get_running_loop().call_later(late_ms / 1_000, self.near.send, data, self._client)

    def towards_server(self, sdp: str) -> str:
        """Return an offer with this proxy in place of the client."""
        return _with_candidate(sdp, self.far.address)

    def towards_client(self, sdp: str) -> str:
        """Return an answer with this proxy in place of the server, which is where the answer's first candidate says."""
        (first, *_) = [line for line in sdp.splitlines() if line.startswith("a=candidate:")]
        fields = first.split()
        self.server = (fields[4], int(fields[5]))
        return _with_candidate(sdp, self.near.address)


def _is_rtp(data: bytes) -> bool:
    """Tell RTP and RTCP from STUN and DTLS (RFC 7983, section 7)."""
    return len(data) >= 2 and 128 <= data[0] <= 191


def _is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP (RFC 5761, section 4)."""
    return 192 <= data[1] <= 223


def _with_candidate(sdp: str, address: Address) -> str:
    lines = [line for line in sdp.splitlines() if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    host, port = address
    lines.append(f"a=candidate:1 1 udp 2130706431 {host} {port} typ host")
    return "".join(f"{line}\r\n" for line in [*lines, "a=end-of-candidates"])


@asynccontextmanager
async def proxy(network: Network, seed: int, far_host: str = _LOOPBACK) -> AsyncIterator[Proxy]:
    """Open a proxy; ``far_host`` is the address of ours that its server reaches."""
    made = Proxy(network, seed)
    loop = asyncio.get_running_loop()
    try:
        for side, host in ((made.near, _LOOPBACK), (made.far, far_host)):
            await loop.create_datagram_endpoint(lambda side=side: side, local_addr=(host, 0))  # type: ignore[misc]  # mypy infers no lambda with a default
        yield made
    finally:
        made.near.close()
        made.far.close()
