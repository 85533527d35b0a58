"""HLS playlists as text (RFC 8216bis): live with low latency and delta updates, multivariant, and replay.

Durations are whole numbers of samples, written with five decimals by integer arithmetic, so that every edge writes
the same bytes. Addresses are relative to ``/r/{room}/`` (docs/design.md).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from stentor.media.grid import (
    PARTS_PER_SEGMENT,
    SAMPLE_RATE_HZ,
    STEP_SAMPLES,
    STEPS_PER_PART,
    STEPS_PER_SEGMENT,
    Samples,
    Segment,
    Step,
    first_unit,
)
from stentor.media.rendition import Rendition
from stentor.media.window import Listing, Part, WindowSegment

CONTENT_TYPE = "application/vnd.apple.mpegurl"
VERSION = 9  # EXT-X-SKIP (RFC 8216bis, 8)
SEGMENT_SAMPLES = STEPS_PER_SEGMENT * STEP_SAMPLES
TARGET_DURATION_S = -(-SEGMENT_SAMPLES // SAMPLE_RATE_HZ)
HOLD_BACK_PARTS = 3  # 4.4.3.8: at least twice, should be three times the part target
SKIP_TARGET_DURATIONS = 6  # 4.4.3.8: the skip boundary is at least six target durations
PART_TARGET_DURATIONS = 3  # 6.2.2: parts leave the playlist after three target durations
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReplaySegment:
    """One segment of the recording; samples count from the room's zero."""

    number: Segment
    epoch: int
    discontinuity: int
    first_sample: Samples
    duration_samples: Samples


@dataclass(frozen=True, slots=True)
class Hold:
    """A stretch on hold, ``[start_sample, end_sample)`` from the room's zero; players offer to skip it."""

    start_sample: Samples
    end_sample: Samples


def media_playlist(listing: Listing, rendition: Rendition, *, zero_ns: int, skip: bool = False) -> str:
    """Return the LL-HLS media playlist of a listing.

    ``zero_ns``: the room's zero in Unix nanoseconds. ``skip``: the client asked for a delta update (``_HLS_skip``);
    it gets a full playlist where there is nothing to skip, as 6.2.5.1 allows.
    """
    segments = listing.segments
    part_s = _seconds(_part_target(rendition))
    lines = [
        *_head(),
        # 4.4.3.8
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={_seconds(_hold_back(rendition))},"
        f"CAN-SKIP-UNTIL={SKIP_TARGET_DURATIONS * TARGET_DURATION_S}.0",
        f"#EXT-X-PART-INF:PART-TARGET={part_s}",  # 4.4.3.7
    ]
    if not segments:
        lines.append("#EXT-X-MEDIA-SEQUENCE:0")
        return _text([*lines, "#EXT-X-ENDLIST"] if listing.ended else lines)
    lines += [
        f"#EXT-X-MEDIA-SEQUENCE:{segments[0].number}",  # 4.4.3.2
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{segments[0].discontinuity}",  # 4.4.3.3
    ]
    skipped = _skippable(segments) if skip else 0
    if skipped:
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")  # 4.4.5.2
    end_sample = segments[-1].first_sample + segments[-1].duration_samples
    parts_from = end_sample - PART_TARGET_DURATIONS * TARGET_DURATION_S * SAMPLE_RATE_HZ
    previous = segments[skipped - 1] if skipped else None
    for segment in segments[skipped:]:
        lines += _live_segment(segment, previous, rendition, zero_ns)
        with_parts = segment.first_sample + segment.duration_samples > parts_from
        lines += _closing(segment, rendition, with_parts=with_parts)
        previous = segment
    if listing.ended:
        lines.append("#EXT-X-ENDLIST")  # 4.4.3.4
    elif listing.hint is not None:
        number, index, epoch = listing.hint
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{part_uri(rendition, epoch, number, index)}"')  # 4.4.5.3
    return _text(lines)


def multivariant_playlist(rendition: Rendition, uri: str) -> str:
    """Return a multivariant playlist with one variant; players never switch codecs within a ladder.

    ``uri``: the media playlist, relative to the multivariant one. BANDWIDTH allows for boxes and for the peaks of
    variable bit rate (4.4.6.2).
    """
    stream = f"BANDWIDTH={rendition.bitrate_bps * 3 // 2},AVERAGE-BANDWIDTH={rendition.bitrate_bps * 5 // 4}"
    return _text(
        [
            "#EXTM3U",
            f"#EXT-X-VERSION:{VERSION}",
            "#EXT-X-INDEPENDENT-SEGMENTS",  # 4.4.2.1
            f'#EXT-X-STREAM-INF:{stream},CODECS="{rendition.codec}"',
            uri,
        ]
    )


def replay_playlist(
    rendition: Rendition,
    segments: Sequence[ReplaySegment],
    *,
    zero_ns: int,
    start_sample: Samples | None = None,
    holds: Iterable[Hold] = (),
    ended: bool = True,
) -> str:
    """Return the playlist of a recording: VOD when ``ended``, else EVENT, to which segments may still be appended.

    ``start_sample``: where players begin (EXT-X-START, 4.4.2.2). Holds are date ranges of class
    ``stentor.hold`` (4.4.5.1). Where an epoch changes or samples are missing stands EXT-X-DISCONTINUITY.
    """
    kind = "VOD" if ended else "EVENT"  # 4.4.3.5
    lines = [*_head(), f"#EXT-X-PLAYLIST-TYPE:{kind}", "#EXT-X-MEDIA-SEQUENCE:0"]
    if segments and start_sample is not None and start_sample > segments[0].first_sample:
        offset = sum(_before(segment, start_sample) for segment in segments)
        lines.append(f"#EXT-X-START:TIME-OFFSET={_seconds(offset)},PRECISE=YES")
    for index, hold in enumerate(holds, 1):
        lines.append(
            f'#EXT-X-DATERANGE:ID="hold-{index}",CLASS="stentor.hold",'
            f'START-DATE="{_date(zero_ns, hold.start_sample)}",'
            f"DURATION={_seconds(hold.end_sample - hold.start_sample)}"
        )
    previous: ReplaySegment | None = None
    for segment in segments:
        lines += _replay_segment(segment, previous, rendition, zero_ns)
        previous = segment
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return _text(lines)


