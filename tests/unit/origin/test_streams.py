from stentor.origin import rtcp, rtp
from stentor.origin.rtp import Reception, RtpPacket
from stentor.origin.streams import Incoming, Outgoing

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
    assert stream.take(voice(1, payload_type=13), 0) is None
    assert stream.take(voice(1, payload=b""), 0) is None
    heard = stream.take(voice(2), 0)
    assert heard is not None
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
    old = stream.take(voice(500), 0)
    stream.reported(rtcp.Compound(1, left=[1]), 0)
    assert stream.intake.ssrc is None
    new = stream.take(voice(3, ssrc=2), 0)
    assert old is not None
    assert new is not None
    assert new.sequence == 65_536 + 3 > old.sequence
