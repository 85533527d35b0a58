"""One speaker's jitter buffer: packets in as they come, 20 ms of sound out on every tick, never waiting.

Time is the packets' RTP timestamps and the count of pulls; nothing reads a clock. The *cursor* is the timestamp of
the next sample to be decoded. A packet that is missing when its turn comes is recovered from the FEC of the next one
if that is there, else concealed. When nothing at all is there, sound is concealed without moving the cursor, so
that a late packet is still heard and the delay grows; once the delay is longer than needed, quiet frames are dropped.
"""

from dataclasses import dataclass

import numpy as np

from stentor.errors import MediaError
from stentor.media.decoder import OpusDecoder, packet_samples
from stentor.media.encoder import Pcm
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.media.opus import MAX_PACKET_SAMPLES

MIN_TARGET_SAMPLES = 1920
MAX_TARGET_SAMPLES = 2880
MAX_DEPTH_SAMPLES = SAMPLE_RATE_HZ  # more than a second behind: jump
_MAX_PACKETS = 100
_JUMP_SAMPLES = 10 * SAMPLE_RATE_HZ  # a timestamp this far away is a new stream
_MAX_LATE_RUN = 25
_CONCEAL_TICKS = 5  # then it is silence, and the next packet starts a new talkspurt
_TRIM_PULLS = 50
_TRIM_ALWAYS_SAMPLES = 4800
_NOWHERE = -(1 << 62)
_QUIET_MEAN_SQUARE = 1e-5  # -50 dBFS


@dataclass(slots=True)
class PlayoutStats:
    """Counters since the start, and the present state in samples.

    ``recovered``: frames from FEC; ``concealed``: frames by concealment; ``lost``: frames whose packet never came in
    time (both of these); ``late``: packets after their turn; ``trimmed``: frames dropped to get the delay down.
    """

    received: int = 0
    lost: int = 0
    recovered: int = 0
    concealed: int = 0
    late: int = 0
    duplicate: int = 0
    broken: int = 0
    trimmed: int = 0
    resets: int = 0
    depth_samples: int = 0
    jitter_samples: float = 0.0


@dataclass(frozen=True, slots=True)
class _Packet:
    sequence: int
    payload: bytes
    samples: int


