"""What an edge lists: a function of the log, whatever that edge missed and whenever it began."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.edge.ordering import Ordering
from stentor.media.playlist import media_playlist
from stentor.media.window import Window
from tests.unit.media.helpers import AAC, OPUS, chained, make_chunk


def filled(steps, *, epoch=1, window=None, rendition=OPUS):
    window = window or Window(rendition)
    for step in steps:
        window.add(make_chunk(step, epoch=epoch, rendition=rendition))
    return window


def fed(chunks, window=None):
    window = window or Window(OPUS)
    for chunk in chunks:
        window.add(chunk)
    return window


def names(listing):
    return [(s.number, s.epoch, s.duration_samples, len(s.parts), s.complete) for s in listing.segments]


def test_a_part_is_two_chunks_and_a_segment_four_parts():
    window = Window(OPUS)
    assert window.listing().segments == ()
    assert window.stop(2) is None
    window.add(make_chunk(0))
    assert window.listing().segments == ()
    window.add(make_chunk(1))
    (segment,) = window.listing().segments
    assert (segment.number, segment.duration_samples, segment.complete) == (0, 23_040, False)
    assert len(segment.parts[0].units) == 24
    filled(range(2, 8), window=window)
    assert names(window.listing()) == [(0, 1, 92_160, 4, True)]
    assert window.segment(0) is not None
    assert window.segment(1) is None


def test_aac_durations_come_from_access_units():
    window = filled(range(8), rendition=AAC)
    (segment,) = window.listing().segments
    assert segment.duration_samples == 90 * 1024
    assert [part.duration_samples // 1024 for part in segment.parts] == [23, 22, 23, 22]
    assert [len(part.units) for part in segment.parts] == [23, 22, 23, 22]
    assert [part.decode_time for part in segment.parts] == [part.first_sample for part in segment.parts]


def test_a_playlist_is_known_part_by_part():
    window = filled(range(11))  # segment 0 and part 0 of segment 1; step 10 is half a part
    assert [window.stop(step) for step in (1, 2, 8, 10, 11, 12)] == [2, 2, 8, 10, None, None]
    assert not window.far_ahead(3)
    assert window.far_ahead(4)
    assert window.next_part() == (1, 1, 1)


def test_what_does_not_lie_behind_is_dropped():
    window = filled(range(10))
    assert not window.add(make_chunk(3))
    assert not window.add(make_chunk(9, epoch=2))
    assert window.add(make_chunk(16, epoch=2))
    assert not window.add(make_chunk(17, epoch=1))
    window.end()
    assert not window.add(make_chunk(17, epoch=2))


def test_the_tail_of_a_dead_epoch_is_a_short_segment():
    log = chained([(1, range(11)), (2, range(16, 18))])
    window = fed(log[:11])
    before = names(window.listing())
    assert before == [(0, 1, 92_160, 4, True), (1, 1, 23_040, 1, False)]
    assert window.stop(12) is None
    fed(log[11:], window=window)
    assert names(window.listing()) == [(0, 1, 92_160, 4, True), (1, 1, 3 * 11_520, 2, True), (2, 2, 23_040, 1, False)]
    assert window.listing().proven
    last = window.listing().segments[1].parts[-1]
    assert (len(last.chunks), last.duration_samples) == (1, 11_520)
    # Who asks for the half part, or anything that never was, gets the playlist that told of the next epoch.
    assert [window.stop(step) for step in (10, 12, 14, 16, 18)] == [10, 16, 16, 16, 18]
    assert names(window.listing(10)) == before
    assert window.listing(10).hint == (1, 1, 1)
    assert window.listing(16).hint == (2, 0, 2)
    assert names(window.listing(16)) == [(0, 1, 92_160, 4, True), (1, 1, 3 * 11_520, 2, True)]


def test_segments_that_no_epoch_made_are_gaps():
    window = fed(chained([(1, range(8)), (2, range(24, 32))]))
    assert [(s.number, s.epoch, s.gap) for s in window.listing().segments] == [
        (0, 1, False),
        (1, 1, True),
        (2, 1, True),
        (3, 2, False),
    ]
    assert window.listing().proven
    assert window.segment(1) is None
    assert window.part(1, 0) is None


def test_what_was_found_nowhere_is_a_gap_in_doubt():
    log = chained([(1, range(16))])
    window = fed(chunk for chunk in log if chunk.step not in (4, 5, 10))
    first, second = window.listing().segments
    assert [(part.gap, part.proven) for part in first.parts] == [
        (False, True),
        (False, True),
        (True, False),
        (False, True),
    ]
    assert first.duration_samples == 92_160
    assert not second.parts[1].gap
    assert not second.parts[1].proven
    assert not window.listing().proven
    assert window.listing(4).proven


def test_an_edge_that_holds_more_than_the_log_of_a_dead_epoch_is_in_doubt():
    seen = chained([(1, range(8))])
    logged = chained([(1, range(7)), (2, range(8, 12))])
    window = fed([*seen, *logged[7:]])
    assert not window.listing().proven


def test_it_begins_with_a_whole_segment():
    window = filled(range(43, 60))
    assert window.listing().segments[0].number == 6
    assert window.part(5, 3) is None
    assert not window.listing().proven  # it cannot know what came before
    assert filled(range(43, 47)).listing().segments == ()


def test_a_later_epoch_takes_over_what_two_origins_both_made():
    window = filled(range(20))
    filled([20, 21], epoch=2, window=window)
    last = window.listing().segments[-1]
    assert (last.number, last.epoch) == (2, 2)
    assert [chunk.epoch for part in last.parts for chunk in part.chunks] == [2, 2]


def test_old_segments_leave_the_playlist_first_and_memory_later():
    window = filled(range(8 * 50), window=Window(OPUS, 4))
    assert [s.number for s in window.listing().segments] == [46, 47, 48, 49]
    assert window.segment(42) is not None
    assert window.segment(40) is None


def test_a_hole_is_not_listed_once_nothing_precedes_it():
    window = fed(chained([(1, range(16)), (2, range(32, 60))]), window=Window(OPUS, 4))
    assert [s.number for s in window.listing().segments] == [4, 5, 6, 7]
    assert [s.number for s in window.listing(42).segments] == [1, 2, 3, 4, 5]


def test_a_jump_of_a_day_costs_no_more_than_the_window():
    window = filled(range(8))
    filled(range(8 * 45_000, 8 * 45_000 + 2), epoch=2, window=window)
    assert [s.number for s in window.listing().segments] == [45_000]


def test_the_end_closes_everything():
    window = fed(chained([(1, range(11))]))
    before = window.listing(10)
    window.end()
    assert names(window.listing())[-1] == (1, 1, 3 * 11_520, 2, True)
    assert window.listing().ended
    assert window.next_part() is None
    assert window.listing(10) == before


EPOCHS = st.lists(st.tuples(st.integers(2, 70), st.integers(0, 20)), min_size=1, max_size=4)


def log_of(lengths):
    """Return a room's log: epochs of some steps each, then so many steps in which nobody was there."""
    runs, start = [], 0
    for epoch, (length, away) in enumerate(lengths, 1):
        runs.append((epoch, range(start, start + length)))
        start = (start + length + away + 7) // 8 * 8
    return chained(runs)


