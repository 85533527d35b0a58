"""The two RTP streams of a session: the mix-minus that we send, the voice that we receive. No input or output.

Both speak for themselves in reports (RFC 3550, section 6): what we say of the voice makes a browser add FEC when
packets are lost, so it must be true.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from stentor.clock import NS_PER_S
from stentor.origin import red, rtcp, rtp
from stentor.origin.guard import Intake, drop

FRAME_SAMPLES = 960
MAX_HOLE_PACKETS = 8
"""A longer hole is an outage, not a loss: to ask for it again would fill a line that is just coming back."""
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Voice:
    """One Opus payload as it arrived: extended sequence number, 32-bit RTP timestamp; ``asked`` for again or not."""

    sequence: int
    timestamp: int
    payload: bytes
    asked: bool = False


class Outgoing:
    """Numbers, stamps and counts what we send; every frame is 20 ms."""

    def __init__(self) -> None:
        self.ssrc = secrets.randbits(32)
        self.cname = secrets.token_urlsafe(12)
        self.packets = 0
        self.loss_there = 0.0
        self.round_trip_ms: float | None = None
        self._bytes = 0
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(32)
        self._sent_ns = 0

    def skip(self) -> None:
        """Let 20 ms pass unsent."""
        self._timestamp = self._timestamp + FRAME_SAMPLES & 0xFFFFFFFF

    def packet(self, payload_type: int, payload: bytes, now_ns: int) -> bytes:
        """Return the next frame as an RTP packet."""
        first = self.packets == 0
        packet = rtp.RtpPacket(payload_type, first, self._sequence, self._timestamp, self.ssrc, payload)
        self._sequence = self._sequence + 1 & 0xFFFF
        self.skip()
        self.packets += 1
        self._bytes += len(payload)
        self._sent_ns = now_ns
        return rtp.build(packet)

    def sender_info(self, now_ns: int, wall_ns: int) -> rtcp.SenderInfo | None:
        """Return what our sender report says, or None before the first packet."""
        if not self.packets:
            return None
        elapsed = (now_ns - self._sent_ns) * rtp.RATE_HZ // NS_PER_S
        timestamp = self._timestamp - FRAME_SAMPLES + elapsed
        return rtcp.SenderInfo(rtcp.ntp(wall_ns), timestamp, self.packets, self._bytes)

    def reported(self, block: rtcp.ReportBlock, wall_ns: int) -> None:
        """Take what the peer says of a stream; only ours counts."""
        if block.reception.ssrc != self.ssrc:
            return
        self.loss_there = block.reception.fraction_lost / 256
        if block.last_report:
            trip = (rtcp.compact_ntp(wall_ns) - block.last_report - block.delay) & 0xFFFFFFFF
            # In the upper half it is below zero: the wall clock was set back in between.
            if trip < 0x80000000:
                self.round_trip_ms = trip * 1_000 / 65_536


class Incoming:
    """Admits, orders and counts what the peer sends.

    Args:
        payload_type: Opus.
        level_extension: the id of the audio level (RFC 6464), if the peer sends it.
        red_type: RED with Opus in it (RFC 2198), if the peer may send it.
    """

    def __init__(self, payload_type: int, level_extension: int | None, red_type: int | None = None) -> None:
        self.intake = Intake()
        self.statistics: rtp.ReceptionStatistics | None = None
        self.level_dbov: int | None = None
        self.holes: list[int] = []
        """Extended numbers that the packet taken last showed to be missing."""
        self._payload_type = payload_type
        self._red_type = red_type
        self._level_extension = level_extension
        self._sender_report: tuple[int, int] | None = None
        self._asked: deque[int] = deque(maxlen=_REMEMBERED)
        self._taken: deque[int] = deque(maxlen=_REMEMBERED)

    def take(self, data: bytes, now_ns: int) -> list[Voice]:
        """Take a decrypted RTP packet; return what is to be heard in it, oldest first. Raises MediaError."""
        self.holes = []
        packet = rtp.parse(data, self._level_extension)
        if packet.payload_type not in (self._payload_type, self._red_type):
            drop("payload_type")
            return []
        if not self.intake.admits_packet(packet.ssrc, len(data), now_ns):
            return []
        if self.statistics is None or self.statistics.ssrc != packet.ssrc:
            self.statistics = rtp.ReceptionStatistics(packet.ssrc, self.statistics)
            self._sender_report = None
            self._asked.clear()
        highest = self.statistics.highest
        sequence = self.statistics.add(packet.sequence, packet.timestamp, now_ns, self._asked)
        if sequence is None:
            drop("sequence")
            return []
        if packet.level_dbov is not None:
            self.level_dbov = packet.level_dbov
        if highest is not None and 1 < sequence - highest <= MAX_HOLE_PACKETS + 1:
            self.holes = list(range(highest + 1, sequence))
        self._taken.append(sequence)
        return self._voices(packet, sequence)

    def _voices(self, packet: rtp.RtpPacket, sequence: int) -> list[Voice]:
        if packet.payload_type != self._red_type:
            asked = sequence in self._asked
            return [Voice(sequence, packet.timestamp, packet.payload, asked)] if packet.payload else []
        voices = []
        blocks = red.parse(packet.payload, self._payload_type)
        for number, block in enumerate(blocks, sequence - len(blocks) + 1):
            # Of what is older only that which did not come: RED repeats each frame (RFC 2198, section 2).
            if block.payload and (number == sequence or number not in self._taken):
                timestamp = packet.timestamp - block.before_samples & 0xFFFFFFFF
                voices.append(Voice(number, timestamp, block.payload, sequence in self._asked))
        repaired = {voice.sequence for voice in voices}
        self.holes = [number for number in self.holes if number not in repaired]
        self._taken.extend(repaired - {sequence})
        return voices

    def asked(self, sequences: Sequence[int]) -> None:
        """Note that these were asked for again."""
        self._asked.extend(sequences)

    def reported(self, said: rtcp.Compound, now_ns: int) -> None:
        """Take the peer's sender report and goodbyes."""
        if said.sender is not None and said.ssrc == self.intake.ssrc:
            self._sender_report = (said.sender.ntp_time >> 16 & 0xFFFFFFFF, now_ns)
        for ssrc in said.left:
            self.intake.forget(ssrc)

    def blocks(self, now_ns: int) -> list[rtcp.ReportBlock]:
        """Return what we report of the stream since the last time."""
        if self.statistics is None:
            return []
        last, delay = 0, 0
        if self._sender_report is not None:
            last, heard_ns = self._sender_report
            delay = min((now_ns - heard_ns) * 65_536 // NS_PER_S, 0xFFFFFFFF)
        return [rtcp.ReportBlock(self.statistics.report(), last, delay)]
