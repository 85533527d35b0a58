import contextlib

import pytest
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpRrPacket, RtcpSdesPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import MediaError
from stentor.origin import rtcp
from stentor.origin.rtcp import ReportBlock, SenderInfo
from stentor.origin.rtp import Reception

BLOCK = ReportBlock(Reception(ssrc=9, fraction_lost=38, packets_lost=-3, highest_sequence=70_000, jitter=48), 1, 2)
SENDER = SenderInfo(ntp_time=rtcp.ntp(1_795_000_000_500_000_000), timestamp=0xFFFFFFFF, packets=5, payload_bytes=400)


def test_ntp_counts_from_1900_in_fractions_of_two_to_the_thirty_second():
    assert rtcp.ntp(500_000_000) == 2_208_988_800 << 32 | 1 << 31
    assert rtcp.compact_ntp(500_000_000) == (2_208_988_800 & 0xFFFF) << 16 | 0x8000


def test_aiortc_reads_our_sender_report_and_description():
    report, description = RtcpPacket.parse(rtcp.report(5, "name", SENDER, [BLOCK]))
    assert isinstance(report, RtcpSrPacket)
    assert report.sender_info.ntp_timestamp == SENDER.ntp_time
    assert (report.sender_info.packet_count, report.sender_info.octet_count) == (5, 400)
    (block,) = report.reports
    assert (block.ssrc, block.fraction_lost, block.packets_lost, block.jitter) == (9, 38, -3, 48)
    assert (block.highest_sequence, block.lsr, block.dlsr) == (70_000, 1, 2)
    assert isinstance(description, RtcpSdesPacket)
    assert description.chunks[0].items == [(1, b"name")]


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "x" * 300])
def test_aiortc_reads_our_receiver_report_and_goodbye_with_any_name(name):
    report, description, bye = RtcpPacket.parse(rtcp.goodbye(5, name))
    assert isinstance(report, RtcpRrPacket)
    assert report.reports == []
    assert description.chunks[0].items == [(1, name.encode()[:255])]
    assert isinstance(bye, RtcpByePacket)
    assert bye.sources == [5]


def test_what_we_build_we_read():
    said = rtcp.parse(rtcp.report(5, "name", SENDER, [BLOCK, BLOCK]))
    assert (said.ssrc, said.sender, said.blocks, said.left) == (5, SENDER, [BLOCK, BLOCK], [])
    assert rtcp.parse(rtcp.goodbye(5, "name")).left == [5]


def test_feedback_between_reports_is_skipped():
    feedback = bytes.fromhex("8fcd0003 00000001 00000002 00000000".replace(" ", ""))
    assert rtcp.parse(feedback + rtcp.report(5, "name", None, [BLOCK])).blocks == [BLOCK]


@pytest.mark.parametrize("length", range(1, 28))
def test_a_cut_report_is_a_media_error(length):
    with pytest.raises(MediaError):
        rtcp.parse(rtcp.report(5, "name", SENDER, [BLOCK])[:length])


@given(st.binary(max_size=120), st.integers(200, 207), st.integers(0, 31))
def test_whatever_comes_is_read_or_a_media_error(body, kind, count):
    body = body[: len(body) // 4 * 4]
    for data in (body, bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2, "big") + body):
        with contextlib.suppress(MediaError):
            rtcp.parse(data)
