"""The program counts samples: numbering, alignment, and what never gets out."""

import itertools

import numpy as np
import pytest

from stentor.media.encoder import Encoder
from stentor.media.grid import STEP_SAMPLES, Step, first_unit, units_in
from stentor.media.hold import Loop, encode_loop
from stentor.media.proof import first_head, follows
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.origin.program import Program
from tests.unit.media.test_encoder import decode_units

TICKS = 12
QUIET = np.zeros((1, 960), np.float32)


def quiet_hold():
    return encode_loop(np.zeros((1, 92_160), np.float32))


class CountingEncoder:
    """Delays like a real encoder and numbers its access units, without the work."""

    made = 0

    def __init__(self, rendition):
        type(self).made += 1
        self.frame = rendition.frame_samples
        self.samples = 0
        self.count = 0

    def encode(self, pcm):
        self.samples += pcm.shape[1]
        ready = max(0, self.samples // self.frame - 1 - self.count)  # one frame of look-ahead
        self.count += ready
        return [b"live"] * ready

    def set_bitrate(self, bitrate_bps):
        return False


def program(first=0, *, hold=None, new_encoder=CountingEncoder, **more):
    heads = {name: first_head("room", name) for name in RENDITIONS}
    hold = hold or Loop({name: (b"hold",) for name in RENDITIONS})
    settings = {"epoch": 1, "discontinuity": 0, "heads": heads} | more
    return Program("room", first=Step(first), hold=hold, new_encoder=new_encoder, **settings)


def by_rendition(chunks):
    return {name: [chunk for chunk in chunks if chunk.rendition == name] for name in RENDITIONS}


def check_order(chunks, first, last, heads=None):
    """Every step once, on the grid, with the right number of access units, and chained."""
    for name, mine in by_rendition(chunks).items():
        frame = RENDITIONS[name].frame_samples
        assert [chunk.step for chunk in mine] == list(range(first, last + 1))
        assert all(len(chunk.units) == units_in(chunk.step, frame) for chunk in mine)
        assert all(chunk.first_sample == first_unit(chunk.step, frame) * frame for chunk in mine)
        head = (heads or {}).get(name) or first_head("room", name)
        for chunk in mine:
            assert follows(head, chunk)
            head = chunk.head


def test_an_hour_of_ticks_keeps_the_count():
    made = program(8)
    rng = np.random.default_rng(3)
    steps = 3600 * 25 // 6
    changes = set(rng.choice(steps * TICKS, 60, replace=False).tolist())
    chunks, on_air = [], False
    for tick in range(steps * TICKS):
        on_air ^= tick in changes
        chunks += made.tick(QUIET, on_air)
    chunks += made.finish()
    check_order(chunks, 8, 8 + steps - 1)
    counts = [[len(c.units) for c in mine[:4]] for mine in by_rendition(chunks).values()]
    assert counts == [[12] * 4, [12, 11, 11, 11], [10] * 4]


def test_a_change_holds_from_the_next_step_boundary():
    made = program()
    chunks = [c for tick in range(TICKS * 2 + 5) for c in made.tick(QUIET, tick >= 5)]
    assert (made.on_air, made.on_air_step) == (True, 1)
    for tick in range(7):
        chunks += made.tick(QUIET, False)
        assert made.on_air is True, tick
    chunks += made.tick(QUIET, False)
    assert (made.on_air, made.on_air_step) == (False, 3)
    chunks += made.finish()
    check_order(chunks, 0, 3)
    said = {(c.step, unit) for c in chunks for unit in c.units}
    assert said == {(0, b"hold"), (1, b"live"), (2, b"live"), (3, b"hold")}


def test_off_air_no_encoder_is_made():
    CountingEncoder.made = 0
    made = program()
    for _ in range(TICKS * 4):
        made.tick(QUIET, False)
    assert CountingEncoder.made == 0


def test_a_hole_at_the_start_is_filled_and_marked():
    made = program(16)
    chunks = made.fill(Step(20))
    assert {chunk.silent for chunk in chunks} == {True}
    for _ in range(TICKS):
        chunks += made.tick(QUIET, True)
    chunks += made.fill(Step(24))  # the machine was away while on air
    for _ in range(TICKS + 1):
        chunks += made.tick(QUIET, True)
    with pytest.raises(ValueError, match="between two steps"):
        made.fill(Step(30))
    chunks += made.finish()
    check_order(chunks, 16, 25)
    assert {c.step for c in chunks if c.silent} == {16, 17, 18, 19, 21, 22, 23}
    assert {unit for c in chunks if not c.silent for unit in c.units} == {b"live"}
    assert made.fill(Step(3)) == []


def test_an_epoch_goes_on_from_the_heads_before():
    one = program()
    chunks = [chunk for _ in range(TICKS) for chunk in one.tick(QUIET, False)]
    two = program(8, epoch=2, discontinuity=1, heads=one.heads)
    later = [chunk for _ in range(TICKS) for chunk in two.tick(QUIET, False)]
    check_order(chunks, 0, 0)
    check_order(later, 8, 8, one.heads)
    assert {(c.epoch, c.discontinuity) for c in later} == {(2, 1)}


def tone(frequency, ticks, at=0.5):
    time = np.arange(ticks * 960) / 48_000
    return (at * np.sin(2 * np.pi * frequency * time)).astype(np.float32).reshape(ticks, 1, 960)


def loudness(pcm, frequency, first, end):
    """Return how loud a tone is in samples [first, end), as an amplitude."""
    piece = pcm[first:end]
    time = np.arange(first, first + len(piece)) / 48_000
    return 2 * abs(np.mean(piece * np.exp(-2j * np.pi * frequency * time)))


def run_marked(steps, on_air_steps):
    """Speak 700 Hz on air and 1900 Hz off air; return the decoded renditions."""
    made = program(first=0, hold=quiet_hold(), new_encoder=Encoder)
    on, off = tone(700, TICKS), tone(1900, TICKS)
    chunks = []
    for step in range(steps):
        wanted = step in on_air_steps
        for tick in range(TICKS):
            chunks += made.tick((on if wanted else off)[tick], wanted)
    chunks += made.finish()
    check_order(chunks, 0, steps - 1)
    units = {name: [unit for c in mine for unit in c.units] for name, mine in by_rendition(chunks).items()}
    return {name: decode_units(RENDITIONS[name], units[name]) for name in RENDITIONS}


@pytest.mark.parametrize("name", list(RenditionName))
def test_what_is_said_off_air_reaches_no_chunk(name):
    on_air_steps = {3, 4, 5, 9}
    pcm = run_marked(13, on_air_steps)[name]
    for step in range(13):
        first, end = step * STEP_SAMPLES, (step + 1) * STEP_SAMPLES
        assert loudness(pcm, 1900, first, end) < 0.004
        if step in on_air_steps:
            assert loudness(pcm, 700, first + 3000, end) > 0.4
        elif step - 1 not in on_air_steps:
            assert np.max(np.abs(pcm[first:end])) < 0.02
    # Off air from the boundary on: what was said before it has rung out within one frame and overlap.
    for step in (6, 10):
        assert np.max(np.abs(pcm[step * STEP_SAMPLES + 2400 : (step + 1) * STEP_SAMPLES])) < 0.02


@pytest.mark.parametrize("name", list(RenditionName))
def test_a_marker_stands_at_its_sample_in_every_rendition(name):
    made = program(first=0, hold=quiet_hold(), new_encoder=Encoder)
    sound = np.zeros((TICKS * 8, 1, 960), np.float32)
    burst = (0.5 * np.sin(2 * np.pi * 2000 * np.arange(480) / 48_000) * np.hanning(480)).astype(np.float32)
    at = 3 * STEP_SAMPLES + 7_001
    sound.reshape(-1)[at : at + 480] = burst
    # Goes on air at step 1, whose boundary is in the middle of an AAC access unit.
    chunks = [c for n, tick in enumerate(sound) for c in made.tick(tick, n >= TICKS)]
    chunks += made.finish()
    units = [unit for c in by_rendition(chunks)[name] for unit in c.units]
    decoded = decode_units(RENDITIONS[name], units)
    assert abs(int(np.argmax(np.correlate(decoded, burst, "valid"))) - at) <= 4


def test_chunks_come_in_order_and_soon():
    made = program(first=0, hold=quiet_hold(), new_encoder=Encoder)
    seen = {name: [] for name in RENDITIONS}
    for n in range(TICKS * 10):
        for chunk in made.tick(QUIET, True):
            seen[chunk.rendition].append((n + 1) * 960 - (chunk.step + 1) * STEP_SAMPLES)
    # The encoder's delay and look-ahead (Opus a tick, AAC and MP3 up to 80 ms behind the end of the step), no more.
    assert max(seen[RenditionName.OPUS]) == 960
    assert max(itertools.chain(*seen.values())) <= 4 * 960
    assert min(itertools.chain(*seen.values())) >= 0
