"""The cadence: doubling, announced far enough ahead; back at once; an emergency is one step."""

from hypothesis import given
from hypothesis import strategies as st

from stentor.edge.cadence import BLOCKS, Cadence
from stentor.media.grid import Step


def test_growing_is_announced_as_far_ahead_as_a_slowed_player_needs() -> None:
    cadence = Cadence()
    change = cadence.want(4, Step(100))
    assert change is not None
    assert (change.block_steps, change.emergency) == (2, False)
    assert (change.from_step - 100) * 0.06 >= 2 - 1
    assert cadence.at(Step(change.from_step - 1)) == 1
    assert cadence.at(change.from_step) == 2
    assert cadence.want(4, Step(101)) is None
    after = cadence.want(4, change.from_step)
    assert after is not None
    assert after.block_steps == 4


def test_an_emergency_holds_from_the_next_step_even_where_a_change_is_announced() -> None:
    cadence = Cadence()
    cadence.want(2, Step(10))
    change = cadence.want(2, Step(11), emergency=True)
    assert change is not None
    assert (change.block_steps, change.from_step, change.emergency) == (2, 12, True)
    assert cadence.at(Step(12)) == 2


def test_smaller_blocks_come_at_once_and_take_an_announced_change_back() -> None:
    cadence = Cadence(8)
    change = cadence.want(1, Step(5))
    assert change is not None
    assert (change.block_steps, change.from_step) == (1, 6)
    cadence = Cadence(2)
    cadence.want(4, Step(5))
    back = cadence.want(2, Step(6))
    assert back is not None
    assert cadence.at(Step(1000)) == 2


@given(st.lists(st.tuples(st.sampled_from(BLOCKS), st.integers(1, 200), st.booleans()), max_size=30))
def test_it_never_more_than_doubles_and_gets_where_it_is_wanted(wishes: list[tuple[int, int, bool]]) -> None:
    cadence, step = Cadence(), 0
    for wish, wait, emergency in wishes:
        for _ in range(wait):
            step += 1
            before = cadence.at(Step(step - 1))
            cadence.want(wish, Step(step), emergency=emergency)
            assert cadence.at(Step(step)) <= 2 * before
    wish = wishes[-1][0] if wishes else 1
    for _ in range(4_000):
        step += 1
        cadence.want(wish, Step(step))
    assert cadence.at(Step(step)) == wish
