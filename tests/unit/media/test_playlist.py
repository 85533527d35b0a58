"""The text of playlists, line by line, as RFC 8216bis asks."""

from stentor.media.grid import Samples, Segment
from stentor.media.playlist import Hold, ReplaySegment, multivariant_playlist, replay_playlist
from stentor.media.playlist import media_playlist as render
from stentor.media.window import Window
from tests.unit.media.helpers import AAC, OPUS, make_chunk

ZERO_NS = 1_763_839_999_360_000_000 // 1_920_000_000 * 1_920_000_000


def media_playlist(window, *, zero_ns, skip=False):
    return render(window.listing(), window.rendition, zero_ns=zero_ns, skip=skip)


def window_of(steps, rendition=AAC, epoch=1, window=None):
    window = window or Window(rendition)
    for step in steps:
        window.add(make_chunk(step, epoch=epoch, rendition=rendition))
    return window


def test_a_live_playlist_word_for_word():
    assert media_playlist(window_of(range(10)), zero_ns=0) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:9\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.47200,CAN-SKIP-UNTIL=12.0\n"
        "#EXT-X-PART-INF:PART-TARGET=0.49067\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
        '#EXT-X-MAP:URI="aac/1/init.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n"
        '#EXT-X-PART:DURATION=0.49067,URI="aac/1/0.0.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.46933,URI="aac/1/0.1.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.49067,URI="aac/1/0.2.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.46933,URI="aac/1/0.3.m4s",INDEPENDENT=YES\n'
        "#EXTINF:1.92000,\n"
        "aac/1/0.m4s\n"
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.920Z\n"
        '#EXT-X-PART:DURATION=0.49067,URI="aac/1/1.0.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="aac/1/1.1.m4s"\n'
    )


def test_parts_are_at_least_85_percent_of_the_target():
    for rendition in (OPUS, AAC):
        text = media_playlist(window_of(range(8), rendition), zero_ns=0)
        target = float(text.split("PART-TARGET=")[1].split("\n")[0])
        parts = [float(line.split("=")[1].split(",")[0]) for line in text.splitlines() if "EXT-X-PART:" in line]
        assert len(parts) == 4
        assert all(0.85 * target <= part <= target for part in parts)


def test_a_takeover_is_a_discontinuity_with_its_own_map():
    window = window_of(range(11))
    window_of([16, 17], epoch=2, window=window)
    lines = media_playlist(window, zero_ns=ZERO_NS).splitlines()
    at = lines.index("#EXT-X-DISCONTINUITY")
    assert lines[at - 1] == "aac/1/1.m4s"
    assert lines[at - 2] == "#EXTINF:0.72533,"  # 12 + 11 + 11 access units
    assert lines[at + 1] == '#EXT-X-MAP:URI="aac/2/init.mp4"'
    assert lines[-1] == '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="aac/2/2.1.m4s"'
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:0" in lines


def test_the_discontinuity_sequence_counts_what_has_gone():
    window = Window(OPUS, 4)
    window_of(range(8), window=window)
    window_of(range(8, 80), epoch=3, window=window)
    lines = media_playlist(window, zero_ns=0).splitlines()
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:2" in lines
    assert "#EXT-X-DISCONTINUITY" not in lines
    window_of(range(80, 82), epoch=5, window=window)
    assert media_playlist(window, zero_ns=0).count("#EXT-X-DISCONTINUITY\n") == 2


def test_missing_segments_and_parts_are_gaps():
    window = window_of([*range(8), *range(16, 20), *range(22, 32)])
    text = media_playlist(window, zero_ns=0)
    assert "#EXT-X-GAP\n#EXTINF:1.92000,\naac/1/1.m4s\n" in text
    assert 'aac/1/2.2.m4s",INDEPENDENT=YES,GAP=YES' in text
    assert "aac/1/1.0.m4s" not in text


def test_a_delta_update_leaves_out_what_the_client_has():
    window = window_of(range(8 * 16 + 2))
    full, delta = (media_playlist(window, zero_ns=0, skip=skip) for skip in (False, True))
    assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=10\n" in delta
    assert "#EXT-X-MEDIA-SEQUENCE:0\n" in delta
    assert "aac/1/9.m4s" not in delta
    assert full.endswith(delta[delta.index("#EXT-X-PROGRAM-DATE-TIME") :])
    assert full.count(".m4s\n") == 16
    # Boundary: what is left after the skipped segments is at least six target durations long.
    assert delta.count("#EXTINF") * 1.92 + 0.48 >= 12
    short = window_of(range(24))
    assert media_playlist(short, zero_ns=0, skip=True) == media_playlist(short, zero_ns=0)


def test_parts_leave_the_playlist_after_three_target_durations():
    text = media_playlist(window_of(range(8 * 10)), zero_ns=0)
    listed = {line.split('"')[1].split(".")[0] for line in text.splitlines() if line.startswith("#EXT-X-PART:")}
    assert listed == {f"aac/1/{number}" for number in (6, 7, 8, 9)}


def test_the_end_is_said():
    window = window_of(range(9))
    window.end()
    text = media_playlist(window, zero_ns=0)
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert "PRELOAD-HINT" not in text


def test_a_multivariant_playlist_has_one_codec():
    text = multivariant_playlist(AAC, "aac.m3u8")
    assert 'CODECS="mp4a.40.2"\naac.m3u8\n' in text
    assert text.count("#EXT-X-STREAM-INF") == 1


def replay_segment(number, epoch=1, duration=92_160):
    return ReplaySegment(Segment(number), epoch, epoch - 1, Samples(number * 92_160), Samples(duration))


def test_a_replay_starts_at_start_and_marks_holds():
    segments = [replay_segment(5), replay_segment(6, duration=46_080), replay_segment(8, epoch=2)]
    text = replay_playlist(
        AAC,
        segments,
        zero_ns=0,
        start_sample=Samples(5 * 92_160 + 11_520),
        holds=[Hold(Samples(6 * 92_160), Samples(6 * 92_160 + 11_520))],
    )
    assert "#EXT-X-START:TIME-OFFSET=0.24000,PRECISE=YES\n" in text
    assert (
        '#EXT-X-DATERANGE:ID="hold-1",CLASS="stentor.hold",START-DATE="1970-01-01T00:00:11.520Z",DURATION=0.24000\n'
    ) in text
    assert '#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="aac/2/init.mp4"\n' in text
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert text.endswith("#EXTINF:1.92000,\naac/2/8.m4s\n#EXT-X-ENDLIST\n")
    assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in text


def test_a_replay_that_runs_may_grow():
    text = replay_playlist(AAC, [replay_segment(0), replay_segment(2)], zero_ns=0, ended=False)
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in text
    assert "ENDLIST" not in text
    assert "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM" in text
