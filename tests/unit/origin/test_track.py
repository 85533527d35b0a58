"""Another bitrate: on a segment, soon, and nobody hears the change."""

import numpy as np
import pytest

from stentor.media.aac_window import window_of
from stentor.media.encoder import Encoder, Pcm
from stentor.media.grid import STEP_SAMPLES, STEPS_PER_SEGMENT
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName, thrifty
from tests.unit.media.test_encoder import decode_units
from tests.unit.origin.test_program import (
    QUIET,
    TICKS,
    CountingEncoder,
    by_rendition,
    check_order,
    program,
    quiet_hold,
)

SEGMENT_TICKS = STEPS_PER_SEGMENT * TICKS
SEGMENTS = 12


def syllables(ticks: int) -> Pcm:
    """Return something like speech, (samples,) float32: a new pitch, loudness and hardness every 90 ms."""
    rng = np.random.default_rng(7)
    pieces = ticks * 960 // 4_320 + 1
    pitch = np.repeat(rng.uniform(90, 330, pieces), 4_320)[: ticks * 960]
    loud = np.repeat(rng.choice([0.0, 0.02, 0.08, 0.15], pieces), 4_320)[: ticks * 960]
    phase = 2 * np.pi * np.cumsum(pitch) / 48_000
    voiced = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 12))
    return (loud * (voiced + 0.05 * rng.standard_normal(len(phase)))).astype(np.float32)


