"""Order, once each, out of a stream that misses, repeats and contradicts itself."""

from hypothesis import given
from hypothesis import strategies as st

from stentor.edge.ordering import MAX_WAITING, Ordering
from stentor.media.chunk import Chunk
from stentor.media.grid import STEP_SAMPLES, Samples, Step
from stentor.media.rendition import RenditionName


def chunk(step: int, epoch: int = 1) -> Chunk:
    return Chunk(
        "r", RenditionName.OPUS, epoch, epoch - 1, Step(step), Samples(step * STEP_SAMPLES), (b"u",), bytes(32)
    )


def begun(*chunks: Chunk) -> Ordering:
    ordering = Ordering()
    for each in chunks:
        assert ordering.offer(each) == []
    ordering.begin()
    return ordering


def test_nothing_goes_out_before_the_beginning() -> None:
    ordering = Ordering()
    for step in (5, 3, 4, 4):
        assert ordering.offer(chunk(step)) == []
    assert [each.step for each in ordering.begin()] == [3, 4, 5]
    assert ordering.offer(chunk(6)) == [chunk(6)]
    assert ordering.repeated == 1


def test_a_hole_is_named_filled_and_then_forgotten() -> None:
    ordering = begun(chunk(0))
    assert ordering.offer(chunk(3)) == []
    assert ordering.gap == (0, 3)
    assert ordering.offer(chunk(1)) == [chunk(1)]
    assert ordering.gap == (1, 3)
    assert ordering.offer(chunk(2)) == [chunk(2), chunk(3)]
    assert ordering.gap is None
    assert ordering.missing == 0


def test_a_hole_that_is_skipped_is_counted_and_closed() -> None:
    ordering = begun(chunk(0))
    ordering.offer(chunk(4))
    assert ordering.skip() == [chunk(4)]
    assert ordering.missing == 3
    assert ordering.offer(chunk(2)) == []
    assert ordering.repeated == 1


def test_a_stale_epoch_is_never_heard_again() -> None:
    ordering = begun(chunk(0, 1))
    assert ordering.offer(chunk(1, 2)) == [chunk(1, 2)]
    assert ordering.offer(chunk(2, 1)) == []
    assert ordering.offer(chunk(2, 2)) == [chunk(2, 2)]
    assert ordering.stale == 1


def test_of_two_that_wait_for_one_step_the_later_epoch_wins() -> None:
    ordering = begun(chunk(0, 1))
    ordering.offer(chunk(2, 1))
    ordering.offer(chunk(2, 2))
    ordering.offer(chunk(3, 1))
    assert ordering.offer(chunk(1, 1)) == [chunk(1, 1), chunk(2, 2)]
    assert ordering.offer(chunk(3, 2)) == [chunk(3, 2)]


def test_what_waits_is_bounded() -> None:
    ordering = begun(chunk(0))
    given_out = [each for step in range(2, 2 * MAX_WAITING) for each in ordering.offer(chunk(step))]
    assert given_out[0].step == 2
    assert ordering.gap is None


CHUNKS = st.lists(st.builds(chunk, st.integers(0, 40), st.integers(1, 3)), max_size=120)


@given(CHUNKS, st.lists(st.booleans(), max_size=120), st.integers(0, 20))
def test_steps_grow_and_epochs_never_fall(chunks: list[Chunk], skips: list[bool], start: int) -> None:
    ordering, out = Ordering(), []
    for index, each in enumerate(chunks):
        out += ordering.offer(each)
        if index == start:
            out += ordering.begin()
        if ordering._begun and index < len(skips) and skips[index]:
            out += ordering.skip()
    steps = [each.step for each in out]
    assert steps == sorted(set(steps))
    epochs = [each.epoch for each in out]
    assert epochs == sorted(epochs)


@given(st.permutations(range(24)))
def test_any_order_of_a_whole_stream_comes_out_whole(steps: list[int]) -> None:
    ordering, out = begun(chunk(0)), [chunk(0)]
    for step in steps:
        out += ordering.offer(chunk(step))
    assert [each.step for each in out] == list(range(24))
