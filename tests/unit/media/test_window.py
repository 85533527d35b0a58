"""What an edge lists, whatever the order in which chunks come."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from stentor.media.window import PATIENCE_STEPS, Window
from tests.unit.media.helpers import AAC, OPUS, make_chunk


def filled(steps, *, epoch=1, window=None, rendition=OPUS):
    window = window or Window(rendition)
    for step in steps:
        window.add(make_chunk(step, epoch=epoch, rendition=rendition))
    return window


def names(window):
    return [(s.number, s.epoch, s.duration_samples, len(s.parts), s.complete) for s in window.segments()]


def test_a_part_is_two_chunks_and_a_segment_four_parts():
    window = Window(OPUS)
    assert window.segments() == ()
    assert not window.holds(0, 0)
    window.add(make_chunk(0))
    assert window.segments() == ()
    window.add(make_chunk(1))
    (segment,) = window.segments()
    assert (segment.number, segment.duration_samples, segment.complete) == (0, 23_040, False)
    assert len(segment.parts[0].units) == 24
    filled(range(2, 8), window=window)
    assert names(window) == [(0, 1, 92_160, 4, True)]
    assert window.segment(0) is not None
    assert window.segment(1) is None


def test_aac_durations_come_from_access_units():
    window = filled(range(8), rendition=AAC)
    (segment,) = window.segments()
    assert segment.duration_samples == 90 * 1024
    assert [part.duration_samples // 1024 for part in segment.parts] == [23, 22, 23, 22]
    assert [len(part.units) for part in segment.parts] == [23, 22, 23, 22]
    assert [part.decode_time for part in segment.parts] == [part.first_sample for part in segment.parts]


def test_a_blocking_reload_is_answered_when_the_part_is_there():
    window = filled(range(11))  # segment 0 and part 0 of segment 1; step 10 is half a part
    assert window.holds(0)
    assert window.holds(0, 3)
    assert window.holds(1, 0)
    assert not window.holds(1, 1)
    assert not window.holds(1)
    assert window.holds(0, 4)  # means part 0 of segment 1
    assert not window.holds(1, 4)
    assert not window.far_ahead(3)
    assert window.far_ahead(4)
    assert window.next_part() == (1, 1, 1)


def test_repeats_and_stale_epochs_are_dropped():
    window = filled(range(10))
    assert not window.add(make_chunk(3))
    assert window.add(make_chunk(16, epoch=2))
    assert not window.add(make_chunk(16, epoch=1))
    assert not window.add(make_chunk(17, epoch=1))
    assert window.add(make_chunk(10, epoch=1))  # precedes the new epoch: backfill
    assert window.epoch == 2


def test_the_tail_of_a_dead_epoch_is_a_short_segment():
    window = filled(range(11))
    filled([16], epoch=2, window=window)
    assert window.missing() == (11, 12, 13, 14, 15)
    assert window.frontier == 11
    filled([17], epoch=2, window=window)
    assert window.missing() == ()
    assert names(window) == [(0, 1, 92_160, 4, True), (1, 1, 3 * 11_520, 2, True), (2, 2, 23_040, 1, False)]
    last = window.segments()[1].parts[-1]
    assert (len(last.chunks), last.duration_samples) == (1, 11_520)
    assert window.holds(1, 2)  # beyond its last part: part 0 of segment 2
    assert [chunk.step for chunk in window.after(9)] == [10, 16, 17]


def test_segments_that_no_epoch_made_are_gaps():
    window = filled(range(8))
    filled(range(24, 32), epoch=2, window=window)
    assert [(s.number, s.epoch, s.gap) for s in window.segments()] == [
        (0, 1, False),
        (1, 1, True),
        (2, 1, True),
        (3, 2, False),
    ]
    assert window.segment(1) is None
    assert window.part(1, 0) is None


def test_a_hole_is_waited_for_and_then_given_up():
    window = filled([0, 1, 2, 3, 6])
    assert window.missing() == (4, 5)
    assert window.frontier == 4
    filled(range(7, 6 + PATIENCE_STEPS), window=window)
    assert window.frontier == 4
    filled([6 + PATIENCE_STEPS], window=window)
    assert window.missing() == ()
    assert window.frontier == 7 + PATIENCE_STEPS
    segment = window.segments()[0]
    assert [part.gap for part in segment.parts] == [False, False, True, False]
    assert segment.duration_samples == 92_160
    assert not window.add(make_chunk(4))


def test_a_late_chunk_closes_the_hole():
    window = filled([0, 1, 2, 3, 5, 6, 7])
    assert window.frontier == 4
    assert window.add(make_chunk(4))
    assert window.frontier == 8
    assert window.missing() == ()


def test_an_edge_that_joins_midway_takes_the_backfill_first():
    window = filled([101])
    for step in range(40, 101):
        assert window.add(make_chunk(step))
    assert window.frontier == 102
    assert window.segments()[0].number == 5
    assert not window.add(make_chunk(30))  # something is listed: the beginning stands


def test_a_later_epoch_takes_over_what_two_origins_both_made():
    window = filled(range(20))
    filled([17, 16], epoch=2, window=window)
    assert window.segments()[-1].epoch == 2
    assert [chunk.epoch for chunk in window.after(15)] == [2, 2]
    assert not window.add(make_chunk(20, epoch=1))


def test_old_segments_leave_the_playlist_first_and_memory_later():
    window = filled(range(8 * 50), window=Window(OPUS, 4))
    assert [s.number for s in window.segments()] == [46, 47, 48, 49]
    assert window.segment(41) is not None
    assert window.segment(40) is None
    assert window.holds(3)


def test_a_jump_of_a_day_costs_no_more_than_the_window():
    window = filled(range(8))
    filled(range(8 * 45_000, 8 * 45_000 + 2), epoch=2, window=window)
    assert window.segments()[-1].number == 45_000
    assert len(window.segments()) <= 17


def test_the_end_closes_everything():
    window = filled([0, 1, 2, 3, 4, 5, 6, 7, 8])
    window.end()
    assert names(window)[-1] == (1, 1, 11_520, 1, True)
    assert window.holds(99, 3)
    assert window.next_part() is None
    assert not window.add(make_chunk(9))
    assert Window(OPUS).holds(0, 0) is False


@given(st.permutations(range(16, 40)))
def test_order_does_not_matter_once_all_is_there(order):
    # Patience long enough for any shuffle; the first chunk stands for the live edge of an edge that just joined.
    window = Window(OPUS, patience_steps=100)
    window.add(make_chunk(40))
    for step in order:
        window.add(make_chunk(step))
    if window.segments() and window.segments()[0].number == 2:
        assert [c.step for c in window.after(0)] == list(range(16, 41))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3)), max_size=80))
def test_whatever_comes_the_window_is_sound(arrivals):
    window = Window(OPUS, 4)
    for step, epoch in arrivals:
        start = {1: 0, 2: 16, 3: 40}[epoch]
        window.add(make_chunk(start + step % 24, epoch=epoch))
        segments = window.segments()
        assert window.frontier <= window.newest_step + 1
        assert all(b.number == a.number + 1 for a, b in itertools.pairwise(segments))
        assert all(a.complete and a.epoch <= b.epoch for a, b in itertools.pairwise(segments))
        listed = [chunk.position for s in segments for part in s.parts for chunk in part.chunks]
        assert listed == sorted(set(listed))
        assert all(window.holds(s.number, part.index) for s in segments for part in s.parts)
        for step_missing in window.missing():
            assert window.frontier <= step_missing < window.newest_step
            assert window.chunk(step_missing) is None