def broadcast(sound: Pcm, wanted: list[bool]) -> tuple[dict[RenditionName, list[bytes]], list[tuple[bool, int]]]:
    """Put sound out, wanting a bitrate for each segment; return all access units, and each change with its step."""
    made = program(first=0, hold=quiet_hold(), new_encoder=Encoder)
    chunks, changes, was = [], [], False
    for tick in range(len(sound) // 960):
        made.want_bitrate(thrifty=wanted[tick // SEGMENT_TICKS])
        chunks += made.tick(sound[None, tick * 960 : (tick + 1) * 960], True)
        if made.thrifty is not was:
            was = made.thrifty
            changes.append((was, made.thrifty_step))
    chunks += made.finish()
    check_order(chunks, 0, len(sound) // STEP_SAMPLES - 1)
    return {name: [unit for c in mine for unit in c.units] for name, mine in by_rendition(chunks).items()}, changes


@pytest.fixture(scope="module")
def sound() -> Pcm:
    return syllables(SEGMENTS * SEGMENT_TICKS)


@pytest.fixture(scope="module")
def ways(sound: Pcm) -> dict[str, tuple[dict[RenditionName, list[bytes]], list[tuple[bool, int]]]]:
    """Return the broadcast at the usual bitrates, at the lower ones, and changing in every other segment."""
    changing = [segment % 4 in (1, 2) for segment in range(SEGMENTS)]
    return {
        "usual": broadcast(sound, [False] * SEGMENTS),
        "lower": broadcast(sound, [True] * SEGMENTS),
        "changing": broadcast(sound, changing),
    }


def test_changes_hold_from_the_next_segment_on(ways):
    assert ways["usual"][1] == []
    assert ways["lower"][1] == [(True, 0)]
    assert ways["changing"][1] == [(at % 4 == 2, at * STEPS_PER_SEGMENT) for at in range(2, SEGMENTS, 2)]


def test_the_lower_bitrates_take_half_the_bytes(ways):
    spent = {way: {name: sum(map(len, units)) for name, units in ways[way][0].items()} for way in ("usual", "lower")}
    for name in (RenditionName.OPUS, RenditionName.AAC):
        assert spent["usual"][name] > 1.7 * spent["lower"][name]
    assert spent["usual"][RenditionName.MP3] == spent["lower"][RenditionName.MP3]


@pytest.mark.parametrize("name", [RenditionName.OPUS, RenditionName.AAC])
def test_nothing_is_heard_of_a_change(ways, sound: Pcm, name: RenditionName):
    """Around each seam the error is what the worse of the two bitrates makes there; a click would stand out."""
    rendition = RENDITIONS[name]
    decoded = {way: decode_units(rendition, units[name])[: len(sound)] for way, (units, _) in ways.items()}

    def error(way: str, first: int, end: int) -> float:
        return float(np.sum((decoded[way][first:end] - sound[first:end]) ** 2))

    seams = [step * STEP_SAMPLES for _, step in ways["changing"][1]]
    assert len(seams) == 5
    for seam in seams:
        for first in range(seam - 4_096, seam + 4_096, 2_048):
            worse = max(error("usual", first, first + 2_048), error("lower", first, first + 2_048))
            assert error("changing", first, first + 2_048) < 2 * worse + 1e-3, (seam, first)


@pytest.mark.parametrize("late_ticks", [1, 40, SEGMENT_TICKS - 5, SEGMENT_TICKS - 1])
def test_a_change_comes_within_two_seconds(late_ticks: int):
    made = program(first=0)
    for tick in range(4 * SEGMENT_TICKS):
        if tick == SEGMENT_TICKS + late_ticks:
            made.want_bitrate(thrifty=True)
        made.tick(QUIET, on_air=True)
        if made.thrifty:
            break
    assert tick - SEGMENT_TICKS - late_ticks <= SEGMENT_TICKS + 8
    assert made.thrifty
    assert made.thrifty_step == STEPS_PER_SEGMENT * (2 if late_ticks <= SEGMENT_TICKS - 4 else 3)


def test_going_off_air_in_the_middle_of_a_change():
    made = program(first=0)
    chunks = []
    for tick in range(6 * SEGMENT_TICKS):
        made.want_bitrate(thrifty=tick >= SEGMENT_TICKS + 30)
        chunks += made.tick(QUIET, on_air=not SEGMENT_TICKS + 40 <= tick < 3 * SEGMENT_TICKS)
    chunks += made.finish()
    check_order(chunks, 0, 6 * STEPS_PER_SEGMENT - 1)
    assert made.thrifty
    assert made.thrifty_step == 3 * STEPS_PER_SEGMENT


class WindowedEncoder(CountingEncoder):
    """Gives AAC access units whose windows agree at no bitrate but its own."""

    def __init__(self, rendition: Rendition) -> None:
        super().__init__(rendition)
        self.low = rendition == thrifty(RENDITIONS[RenditionName.AAC])

    def encode(self, pcm: Pcm) -> list[bytes]:
        return [bytes((0, 0, 0x40 if self.low else 0x00)) for _ in super().encode(pcm)]


def test_where_windows_do_not_agree_aac_waits_for_another_segment_and_not_for_ever():
    assert window_of(bytes((0, 0, 0x40))) != window_of(bytes(3))
    made = program(first=0, new_encoder=WindowedEncoder)
    chunks = []
    made.want_bitrate(thrifty=False)
    for tick in range(8 * SEGMENT_TICKS):
        if tick == 3:
            made.want_bitrate(thrifty=True)
        chunks += made.tick(QUIET, on_air=True)
    check_order(chunks + made.finish(), 0, 8 * STEPS_PER_SEGMENT - 1)
    windows = [window_of(unit) for chunk in by_rendition(chunks)[RenditionName.AAC] for unit in chunk.units]
    assert windows.index(window_of(bytes((0, 0, 0x40)))) == 4 * 90
    assert made.thrifty_step == 4 * STEPS_PER_SEGMENT


@pytest.mark.parametrize(
    ("unit", "window"),
    [
        (bytes(4), (0, 0)),
        (bytes((0, 0, 0x60, 0)), (1, 1)),
        # A fill element of one byte first: 110 0001, eight bits, then the channel.
        (
            int("1100001" + "0" * 8 + "000" + "0000" + "0" * 8 + "0" + "10" + "1" + "000000", 2).to_bytes(5, "big"),
            (2, 1),
        ),
        (b"\xff\xff", None),
        (b"\x00", None),
        (b"", None),
    ],
)
def test_windows_are_read(unit: bytes, window: tuple[int, int] | None):
    assert window_of(unit) == window
