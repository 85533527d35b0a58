import contextlib
import random

import pytest

from stentor.errors import MediaError
from stentor.origin import red, rtcp, rtp
from stentor.origin.rtp import Reception, RtpPacket
from stentor.origin.streams import MAX_HOLE_PACKETS, Incoming, Outgoing

SECOND = 1_000_000_000
WALL = 1_795_000_000 * SECOND


def voice(sequence: int, ssrc: int = 1, payload: bytes = b"opus", payload_type: int = 111) -> bytes:
    return rtp.build(RtpPacket(payload_type, False, sequence, 960 * sequence, ssrc, payload))


def test_frames_are_numbered_in_order_and_stamped_20_ms_apart_even_when_some_were_not_sent():
    stream = Outgoing()
    first = rtp.parse(stream.packet(111, b"a", 0))
    stream.skip()
    second = rtp.parse(stream.packet(111, b"b", 0))
    assert (first.marker, second.marker) == (True, False)
    assert second.sequence - first.sequence & 0xFFFF == 1
    assert second.timestamp - first.timestamp & 0xFFFFFFFF == 2 * 960


def test_a_sender_report_maps_the_wall_clock_to_timestamps():
    stream = Outgoing()
    assert stream.sender_info(0, WALL) is None
    packet = rtp.parse(stream.packet(111, b"four", SECOND))
    info = stream.sender_info(SECOND + SECOND // 10, WALL)
    assert info is not None
    assert info.timestamp - packet.timestamp & 0xFFFFFFFF == 4_800
    assert (info.packets, info.payload_bytes, info.ntp_time) == (1, 4, rtcp.ntp(WALL))


def test_the_round_trip_is_the_time_since_our_report_without_their_delay():
    stream = Outgoing()
    sent = rtcp.compact_ntp(WALL)
    block = rtcp.ReportBlock(Reception(stream.ssrc, 64, 0, 0, 0), sent, 65_536 // 2)
    stream.reported(block, WALL + SECOND)
    assert stream.round_trip_ms == 500
    assert stream.loss_there == 0.25
    stream.reported(block, WALL)
    assert stream.round_trip_ms == 500
    stream.reported(rtcp.ReportBlock(Reception(stream.ssrc + 1, 255, 0, 0, 0)), WALL)
    assert stream.loss_there == 0.25


def test_only_opus_with_something_in_it_is_heard():
    stream = Incoming(111, None)
    assert stream.take(voice(1, payload_type=13), 0) == []
    assert stream.take(voice(1, payload=b""), 0) == []
    (heard,) = stream.take(voice(2), 0)
    assert (heard.sequence, heard.timestamp, heard.payload) == (2, 1_920, b"opus")
    assert stream.statistics is not None
    assert stream.statistics.received == 2


def test_our_report_says_when_we_heard_theirs():
    stream = Incoming(111, None)
    assert stream.blocks(0) == []
    stream.take(voice(1), 0)
    said = rtcp.Compound(1, rtcp.SenderInfo(rtcp.ntp(WALL), 0, 0, 0))
    stream.reported(said, SECOND)
    (block,) = stream.blocks(2 * SECOND)
    assert (block.last_report, block.delay) == (rtcp.compact_ntp(WALL), 65_536)
    stream.reported(rtcp.Compound(2, rtcp.SenderInfo(0, 0, 0, 0)), SECOND)
    assert stream.blocks(2 * SECOND)[0].last_report == rtcp.compact_ntp(WALL)


def test_a_new_voice_after_a_goodbye_goes_on_above_the_old_numbers():
    stream = Incoming(111, None)
    (old,) = stream.take(voice(500), 0)
    stream.reported(rtcp.Compound(1, left=[1]), 0)
    assert stream.intake.ssrc is None
    (new,) = stream.take(voice(3, ssrc=2), 0)
    assert new.sequence == 65_536 + 3 > old.sequence


def twice(*blocks: tuple[int, bytes], opus_type: int = 111) -> bytes:
    """Return a RED payload (RFC 2198) of (samples before, frame), the last of which is the packet's own."""
    *older, (_, own) = blocks
    headers = b"".join(bytes([0x80 | opus_type]) + (at << 10 | len(frame)).to_bytes(3, "big") for at, frame in older)
    return headers + bytes([opus_type]) + b"".join(frame for _, frame in older) + own


def test_of_red_the_frame_that_did_not_come_is_heard_as_well():
    stream = Incoming(111, None, 63)
    first = stream.take(voice(1, payload=twice((960, b"zero"), (0, b"one")), payload_type=63), 0)
    assert [(each.sequence, each.payload) for each in first] == [(0, b"zero"), (1, b"one")]
    (second,) = stream.take(voice(2, payload=twice((960, b"one"), (0, b"two")), payload_type=63), 0)
    assert second.payload == b"two"
    after_a_hole = stream.take(voice(4, payload=twice((960, b"three"), (0, b"four")), payload_type=63), 0)
    assert [(each.sequence, each.timestamp, each.payload) for each in after_a_hole] == [
        (3, 3 * 960, b"three"),
        (4, 4 * 960, b"four"),
    ]
    assert stream.holes == []
    # The packet that was lost comes after all: it has been heard.
    assert stream.statistics is not None
    assert stream.statistics.lost == 1
    (plain,) = stream.take(voice(5), 0)
    assert plain.sequence == 5


def test_broken_red_is_refused():
    good = twice((960, b"one"), (0, b"two"))
    deep = twice(*((960 * n, b"old") for n in (4, 3, 2, 1)), (0, b"new"))
    for payload in (
        b"",
        good[:3],
        good[:6],
        twice((0, b"x"), opus_type=9),
        twice((0, b"a"), (0, b"b"), opus_type=8),
        deep,
    ):
        with pytest.raises(MediaError):
            red.parse(payload, 111)
    dice = random.Random(4)
    for _ in range(2_000):
        noise = dice.randbytes(dice.randrange(40))
        with contextlib.suppress(MediaError):
            assert len(red.parse(noise, noise[0] & 0x7F if noise else 0)) <= red.MAX_BLOCKS


def test_holes_are_shown_and_what_was_asked_for_still_counts_as_lost():
    stream = Incoming(111, None)
    stream.take(voice(1), 0)
    (new,) = stream.take(voice(4), 0)
    assert not new.asked
    assert stream.holes == [2, 3]
    stream.asked(stream.holes)
    (again,) = stream.take(voice(2), 0)
    assert (again.sequence, again.asked) == (2, True)
    assert stream.holes == []
    assert stream.statistics is not None
    assert (stream.statistics.lost, stream.statistics.repaired) == (2, 1)
    stream.take(voice(4 + MAX_HOLE_PACKETS + 2), 0)
    assert stream.holes == []  # an outage


def test_a_nack_names_what_is_missing():
    packet = rtcp.nack(7, "us", 9, [100, 101, 116, 117, 200, 65_540])
    at = packet.index(b"\x81\xcd")
    assert packet[at + 4 : at + 12] == (7).to_bytes(4, "big") + (9).to_bytes(4, "big")
    pairs = [int.from_bytes(packet[n : n + 2], "big") for n in range(at + 12, len(packet), 2)]
    assert pairs == [100, 1 << 0 | 1 << 15, 117, 0, 200, 0, 4, 0]
    assert rtcp.parse(packet).ssrc == 7
