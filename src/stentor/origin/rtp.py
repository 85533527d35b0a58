"""RTP packets and what is known of a stream of them (RFC 3550, 5.1 and appendix A). Bytes in, bytes out.

Header extensions are the one-byte kind (RFC 8285); of these only the audio level is read (RFC 6464).
"""

import struct
from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

from stentor.errors import MediaError

RATE_HZ = 48_000
HEADER_BYTES = 12
MAX_PACKET_BYTES = 1_500
MAX_DROPOUT = 3_000
MAX_MISORDER = 100

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_ONE_BYTE_PROFILE = 0xBEDE


class RtpPacket(NamedTuple):
    """One packet. ``level_dbov`` is 0 (loud) to 127 (silent), or None where the sender does not say."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    level_dbov: int | None = None


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP on one port by the second byte (RFC 5761, section 4)."""
    return len(data) > 1 and 64 <= data[1] & 0x7F < 96


def ssrc_of(data: bytes) -> int:
    """Return the SSRC of an RTP or SRTP packet, which is never encrypted. Raises MediaError if it is too short."""
    if len(data) < HEADER_BYTES:
        raise MediaError("The RTP packet is shorter than its header.")
    return int.from_bytes(data[8:12], "big")


def parse(data: bytes, level_extension: int | None = None) -> RtpPacket:
    """Return one packet; ``level_extension`` is the id that the SDP gave the audio level. Raises MediaError."""
    if len(data) < HEADER_BYTES:
        raise MediaError("The RTP packet is shorter than its header.")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise MediaError("The RTP version is not 2.")
    start, end, level = HEADER_BYTES + 4 * (first & 0x0F), len(data), None
    if first & 0x10:
        if start + 4 > end:
            raise MediaError("The RTP header extension is cut off.")
        profile, words = _EXTENSION.unpack_from(data, start)
        extension, start = start + 4, start + 4 + 4 * words
        if level_extension is not None and profile == _ONE_BYTE_PROFILE and start <= end:
            level = _level(data[extension:start], level_extension)
    if first & 0x20 and start < end:
        padding = data[-1]
        if padding == 0:
            raise MediaError("The RTP padding has no length.")
        end -= padding
    if start > end:
        raise MediaError("The RTP packet is shorter than it says.")
    return RtpPacket(second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, data[start:end], level)


def _level(extension: bytes, wanted: int) -> int | None:
    """Find the audio level among one-byte elements (RFC 8285, section 4.2)."""
    position = 0
    while position < len(extension):
        head = extension[position]
        position += 1
        if head == 0:
            continue
        identifier, length = head >> 4, (head & 0x0F) + 1
        if identifier == 15 or position + length > len(extension):
            return None
        if identifier == wanted:
            return extension[position] & 0x7F
        position += length
    return None


def build(packet: RtpPacket) -> bytes:
    """Return the packet's bytes, without extensions or padding."""
    second = packet.payload_type | (0x80 if packet.marker else 0)
    header = _HEADER.pack(0x80, second, packet.sequence & 0xFFFF, packet.timestamp & 0xFFFFFFFF, packet.ssrc)
    return header + packet.payload


@dataclass(frozen=True, slots=True)
class Reception:
    """What a report says of a stream (RFC 3550, 6.4.1). ``jitter`` is in samples, ``fraction_lost`` in 1/256."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int


class ReceptionStatistics:
    """Counts one received stream (RFC 3550, A.1, A.3, A.8) and extends its sequence numbers.

    Extended numbers never go back more than ``MAX_MISORDER``: a sender that starts again elsewhere goes on in the
    next cycle of 65,536, and so does one that takes over from ``before``.
    """

    def __init__(self, ssrc: int, before: "ReceptionStatistics | None" = None) -> None:
        self.ssrc = ssrc
        self._cycles = 0 if before is None else before.next_cycle
        self.received = 0
        self.repaired = 0
        self._first: int | None = None
        self._highest = 0
        self._skipped = 0
        self._suspect: int | None = None
        self._expected_before = 0
        self._received_before = 0
        self._transit = 0
        self._jitter = 0.0

    @property
    def highest(self) -> int | None:
        """Return the highest extended sequence number, None before the first packet."""
        return None if self._first is None else self._highest

    def add(self, sequence: int, timestamp: int, arrival_ns: int, asked: Container[int] = ()) -> int | None:
        """Count a packet; return its extended sequence number, or None for one that does not belong to the stream.

        ``asked`` are the extended numbers of packets that were asked for again. One of these was lost on the way,
        and counts so: a report that hid it would make the sender stop adding FEC.
        """
        extended = self._extend(sequence)
        if extended is None:
            return None
        if extended in asked:
            self.repaired += 1
            return extended
        self.received += 1
        self._count_jitter(timestamp, arrival_ns)
        return extended

    def _extend(self, sequence: int) -> int | None:
        if self._first is None:
            self._first = self._highest = self._cycles | sequence
            return self._highest
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < MAX_DROPOUT:
            self._highest += ahead
        elif ahead > 0x10000 - MAX_MISORDER:
            return self._highest - (0x10000 - ahead)
        elif sequence != self._suspect:
            # One packet far off may be a stray; two in a row are a sender that has started again (A.1).
            self._suspect = (sequence + 1) & 0xFFFF
            return None
        else:
            restarted = self.next_cycle | sequence
            self._skipped += restarted - self._highest - 1
            self._highest = restarted
        self._suspect = None
        return self._highest

    def _count_jitter(self, timestamp: int, arrival_ns: int) -> None:
        transit = (arrival_ns * RATE_HZ // 1_000_000_000 - timestamp) & 0xFFFFFFFF
        if self.received > 1:
            difference = (transit - self._transit) & 0xFFFFFFFF
            difference = min(difference, 0x100000000 - difference)
            self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    @property
    def next_cycle(self) -> int:
        """Return the extended number at which the next cycle begins."""
        return self._cycles if self._first is None else (self._highest >> 16) + 1 << 16

    @property
    def expected(self) -> int:
        """Return how many packets the sender has sent since the first one, as far as can be known."""
        return 0 if self._first is None else self._highest - self._first + 1 - self._skipped

    @property
    def lost(self) -> int:
        """Return how many packets are missing; below zero if some came twice."""
        return self.expected - self.received

    @property
    def jitter_ms(self) -> float:
        """Return the interarrival jitter in milliseconds."""
        return self._jitter * 1_000 / RATE_HZ

    def report(self) -> Reception:
        """Return what to report now; the fraction is of the packets since the report before."""
        expected, received = self.expected - self._expected_before, self.received - self._received_before
        self._expected_before, self._received_before = self.expected, self.received
        lost = expected - received
        fraction = min(255, (lost << 8) // expected) if expected > 0 and lost > 0 else 0
        return Reception(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            packets_lost=max(-0x800000, min(0x7FFFFF, self.lost)),
            highest_sequence=max(0, self._highest - self._cycles) & 0xFFFFFFFF,
            jitter=int(self._jitter) & 0xFFFFFFFF,
        )