def segment_uri(rendition: Rendition, epoch: int, number: int) -> str:
    """Return a segment's address, relative to ``/r/{room}/``."""
    return f"{rendition.name}/{epoch}/{number}.m4s"


def part_uri(rendition: Rendition, epoch: int, number: int, index: int) -> str:
    """Return a part's address, relative to ``/r/{room}/``."""
    return f"{rendition.name}/{epoch}/{number}.{index}.m4s"


def init_uri(rendition: Rendition, epoch: int) -> str:
    """Return the address of the initialisation segment, relative to ``/r/{room}/``."""
    return f"{rendition.name}/{epoch}/init.mp4"


def _head() -> list[str]:
    return [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{TARGET_DURATION_S}",  # 4.4.3.1
        "#EXT-X-INDEPENDENT-SEGMENTS",  # 4.4.2.1: each access unit is a sync sample
    ]


def _live_segment(
    segment: WindowSegment, previous: WindowSegment | None, rendition: Rendition, zero_ns: int
) -> list[str]:
    """Return the tags that open a segment."""
    lines: list[str] = []
    if previous is not None:
        # 4.4.4.3: one tag for each discontinuity, also where an epoch left no segment in this window
        lines += ["#EXT-X-DISCONTINUITY"] * (segment.discontinuity - previous.discontinuity)
    if previous is None or previous.epoch != segment.epoch:
        lines.append(f'#EXT-X-MAP:URI="{init_uri(rendition, segment.epoch)}"')  # 4.4.4.5
    lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(zero_ns, segment.first_sample)}")  # 4.4.4.6
    return lines


def _closing(segment: WindowSegment, rendition: Rendition, *, with_parts: bool) -> list[str]:
    """Return a segment's parts and, when it is complete, its duration and address."""
    lines: list[str] = []
    if with_parts and not segment.gap:
        lines += [_part_tag(part, rendition) for part in segment.parts]
    if segment.complete:
        if segment.gap:
            lines.append("#EXT-X-GAP")  # 4.4.4.7
        lines.append(f"#EXTINF:{_seconds(segment.duration_samples)},")  # 4.4.4.1
        lines.append(segment_uri(rendition, segment.epoch, segment.number))
    return lines


def _part_tag(part: Part, rendition: Rendition) -> str:
    """Return EXT-X-PART (4.4.4.9); every part of audio is independent."""
    uri = part_uri(rendition, part.epoch, part.segment, part.index)
    gap = ",GAP=YES" if part.gap else ""
    return f'#EXT-X-PART:DURATION={_seconds(part.duration_samples)},URI="{uri}",INDEPENDENT=YES{gap}'


def _replay_segment(
    segment: ReplaySegment, previous: ReplaySegment | None, rendition: Rendition, zero_ns: int
) -> list[str]:
    lines: list[str] = []
    if previous is not None and (
        segment.discontinuity != previous.discontinuity
        or segment.first_sample != previous.first_sample + previous.duration_samples
    ):
        lines.append("#EXT-X-DISCONTINUITY")
    if previous is None or previous.epoch != segment.epoch:
        lines.append(f'#EXT-X-MAP:URI="{init_uri(rendition, segment.epoch)}"')
    return [
        *lines,
        f"#EXT-X-PROGRAM-DATE-TIME:{_date(zero_ns, segment.first_sample)}",
        f"#EXTINF:{_seconds(segment.duration_samples)},",
        segment_uri(rendition, segment.epoch, segment.number),
    ]


def _skippable(segments: Sequence[WindowSegment]) -> int:
    """Return how many segments lie before the skip boundary (6.2.5.1), counted from the end of the playlist."""
    boundary = SKIP_TARGET_DURATIONS * TARGET_DURATION_S * SAMPLE_RATE_HZ
    skipped, remaining = 0, sum(int(segment.duration_samples) for segment in segments)
    for segment in segments:
        remaining -= segment.duration_samples
        if remaining < boundary:
            break
        skipped += 1
    return skipped


def _before(segment: ReplaySegment, sample: Samples) -> int:
    return max(0, min(segment.duration_samples, sample - segment.first_sample))


def _part_target(rendition: Rendition) -> int:
    """Return the samples of the longest part: AAC has 23 or 22 access units in one."""
    frame = rendition.frame_samples
    parts = range(PARTS_PER_SEGMENT)
    ends = [first_unit(Step(part * STEPS_PER_PART), frame) for part in (*parts, PARTS_PER_SEGMENT)]
    return max(after - before for before, after in pairwise(ends)) * frame


def _hold_back(rendition: Rendition) -> int:
    return HOLD_BACK_PARTS * _part_target(rendition)


def _seconds(samples: int) -> str:
    """Return samples as seconds with five decimals, rounded half up, by integers alone."""
    units = (samples * 100_000 + SAMPLE_RATE_HZ // 2) // SAMPLE_RATE_HZ
    return f"{units // 100_000}.{units % 100_000:05d}"


def _date(zero_ns: int, sample: int) -> str:
    moment_ms = (zero_ns + sample * 1_000_000_000 // SAMPLE_RATE_HZ) // 1_000_000
    whole = _EPOCH + timedelta(milliseconds=moment_ms)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{moment_ms % 1000:03d}Z"


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