class Playout:
    """The jitter buffer and decoder of one speaker. ``push`` and ``pull`` are called from one thread."""

    def __init__(self) -> None:
        self.stats = PlayoutStats()
        self._decoder = OpusDecoder()
        self._packets: dict[int, _Packet] = {}  # by unwrapped timestamp
        self._newest = 0  # highest unwrapped timestamp seen
        self._known = False
        self._playing = False
        self._cursor = _NOWHERE
        self._last_sequence = 0
        self._waited_pulls = 0
        self._empty_ticks = 0
        self._late_run = 0
        self._least_depth = MAX_DEPTH_SAMPLES
        self._pulls = 0
        self._trim_frames = 0
        self._dropped_loud = False
        self._transit: float | None = None
        self._ready: list[Pcm] = []
        self._ready_samples = 0

    def push(self, sequence: int, timestamp: int, payload: bytes, arrival_ns: int) -> None:
        """Take a packet: its RTP sequence number, 32-bit timestamp, Opus payload and monotonic time of arrival.

        Never raises for what the network sent: broken, late and repeated packets are counted and dropped.
        """
        self.stats.received += 1
        try:
            samples = packet_samples(payload)
        except MediaError:
            self.stats.broken += 1
            return
        at = self._unwrap(timestamp)
        if at < self._cursor:
            self.stats.late += 1
            self._late_run += 1
            if self._late_run >= _MAX_LATE_RUN:
                self._reset(at)
            return
        if at in self._packets:
            self.stats.duplicate += 1
            return
        self._late_run = 0
        self._measure(at, arrival_ns)
        self._packets[at] = _Packet(sequence, payload, samples)
        while len(self._packets) > _MAX_PACKETS or self._depth() > MAX_DEPTH_SAMPLES:
            self._skip_oldest()

    def pull(self) -> Pcm:
        """Return the next tick, (1, 960) float32; silence when there is nothing to hear."""
        if not self._playing and not self._start():
            return np.zeros((1, TICK_SAMPLES), np.float32)
        while self._ready_samples < TICK_SAMPLES:
            self._decode_next()
        self._watch_depth()
        return self._take()

    @property
    def target_samples(self) -> int:
        """Return the delay that is aimed at: 40 to 60 ms, by how much the packets' delay varies."""
        wanted = TICK_SAMPLES + 3 * self.stats.jitter_samples
        return int(min(MAX_TARGET_SAMPLES, max(MIN_TARGET_SAMPLES, wanted)))

    def _unwrap(self, timestamp: int) -> int:
        """Return a 32-bit timestamp continued beyond its wrap (RFC 3550, 5.1)."""
        if not self._known:
            self._known = True
            self._newest = timestamp
            return timestamp
        distance = (timestamp - self._newest + 0x80000000) % 0x100000000 - 0x80000000
        at = self._newest + distance
        if abs(distance) > _JUMP_SAMPLES:
            self._reset(at)
        self._newest = max(self._newest, at)
        return at

    def _reset(self, at: int) -> None:
        """Begin anew with a stream whose timestamps stand elsewhere."""
        self.stats.resets += 1
        self._packets.clear()
        self._newest = at
        self._playing = False
        self._cursor = _NOWHERE
        self._transit = None
        self._late_run = 0

    def _measure(self, at: int, arrival_ns: int) -> None:
        """Update the interarrival jitter (RFC 3550, 6.4.1)."""
        transit = arrival_ns * SAMPLE_RATE_HZ / 1e9 - at
        if self._transit is not None:
            change = min(abs(transit - self._transit), float(SAMPLE_RATE_HZ))
            self.stats.jitter_samples += (change - self.stats.jitter_samples) / 16
        self._transit = transit

    def _depth(self) -> int:
        """Return how much is buffered, in samples from the cursor (or the oldest packet) to the end of the newest."""
        if not self._packets:
            return 0
        newest = max(self._packets)
        start = self._cursor if self._playing else min(self._packets)
        return newest + self._packets[newest].samples - start

    def _skip_oldest(self) -> None:
        oldest = min(self._packets)
        skipped = self._packets.pop(oldest)
        if self._playing:
            self._cursor = max(self._cursor, min(self._packets, default=oldest + skipped.samples))
            self._last_sequence = skipped.sequence
        self.stats.trimmed += 1

    def _start(self) -> bool:
        """Begin a talkspurt once the target is buffered, or has been waited for."""
        if not self._packets:
            self._waited_pulls = 0
            return False
        # What lies before a pause in the timestamps is stale: with DTX a lone packet comes every 400 ms.
        run = max(self._packets)
        for at in sorted(self._packets, reverse=True):
            if run - at > 2 * MAX_TARGET_SAMPLES:
                del self._packets[at]
            else:
                run = at
        self._waited_pulls += 1
        if self._depth() < self.target_samples and self._waited_pulls * TICK_SAMPLES <= self.target_samples:
            return False
        self._playing = True
        self._waited_pulls = self._empty_ticks = self._pulls = 0
        self._least_depth = MAX_DEPTH_SAMPLES
        self._cursor = min(self._packets)
        self._last_sequence = self._packets[self._cursor].sequence - 1
        return True

    def _decode_next(self) -> None:
        packet = self._packets.pop(self._cursor, None)
        if packet is not None:
            self._play(packet)
        elif self._packets:
            self._bridge(min(self._packets))
        else:
            self._run_dry()

    def _play(self, packet: _Packet) -> None:
        self._empty_ticks = 0
        self._cursor += packet.samples
        self._last_sequence = packet.sequence
        try:
            pcm = self._decoder.decode(packet.payload)
        except MediaError:
            self.stats.broken += 1
            pcm = self._decoder.conceal(packet.samples)
        if self._trim_frames and self._may_drop(pcm):
            self._trim_frames -= 1
            self.stats.trimmed += 1
            return
        self._keep(pcm)

    def _may_drop(self, pcm: Pcm) -> bool:
        if not self._packets:
            return False
        if float(np.mean(pcm * pcm)) < _QUIET_MEAN_SQUARE:
            return True
        if self._dropped_loud or self._depth() <= _TRIM_ALWAYS_SAMPLES:
            return False
        self._dropped_loud = True
        return True

    def _bridge(self, following: int) -> None:
        """Fill the way from the cursor to the next packet that is there."""
        gap = following - self._cursor
        covered = min(gap, self._empty_ticks * TICK_SAMPLES)  # was concealed while nothing was there
        self._empty_ticks = 0
        self._cursor += covered
        gap -= covered
        packet = self._packets[following]
        missing = (packet.sequence - self._last_sequence - 1) % 0x10000
        self.stats.lost += covered // TICK_SAMPLES if missing else 0
        if gap > MAX_PACKET_SAMPLES or gap % 120:
            self._cursor = following  # not a loss that can be mended: go on with what is there
        elif gap and missing == 0:  # a pause in the timestamps without a loss: DTX
            self._cursor = following
            self._keep(np.zeros((1, gap), np.float32))
        elif gap:
            self._mend(gap, packet)

    def _mend(self, gap: int, following: _Packet) -> None:
        """Fill the first lost frame of a gap: FEC reaches back by one packet, what lies before is concealed."""
        self.stats.lost += 1
        if gap == following.samples:
            self.stats.recovered += 1
            self._cursor += gap
            self._keep(self._decoder.recover(following.payload, gap))
            return
        frame = min(TICK_SAMPLES, gap - following.samples if gap > following.samples else gap)
        self.stats.concealed += 1
        self._cursor += frame
        self._keep(self._decoder.conceal(frame))

    def _run_dry(self) -> None:
        """Nothing is there: conceal for a while without moving on, then fall silent."""
        self._empty_ticks += 1
        if self._empty_ticks > _CONCEAL_TICKS:
            self._playing = False
            self._keep(np.zeros((1, TICK_SAMPLES), np.float32))
            return
        self.stats.concealed += 1
        self._keep(self._decoder.conceal(TICK_SAMPLES))

    def _keep(self, pcm: Pcm) -> None:
        self._ready.append(pcm.copy())
        self._ready_samples += pcm.shape[1]

    def _take(self) -> Pcm:
        whole = self._ready[0] if len(self._ready) == 1 else np.concatenate(self._ready, axis=1)
        rest = whole[:, TICK_SAMPLES:]
        self._ready = [rest] if rest.shape[1] else []
        self._ready_samples = rest.shape[1]
        return whole[:, :TICK_SAMPLES]

    def _watch_depth(self) -> None:
        """Note when for a second more was buffered than needed: then quiet frames, or one that is not, may go."""
        depth = self._depth() + self._ready_samples - TICK_SAMPLES
        self.stats.depth_samples = max(0, depth)
        self._least_depth = min(self._least_depth, depth)
        self._pulls += 1
        if self._pulls >= _TRIM_PULLS:
            self._trim_frames = max(0, self._least_depth - self.target_samples) // TICK_SAMPLES
            self._dropped_loud = False
            self._pulls = 0
            self._least_depth = MAX_DEPTH_SAMPLES
