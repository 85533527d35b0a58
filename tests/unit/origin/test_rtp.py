import contextlib

import pytest
from aiortc.rtp import RtpPacket as TheirPacket
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import MediaError
from stentor.origin import rtp
from stentor.origin.rtp import ReceptionStatistics, RtpPacket

MS = 1_000_000
PACKET = RtpPacket(111, True, 65_535, 0xFFFFFFF0, 0x12345678, b"opus")


def test_a_packet_comes_back_as_it_was():
    assert rtp.parse(rtp.build(PACKET)) == PACKET


def test_aiortc_reads_what_we_build_and_we_read_what_it_builds():
    theirs = TheirPacket.parse(rtp.build(PACKET))
    assert (theirs.payload_type, theirs.marker, theirs.sequence_number) == (111, 1, 65_535)
    assert (theirs.timestamp, theirs.ssrc, theirs.payload) == (0xFFFFFFF0, 0x12345678, b"opus")
    assert rtp.parse(theirs.serialize()) == PACKET


def test_contributing_sources_extension_and_padding_are_taken_off():
    data = bytes((0xB2, 111)) + rtp.build(PACKET)[2:12] + bytes(8) + b"\xbe\xde\x00\x01\x10\x85\x00\x00" + b"opus\0\0\3"
    packet = rtp.parse(data, level_extension=1)
    assert packet.payload == b"opus"
    assert packet.level_dbov == 5
    assert rtp.parse(data, level_extension=2).level_dbov is None
    assert rtp.parse(data).level_dbov is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        bytes(12),
        b"\x90" + rtp.build(PACKET)[1:12],
        b"\x8f" + rtp.build(PACKET)[1:],
        b"\x90" + rtp.build(PACKET)[1:12] + b"\xbe\xde\xff\xff",
        b"\xa0" + rtp.build(PACKET)[1:] + b"\0",
        b"\xa0" + rtp.build(PACKET)[1:] + b"\xff",
    ],
)
def test_broken_packets_are_media_errors(data):
    with pytest.raises(MediaError):
        rtp.parse(data, 1)


@given(st.binary(max_size=80), st.sampled_from([0x80, 0x90, 0xA0, 0xB3]))
def test_whatever_comes_is_a_packet_or_a_media_error(data, first):
    for candidate in (data, bytes([first]) + data):
        with contextlib.suppress(MediaError):
            assert len(rtp.parse(candidate, 1).payload) <= len(candidate)


def test_rtcp_is_told_from_rtp():
    assert rtp.is_rtcp(b"\x80\xc8")
    assert rtp.is_rtcp(b"\x81\xcd")
    assert not rtp.is_rtcp(b"\x80\x6f")
    assert not rtp.is_rtcp(b"\x80\xef")
    assert not rtp.is_rtcp(b"\x80")


def feed(statistics, sequences):
    return [statistics.add(number & 0xFFFF, 960 * number & 0xFFFFFFFF, 20 * MS * number) for number in sequences]


def test_sequence_numbers_go_on_over_the_wrap_and_back_for_late_packets():
    statistics = ReceptionStatistics(1)
    assert feed(statistics, [65_534, 65_535, 65_537, 65_536]) == [65_534, 65_535, 65_537, 65_536]
    assert (statistics.expected, statistics.lost) == (4, 0)


def test_one_stray_packet_is_ignored_and_two_in_a_row_are_a_new_start():
    statistics = ReceptionStatistics(1)
    feed(statistics, range(1_000, 1_010))
    assert statistics.add(30_000, 0, 0) is None
    assert feed(statistics, [1_010]) == [1_010]
    assert statistics.add(500, 0, 0) is None
    assert statistics.add(501, 0, 0) == 65_536 + 501
    assert statistics.add(502, 0, 0) == 65_536 + 502
    assert statistics.lost == 0


def test_loss_is_what_was_lost_since_the_last_report_and_in_all():
    statistics = ReceptionStatistics(7)
    feed(statistics, [number for number in range(100) if number % 4])
    first = statistics.report()
    assert (first.ssrc, first.packets_lost, first.highest_sequence) == (7, 24, 99)
    assert first.fraction_lost == 24 * 256 // 99
    feed(statistics, range(100, 200))
    second = statistics.report()
    assert (second.fraction_lost, second.packets_lost) == (0, 24)


def test_duplicates_never_make_the_fraction_negative():
    statistics = ReceptionStatistics(7)
    feed(statistics, [1, 2, 2, 2, 3])
    report = statistics.report()
    assert (report.fraction_lost, report.packets_lost) == (0, -2)


def test_a_steady_stream_has_no_jitter_and_an_unsteady_one_the_mean_deviation():
    steady, shaken = ReceptionStatistics(1), ReceptionStatistics(1)
    feed(steady, range(500))
    assert steady.report().jitter == 0
    for number in range(500):
        shaken.add(number, 960 * number, 20 * MS * number + number % 2 * 10 * MS)
    assert shaken.jitter_ms == pytest.approx(10)
    assert shaken.report().jitter == pytest.approx(480, abs=1)


def test_an_empty_stream_reports_nothing():
    assert ReceptionStatistics(1).report() == rtp.Reception(1, 0, 0, 0, 0)


def test_a_stream_that_takes_over_goes_on_in_the_next_cycle_and_reports_its_own_numbers():
    first = ReceptionStatistics(1)
    feed(first, [65_000, 65_001])
    second = ReceptionStatistics(2, first)
    assert feed(second, [7, 8]) == [65_536 + 7, 65_536 + 8]
    assert (second.expected, second.lost, second.report().highest_sequence) == (2, 0, 8)
    third = ReceptionStatistics(3, ReceptionStatistics(2, second))
    assert feed(third, [9]) == [2 * 65_536 + 9]
