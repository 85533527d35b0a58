"""How busy this process is: what ``headroom`` decides by, measured without a timer or a look per listener."""

import os
import socket
import struct
from collections.abc import Callable, Hashable
from statistics import median

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.headroom import STEP_S, Sample
from stentor.edge.metrics import BEHIND, LOOP_LAG, PASS
from stentor.edge.relay import Output
from stentor.media.chunk import Chunk

BEAT_S = 0.25
"""Each wake-up costs, so they are few. No divisor of a step, so that the beats fall on all its parts in turn."""
_TCP_INFO_BYTES = 32
_TCPI_UNACKED = struct.Struct("=24xI")
"""In tcp_info of a listening socket: how many connections wait to be accepted (Linux, net/ipv4/tcp.c)."""


class EdgeLoad:
    """Takes notes in passing; ``sample`` makes one second of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lags_ns: list[int] = []
        self._passes_ns: dict[Hashable, list[int]] = {}
        self._cpu_s = _cpu_s()
        self._since: MonotonicNs = clock.monotonic_ns()

    async def beat(self, also: Callable[[], None]) -> None:
        """Note how late the loop is, for ever, and do what else is due as often (every 0.25 s)."""
        due = self._clock.monotonic_ns()
        while True:
            due = MonotonicNs(due + int(BEAT_S * NS_PER_S))
            await self._clock.sleep_until(due)
            now = self._clock.monotonic_ns()
            self._lags_ns.append(now - due)
            due = max(due, MonotonicNs(now - int(BEAT_S * NS_PER_S)))
            also()

    def note_pass(self, output: Hashable, took_ns: int) -> None:
        """Note how long it took to send an output's blocks of one step."""
        self._passes_ns.setdefault(output, []).append(took_ns)

    def timed(self, output: Output) -> Output:
        """Return an output whose passes are noted."""
        return _Timed(output, self, self._clock)

    def sample(self, *, connections: int, behind: int, block_steps: int, accept_queue: int = 0) -> Sample:
        """Return what happened since the last sample; ``behind`` of the ``connections`` have bytes to read."""
        now, cpu_s = self._clock.monotonic_ns(), _cpu_s()
        wall_s = (now - self._since) / NS_PER_S
        lags = sorted(self._lags_ns)
        # A median for each output: one pass that the machine interrupted is no reason to shed latency.
        pass_s = sum(median(passes) for passes in self._passes_ns.values()) / NS_PER_S
        made = Sample(
            loop_lag_s=lags[int(0.95 * (len(lags) - 1))] / NS_PER_S if lags else 0.0,
            pass_share=pass_s / STEP_S,
            behind_share=behind / connections if connections else 0.0,
            cpu_share=(cpu_s - self._cpu_s) / wall_s if wall_s > 0 else 0.0,
            accept_queue=accept_queue,
            block_steps=block_steps,
        )
        self._since, self._cpu_s = now, cpu_s
        self._lags_ns.clear()
        self._passes_ns.clear()
        LOOP_LAG.set(made.loop_lag_s)
        PASS.set(pass_s)
        BEHIND.set(behind)
        return made


class _Timed:
    """An output and how long it takes to send each chunk."""

    def __init__(self, output: Output, load: EdgeLoad, clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._take = output.take
        self.ready = output.ready
        self.finish = output.finish

    def take(self, chunk: Chunk) -> None:
        """Pass a chunk on."""
        before = self._clock.monotonic_ns()
        self._take(chunk)
        self._load.note_pass(self, self._clock.monotonic_ns() - before)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def accept_queue(listening: socket.socket) -> int:
    """Return how many connections wait to be accepted from a listening TCP socket; 0 where that is not known."""
    try:
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except (AttributeError, OSError):  # not Linux, or no TCP
        return 0
    return int(_TCPI_UNACKED.unpack_from(info)[0]) if len(info) >= _TCPI_UNACKED.size else 0
