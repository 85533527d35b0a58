"""RTCP: reports, SDES CNAME, BYE (RFC 3550, section 6) and the generic NACK (RFC 4585, 6.2.1). Bytes in, bytes out.

We send all of these, as compound packets; of those that come, feedback, APP and XR are skipped.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from stentor.errors import MediaError
from stentor.origin.rtp import Reception

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
BYE = 203
TRANSPORT_FEEDBACK = 205

_GENERIC_NACK = 1
_CNAME = 1
_NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970
_NS_PER_S = 1_000_000_000
_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!QIII")
_BLOCK = struct.Struct("!IIIIII")
_NACK = struct.Struct("!HH")


def ntp(wall_ns: int) -> int:
    """Return Unix nanoseconds as a 64-bit NTP timestamp."""
    seconds, rest = divmod(wall_ns, _NS_PER_S)
    return (seconds + _NTP_EPOCH_S) << 32 | (rest << 32) // _NS_PER_S


def compact_ntp(wall_ns: int) -> int:
    """Return the middle 32 bits of the NTP timestamp: units of 1/65,536 s."""
    return ntp(wall_ns) >> 16 & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What one end says of a stream it receives; ``last_report`` and ``delay`` in 1/65,536 s, zero if unknown."""

    reception: Reception
    last_report: int = 0
    delay: int = 0


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What a sender says of its own stream. ``ntp_time`` is a 64-bit NTP timestamp."""

    ntp_time: int
    timestamp: int
    packets: int
    payload_bytes: int


@dataclass(slots=True)
class Compound:
    """What a received compound packet says, with everything skipped that we do not use."""

    ssrc: int
    sender: SenderInfo | None = None
    blocks: list[ReportBlock] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


def report(ssrc: int, cname: str, sender: SenderInfo | None, blocks: Sequence[ReportBlock]) -> bytes:
    """Return a compound packet: a sender report (or a receiver report if ``sender`` is None) and SDES CNAME."""
    body = ssrc.to_bytes(4, "big")
    if sender is not None:
        body += _SENDER.pack(
            sender.ntp_time,
            sender.timestamp & 0xFFFFFFFF,
            sender.packets & 0xFFFFFFFF,
            sender.payload_bytes & 0xFFFFFFFF,
        )
    body += b"".join(_block(block) for block in blocks)
    kind = RECEIVER_REPORT if sender is None else SENDER_REPORT
    return _packet(kind, len(blocks), body) + _description(ssrc, cname)


def goodbye(ssrc: int, cname: str) -> bytes:
    """Return a compound packet that ends our stream: an empty receiver report, SDES CNAME and BYE."""
    return report(ssrc, cname, None, ()) + _packet(BYE, 1, ssrc.to_bytes(4, "big"))


def nack(ssrc: int, cname: str, media_ssrc: int, sequences: Sequence[int]) -> bytes:
    """Return a compound packet that asks for packets of ``media_ssrc`` again: an empty report, SDES, generic NACK.

    ``sequences`` rise; only their low 16 bits count.
    """
    pairs: list[tuple[int, int]] = []
    for sequence in sequences:
        if pairs and 0 < sequence - pairs[-1][0] <= 16:
            first, following = pairs[-1]
            pairs[-1] = (first, following | 1 << sequence - first - 1)
        else:
            pairs.append((sequence, 0))
    body = ssrc.to_bytes(4, "big") + media_ssrc.to_bytes(4, "big")
    body += b"".join(_NACK.pack(first & 0xFFFF, following) for first, following in pairs)
    return report(ssrc, cname, None, ()) + _packet(TRANSPORT_FEEDBACK, _GENERIC_NACK, body)


def _block(block: ReportBlock) -> bytes:
    reception = block.reception
    lost = reception.fraction_lost << 24 | reception.packets_lost & 0xFFFFFF
    return _BLOCK.pack(
        reception.ssrc, lost, reception.highest_sequence, reception.jitter, block.last_report, block.delay
    )


def _description(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    chunk = ssrc.to_bytes(4, "big") + bytes((_CNAME, len(name))) + name
    # The list of items ends with at least one zero byte and fills 32-bit words.
    return _packet(SOURCE_DESCRIPTION, 1, chunk + bytes(4 - len(chunk) % 4))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def parse(data: bytes) -> Compound:
    """Return what a compound packet says. Raises MediaError if it is broken."""
    compound: Compound | None = None
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise MediaError("The RTCP packet is cut off.")
        first, kind, words = _HEADER.unpack_from(data, position)
        end = position + 4 + 4 * words
        if first >> 6 != 2 or end > len(data) or words == 0:
            raise MediaError("The RTCP header is broken.")
        body = data[position + 4 : end]
        if first & 0x20:
            body = body[: -body[-1]] if 0 < body[-1] <= len(body) else b""
        if compound is None:
            compound = Compound(ssrc=int.from_bytes(data[position + 4 : position + 8], "big"))
        _read(compound, kind, first & 0x1F, body)
        position = end
    if compound is None:
        raise MediaError("The RTCP packet is empty.")
    return compound


def _read(compound: Compound, kind: int, count: int, body: bytes) -> None:
    start = 4
    if kind == SENDER_REPORT:
        if len(body) < start + _SENDER.size:
            raise MediaError("The RTCP sender report is cut off.")
        compound.sender = SenderInfo(*_SENDER.unpack_from(body, start))
        start += _SENDER.size
    if kind in (SENDER_REPORT, RECEIVER_REPORT):
        if len(body) < start + count * _BLOCK.size:
            raise MediaError("The RTCP report is cut off.")
        compound.blocks += [_read_block(body, start + index * _BLOCK.size) for index in range(count)]
    elif kind == BYE:
        if len(body) < 4 * count:
            raise MediaError("The RTCP goodbye is cut off.")
        compound.left += [int.from_bytes(body[4 * index : 4 * index + 4], "big") for index in range(count)]


def _read_block(body: bytes, start: int) -> ReportBlock:
    ssrc, lost, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, start)
    packets_lost = (lost & 0xFFFFFF) - (0x1000000 if lost & 0x800000 else 0)
    return ReportBlock(Reception(ssrc, lost >> 24, packets_lost, highest, jitter), last_report, delay)