class EdgeUnderTest:
    """An edge as far as it is pure: what comes is put in order, what is missing is looked for, or given up."""

    def __init__(self, log, begins, lost, nowhere, seed):
        self.window = Window(OPUS, 4)
        self._ordering = Ordering()
        self._findable = {chunk.step: chunk for chunk in log if chunk.step not in nowhere}
        dice = random.Random(seed)
        for chunk in log[:begins]:  # what it catches up with, in any order and twice
            if chunk.step in self._findable and dice.random() < 0.9:
                self._ordering.offer(chunk)
        self._take(self._ordering.begin())
        for chunk in log[begins:]:
            if chunk.step not in lost and chunk.step not in nowhere:
                self._take(self._ordering.offer(chunk))
            if dice.random() < 0.5:
                self._fill()
        self._fill()

    def _fill(self):
        while (gap := self._ordering.gap) is not None:
            found = [self._findable[step] for step in range(gap[0] + 1, gap[1]) if step in self._findable]
            if not found:
                self._take(self._ordering.skip())
            for chunk in found:
                self._take(self._ordering.offer(chunk))

    def _take(self, chunks):
        for chunk in chunks:
            self.window.add(chunk)

    def playlists(self):
        """Return what a blocking reload gets, by what it asks; only what a cache may keep."""
        said = {}
        newest = self.window.newest_stop()
        for wanted, skip in itertools.product(range(max(2, newest - 48), newest + 1, 2), (False, True)):
            stop = self.window.stop(wanted)
            if stop is not None and self.window.listing(stop).proven:
                said[wanted, skip] = media_playlist(self.window.listing(stop), OPUS, zero_ns=0, skip=skip)
        return said

    def media(self):
        """Return what is served as immutable, by its address."""
        said = {}
        for number in range(self.window.newest_stop() // 8 + 1):
            segment = self.window.segment(number)
            if segment is not None and segment.proven:
                said[segment.epoch, number] = tuple(part.units for part in segment.parts)
            for index in range(4):
                part = self.window.part(number, index)
                if part is not None and part.proven:
                    said[part.epoch, number, index] = part.units
        return said


@settings(deadline=None, max_examples=40)
@given(EPOCHS, st.data())
def test_any_two_edges_write_the_same_playlists_and_media(lengths, data):
    log = log_of(lengths)
    steps = st.sets(st.sampled_from([chunk.step for chunk in log]), max_size=12)
    edges = [
        EdgeUnderTest(
            log,
            data.draw(st.integers(1, len(log))),
            lost=data.draw(steps),
            nowhere=data.draw(steps) if data.draw(st.booleans()) else set(),
            seed=data.draw(st.integers(0, 99)),
        )
        for _ in range(2)
    ]
    for said in (EdgeUnderTest.playlists, EdgeUnderTest.media):
        one, other = (said(edge) for edge in edges)
        assert {ask: one[ask] for ask in one.keys() & other.keys()} == {
            ask: other[ask] for ask in one.keys() & other.keys()
        }


@settings(deadline=None, max_examples=40)
@given(EPOCHS, st.data())
def test_an_edge_that_finds_what_it_missed_writes_what_all_write(lengths, data):
    log = log_of(lengths)
    lost = data.draw(st.sets(st.sampled_from([chunk.step for chunk in log]), max_size=12)) - {log[-1].step}
    untouched = EdgeUnderTest(log, 0, lost=set(), nowhere=set(), seed=0)
    since = data.draw(st.integers(0, len(log) - 1))
    late = EdgeUnderTest(
        log[since:], 0, lost=lost - {log[since].step}, nowhere=set(), seed=data.draw(st.integers(0, 99))
    )
    said, all_say = late.playlists(), untouched.playlists()
    assert said.items() <= all_say.items()
    assert all_say
    if since == 0:
        assert said == all_say


@settings(deadline=None, max_examples=10)
@given(EPOCHS)
def test_a_playlist_stays_as_it_was_while_the_window_grows(lengths):
    window, said = Window(OPUS, 4), {}
    for chunk in log_of(lengths):
        window.add(chunk)
        newest = window.newest_stop()
        for wanted in range(max(2, newest - 48), newest + 1, 2):
            listing = window.listing(window.stop(wanted))
            if listing.proven:
                text = media_playlist(listing, OPUS, zero_ns=0)
                assert said.setdefault(wanted, text) == text


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3)), max_size=80))
def test_whatever_comes_the_window_is_sound(arrivals):
    window = Window(OPUS, 4)
    for step, epoch in arrivals:
        start = {1: 0, 2: 16, 3: 40}[epoch]
        window.add(make_chunk(start + step % 24, epoch=epoch))
        segments = window.listing().segments
        assert all(b.number == a.number + 1 for a, b in itertools.pairwise(segments))
        assert all(a.complete and a.epoch <= b.epoch for a, b in itertools.pairwise(segments))
        listed = [chunk.position for s in segments for part in s.parts for chunk in part.chunks]
        assert listed == sorted(set(listed))
