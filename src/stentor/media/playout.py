"""One speaker's jitter buffer: packets in as they come, 20 ms of sound out on every tick, never waiting.

Time is what the caller says: packets come with the time of their arrival, pulls with the time they are due; nothing
reads a clock. The *cursor* is the timestamp of the next sample to be decoded; sound plays at an *offset* behind its
timestamps (media/delay), and everything here keeps the offset where it should be:

- A packet that is missing at its turn is recovered from the FEC of the next one if that is there, else concealed.
- Where nothing at all is there, sound is concealed without moving the cursor, so that what is late is still heard;
  after 120 ms it has faded to background noise. Of silence (DTX) nothing is missing.
- An offset that is 20 ms too large, or 3 ms too small, is mended by a period of the pitch, taken out or put in; less
  than that, and clocks that run apart, by resampling.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from stentor.errors import MediaError
from stentor.media import stretch
from stentor.media.comfort import Background
from stentor.media.decoder import OpusDecoder, packet_samples
from stentor.media.delay import TargetDelay
from stentor.media.encoder import Pcm
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.media.resample import Resampler

MAX_DEPTH_SAMPLES = SAMPLE_RATE_HZ  # more than a second behind: jump
_MAX_PACKETS = 100
_REMEMBERED_PACKETS = 128  # what comes again within 2.5 s is known to have been here
_JUMP_SAMPLES = 10 * SAMPLE_RATE_HZ  # a timestamp this far away is a new stream
_MAX_LATE_RUN = 25
_MAX_MENDED_SAMPLES = SAMPLE_RATE_HZ  # a longer hole is jumped over
_OVER_SAMPLES = SAMPLE_RATE_HZ  # so long nothing: the next packet starts anew
_CONCEALED_SAMPLES = 6 * TICK_SAMPLES
_FADED_SAMPLES = 3 * TICK_SAMPLES
_FRAME_SAMPLES = 120  # 2.5 ms: what libopus makes up is a multiple of it
_SHORTEN_SAMPLES = 960  # 20 ms too late: stretched; less is resampled away
_SHORTEN_QUIET_SAMPLES = 240  # in silence nobody hears it
_OVERSHOOT_SAMPLES = 480
_LENGTHEN_SAMPLES = 144  # 3 ms too early: the next packet may be missed, or its FEC
_HASTE_SAMPLES = 4_800
_STRETCH_EVERY_TICKS = 4
_RESAMPLE_FROM, _RESAMPLE_TO = 96, 12  # 2 ms off: resample until it is 0.25 ms
_HISTORY_SAMPLES = stretch.LONGEST_PERIOD
_HISTORY_PIECES = 4
_NOWHERE = -(1 << 62)


@dataclass(slots=True)
class PlayoutStats:
    """Counters since the start, and the present state in samples.

    ``played``: frames decoded; ``recovered``: frames from FEC; ``concealed``: frames made up; ``lost``: frames whose
    packet never came in time (part of both of these); ``late``: packets after their turn; ``comfort``: ticks of
    background noise; ``shortened``, ``lengthened``: samples taken out of the sound and put in; ``skipped``: packets
    dropped because a second was buffered. ``depth``: sound that is buffered; ``held``: how long after the quickest
    packet's arrival sound is played; ``off``: by how much that is more than it should be.
    """

    received: int = 0
    played: int = 0
    lost: int = 0
    recovered: int = 0
    concealed: int = 0
    comfort: int = 0
    late: int = 0
    duplicate: int = 0
    broken: int = 0
    shortened: int = 0
    lengthened: int = 0
    skipped: int = 0
    resets: int = 0
    depth_samples: int = 0
    held_samples: float = 0.0
    off_samples: float = 0.0
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
        self._background = Background()
        self._resampler = Resampler()
        self._delay = TargetDelay()
        self._packets: dict[int, _Packet] = {}  # by unwrapped timestamp
        self._taken: deque[int] = deque(maxlen=_REMEMBERED_PACKETS)
        self._newest: int | None = None  # highest unwrapped timestamp seen
        self._epoch_ns = 0
        self._playing = False
        self._cursor = _NOWHERE
        self._last_sequence = 0
        self._dry_samples = 0
        self._made_up_samples = 0
        self._quiet = True
        self._late_run = 0
        self._rested_ticks = 0
        self._direction = 0
        self._before: deque[Pcm] = deque([np.zeros((1, _HISTORY_SAMPLES), np.float32)], _HISTORY_PIECES)
        self._ready: list[Pcm] = []
        self._ready_samples = 0

    def push(self, sequence: int, timestamp: int, payload: bytes, arrival_ns: int | None) -> None:
        """Take a packet: its RTP sequence number, 32-bit timestamp, Opus payload and monotonic time of arrival.

        The arrival is None for a packet that was asked for again: how late that comes says nothing of the line.

        Never raises for what the network sent: broken, late and repeated packets are counted and dropped.
        """
        self.stats.received += 1
        try:
            samples = packet_samples(payload)
        except MediaError:
            self.stats.broken += 1
            return
        if self._newest is None:
            if arrival_ns is None:  # of before the stream began
                return
            self._newest, self._epoch_ns = timestamp, arrival_ns
        at = self._unwrap(timestamp, self._newest)
        again = at in self._taken
        if not again:
            self._taken.append(at)
            if arrival_ns is not None:
                self._delay.add(self._samples_of(arrival_ns), at, samples)
                self.stats.jitter_samples = self._delay.jitter_samples
        if again or at < self._cursor:
            self._leave_out(at, again=again)
            return
        self._late_run = 0
        self._packets[at] = _Packet(sequence, payload, samples)
        while len(self._packets) > _MAX_PACKETS or self._depth() > MAX_DEPTH_SAMPLES:
            self._skip_oldest()

    def pull(self, due_ns: int) -> Pcm:
        """Return the tick that is due at this monotonic time, (1, 960) float32: noise or silence if nothing came."""
        now = self._samples_of(due_ns)
        if self._playing or self._start(now):
            self._rested_ticks += 1
            while self._ready_samples < TICK_SAMPLES:
                self._produce(now)
        else:
            self.stats.comfort += 1
            self._keep(self._background.noise(TICK_SAMPLES))
        pcm = self._take()
        self.stats.depth_samples = self._depth() + self._ready_samples
        if self._playing:
            self.stats.off_samples = self._off(now + TICK_SAMPLES)
            self.stats.held_samples = self.stats.off_samples + self._delay.offset - self._delay.quickest
        return pcm

    def _samples_of(self, time_ns: int) -> float:
        return (time_ns - self._epoch_ns) * (SAMPLE_RATE_HZ / 1e9)

    def _unwrap(self, timestamp: int, newest: int) -> int:
        """Return a 32-bit timestamp continued beyond its wrap (RFC 3550, 5.1)."""
        distance = (timestamp - newest + 0x80000000) % 0x100000000 - 0x80000000
        at = newest + distance
        if abs(distance) > _JUMP_SAMPLES:
            self._reset()
        self._newest = max(newest, at) if abs(distance) <= _JUMP_SAMPLES else at
        return at

    def _leave_out(self, at: int, *, again: bool) -> None:
        """Count a packet after its turn, or one that was here; many in a row are a stream that has stepped back."""
        self.stats.duplicate += again
        self.stats.late += not again
        self._late_run += at < self._cursor
        if self._late_run >= _MAX_LATE_RUN:
            self._reset()
            self._newest = at

    def _reset(self) -> None:
        """Begin anew with a stream whose timestamps stand elsewhere."""
        self.stats.resets += 1
        self._packets.clear()
        self._taken.clear()
        self._delay = TargetDelay()
        self._playing = False
        self._cursor = _NOWHERE
        self._late_run = 0

    def _depth(self) -> int:
        """Return how much sound is buffered; pauses between packets are none."""
        return sum(packet.samples for packet in self._packets.values())

    def _skip_oldest(self) -> None:
        oldest = min(self._packets)
        skipped = self._packets.pop(oldest)
        if self._playing:
            self._cursor = max(self._cursor, min(self._packets, default=oldest + skipped.samples))
            self._last_sequence = skipped.sequence
        self.stats.skipped += 1

    def _start(self, now: float) -> bool:
        """Begin with the run of packets that is newest, once its turn has come."""
        if not self._packets:
            return False
        # What lies before a pause in the timestamps is stale: with DTX a lone packet comes every 400 ms.
        run = max(self._packets)
        for at in sorted(self._packets, reverse=True):
            if run - at > 6 * TICK_SAMPLES:
                del self._packets[at]
            else:
                run = at
        wait = int(run + self._delay.offset - now - self._ready_samples)
        if wait >= TICK_SAMPLES:
            return False
        if wait > 0:
            self._keep(self._background.noise(wait))
        self._playing = True
        self._dry_samples = 0
        self._cursor = run
        self._last_sequence = self._packets[run].sequence - 1
        return True

    def _off(self, now: float) -> float:
        """Return by how many samples the next decoded one would play later than it should."""
        return now + self._ready_samples - self._cursor - self._delay.offset

    def _produce(self, now: float) -> None:
        packet = self._packets.pop(self._cursor, None)
        if packet is not None:
            self._play(packet, now)
        elif self._packets:
            following = min(self._packets)
            if following < self._cursor:  # a longer packet before it has said the same time already
                del self._packets[following]
                self.stats.late += 1
            else:
                self._bridge(following, now)
        else:
            self._run_dry()

    def _play(self, packet: _Packet, now: float) -> None:
        off = self._off(now)
        pcm = self._decode(packet)
        rested = self._rested_ticks >= _STRETCH_EVERY_TICKS or off > _HASTE_SAMPLES
        if off > (_SHORTEN_QUIET_SAMPLES if self._quiet else _SHORTEN_SAMPLES) and rested:
            following = self._packets.pop(self._cursor, None)
            if following is not None:
                pcm = np.concatenate([pcm, self._decode(following)], axis=1)
            length = pcm.shape[1]
            pcm = stretch.shorten(pcm, off, haste=off > _HASTE_SAMPLES)
            self._stretched(length - pcm.shape[1])
        elif off < -_LENGTHEN_SAMPLES and rested:
            length = pcm.shape[1]
            before = np.concatenate(self._before, axis=1)[:, -_HISTORY_SAMPLES:]
            pcm = stretch.lengthen(before, pcm, _OVERSHOOT_SAMPLES - off)
            self._stretched(length - pcm.shape[1])
        self._keep(self._resampler.process(pcm, self._steered(off)))

    def _stretched(self, shorter: int) -> None:
        self.stats.shortened += max(0, shorter)
        self.stats.lengthened += max(0, -shorter)
        if shorter:
            self._rested_ticks = 0

    def _steered(self, off: float) -> int:
        """Return the resampler's direction, with hysteresis."""
        if abs(off) > _RESAMPLE_FROM:
            self._direction = 1 if off > 0 else -1
        elif off * self._direction < _RESAMPLE_TO:
            self._direction = 0
        return self._direction

    def _decode(self, packet: _Packet) -> Pcm:
        self._dry_samples = self._made_up_samples = 0
        self._cursor += packet.samples
        self._last_sequence = packet.sequence
        self.stats.played += 1
        try:
            pcm = self._decoder.decode(packet.payload).copy()
        except MediaError:
            self.stats.broken += 1
            pcm = self._decoder.conceal(packet.samples).copy()
        self._quiet = self._background.hear(pcm)
        return pcm

    def _bridge(self, following: int, now: float) -> None:
        """Get from the cursor to the next packet that is there: over a pause, over what is lost, or by waiting."""
        packet = self._packets[following]
        gap = following - self._cursor
        lost = min(gap, (packet.sequence - self._last_sequence - 1) % 0x10000 * packet.samples)
        if lost > _MAX_MENDED_SAMPLES or lost % _FRAME_SAMPLES:
            lost = 0  # cannot be mended: go on with what is there
        dry = self._dry_samples
        if (dry or lost < gap) and not self._resume(following - lost, now):
            return
        if dry and lost:  # what was put out while nothing was there stands for what was lost
            frames = int(max(0.0, self._off(now)) / packet.samples + 0.5)
            covered = min(lost, dry // packet.samples * packet.samples, frames * packet.samples)
            self._cursor += covered
            self._lose(covered // packet.samples)
            lost -= covered
        if lost:
            self._mend(lost, packet)

    def _resume(self, at: int, now: float) -> bool:
        """Move the cursor over a pause; False while the turn of what comes behind it has not come."""
        early = int(at + self._delay.offset - now - self._ready_samples)
        if early > 0:
            self._fill(min(TICK_SAMPLES, early))
            return False
        self._cursor = at
        self._dry_samples = 0
        return True

    def _lose(self, frames: int) -> None:
        self.stats.lost += frames
        for _ in range(frames):
            self._delay.lost()

    def _mend(self, gap: int, following: _Packet) -> None:
        """Fill the first lost frame of a gap: FEC reaches back by one packet, what lies before is concealed."""
        self._lose(1)
        if gap == following.samples:
            try:
                pcm = self._decoder.recover(following.payload, gap)
            except MediaError:  # its header was sound and its frame is not
                self.stats.broken += 1
                pcm = self._decoder.conceal(gap)
            else:
                self.stats.recovered += 1
                self._made_up_samples = 0
            self._cursor += gap
            self._keep(self._resampler.process(pcm, 0))
            return
        frame = min(TICK_SAMPLES, gap - following.samples if gap > following.samples else gap)
        self._cursor += frame
        self._conceal(frame)

    def _run_dry(self) -> None:
        """Nothing is there: go on without moving the cursor, and rest after a second."""
        self._fill(TICK_SAMPLES)
        self._playing = self._dry_samples < _OVER_SAMPLES

    def _fill(self, samples: int) -> None:
        """Put out what is not of the stream: the voice made up and fading to the background, or that alone."""
        if self._quiet or self._made_up_samples >= _CONCEALED_SAMPLES:
            self.stats.comfort += 1
            self._keep(self._background.noise(samples))
        else:
            samples = -(-samples // _FRAME_SAMPLES) * _FRAME_SAMPLES
            self._conceal(samples)
        self._dry_samples += samples

    def _conceal(self, samples: int) -> None:
        """Make up what is missing, on its way to the background after 60 ms."""
        self.stats.concealed += 1
        pcm = self._decoder.conceal(samples)
        faded = self._made_up_samples - _FADED_SAMPLES
        self._made_up_samples += samples
        if faded >= 0:
            still = np.linspace(faded, faded + samples, samples, endpoint=False, dtype=np.float32)
            gain = np.maximum(0, 1 - still / np.float32(_CONCEALED_SAMPLES - _FADED_SAMPLES))
            pcm = pcm * gain + self._background.noise(samples) * (1 - gain)
        self._keep(self._resampler.process(pcm, 0))

    def _keep(self, pcm: Pcm) -> None:
        """Put sound behind what is ready; nobody may change it any more."""
        if not pcm.shape[1]:
            return
        self._ready.append(pcm)
        self._ready_samples += pcm.shape[1]
        self._before.append(pcm)

    def _take(self) -> Pcm:
        whole = self._ready[0] if len(self._ready) == 1 else np.concatenate(self._ready, axis=1)
        rest = whole[:, TICK_SAMPLES:]
        self._ready = [rest] if rest.shape[1] else []
        self._ready_samples = rest.shape[1]
        return whole[:, :TICK_SAMPLES]
