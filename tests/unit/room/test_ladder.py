"""The ladder over virtual time: up quickly, one step at a time; down slowly; never up and down and up again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stentor.room.documents import Dials
from stentor.room.installation import LadderWord
from stentor.room.ladder import (
    BITRATE,
    BLOCKS,
    CAP,
    NS_PER_S,
    RATE,
    RUNGS,
    SLOWER,
    Cause,
    Ladder,
    LoadReport,
    is_slower,
    is_thrifty,
    ladder_dials,
    least_blocks,
)

BUSY = LoadReport(edge="edge-1", cpu_share=0.97, loop_lag_s=0.4, pass_share=0.8, connections=4_000)
CALM = LoadReport(edge="edge-1", cpu_share=0.2, pass_share=0.1, connections=4_000)


@dataclass
class Night:
    """Edges under a load, and the ladder that looks at them each second.

    ``sends``: the share of a core that sending takes at one step a block; ``rest``: what arrivals and pages take, of
    which steps 4 and 5 leave less. ``noise`` is relative.
    """

    sends: Callable[[int], float]
    rest: Callable[[int], float] = lambda second: 0.1
    edges: int = 2
    noise: float = 0.0
    seed: int = 0
    ladder: Ladder = field(default_factory=lambda: Ladder(LadderWord(), 0))
    second: int = 0
    changes: list[tuple[int, LadderWord]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def run(self, seconds: int) -> "Night":
        for _ in range(seconds):
            self._second()
        return self

    @property
    def steps(self) -> list[int]:
        return [word.step for _, word in self.changes]

    def _second(self) -> None:
        self.second += 1
        word = self.ladder.word
        for edge in range(self.edges):
            share = self._random.uniform(1 - self.noise, 1 + self.noise)
            rest = self.rest(self.second) * (1 if word.step < RATE else 0.5 if word.step < CAP else 0.2)
            passes = self.sends(self.second) * share / least_blocks(word)
            cpu = passes + rest
            late = max(0.0, cpu - 0.9)
            self.ladder.take(
                LoadReport(
                    edge=f"edge-{edge}",
                    loop_lag_s=late,
                    pass_share=passes,
                    cpu_share=min(1.0, cpu),
                    connections=1_000,
                    block_steps=least_blocks(word),
                ),
                self.second * NS_PER_S,
            )
        changed = self.ladder.decide(self.second * NS_PER_S, self.second * NS_PER_S)
        if changed is not None:
            self.changes.append((self.second, changed))


def test_under_more_and_more_load_every_step_is_taken_in_its_order() -> None:
    night = Night(lambda second: second / 2, lambda second: 0.1 + second / 500).run(600)
    assert [(word.step, word.block_steps) for _, word in night.changes] == [
        (BLOCKS, 4),
        (BLOCKS, 16),
        (SLOWER, 16),
        (BITRATE, 16),
        (RATE, 16),
        (CAP, 16),
    ]
    times = [second for second, _ in night.changes]
    assert all(later - sooner >= 10 for sooner, later in zip(times, times[1:], strict=False))
    assert all(word.why and word.cause and not word.by_hand for _, word in night.changes)


def test_six_busy_seconds_are_enough_and_a_moment_is_not() -> None:
    night = Night(lambda second: 2.0, lambda second: 0.1).run(20)
    assert night.changes[0][0] <= 17  # ten to show that nothing has to be given up, and six busy ones
    assert Night(lambda second: 5.0 if second % 10 < 3 else 0.1).run(600).changes == []


def test_a_calm_evening_gives_nothing_up() -> None:
    assert Night(lambda second: 0.4, noise=0.3).run(3_600).changes == []


def test_what_was_given_up_comes_back_slowly_one_step_at_a_time() -> None:
    night = Night(lambda second: 40.0 if second < 200 else 0.1, lambda second: 0.9 if second < 200 else 0.1).run(1_200)
    assert night.steps[-1] == 0
    down = [(second, word) for second, word in night.changes if word.cause == Cause.CALM]
    assert [word.step for _, word in down] == [RATE, BITRATE, SLOWER, BLOCKS, BLOCKS, 0]
    assert all(later - sooner >= 60 for (sooner, _), (later, _) in zip(down, down[1:], strict=False))


def test_smaller_blocks_are_not_tried_where_they_would_not_fit() -> None:
    night = Night(lambda second: 3.0).run(3_600)
    assert night.steps == [BLOCKS]
    assert night.ladder.word.block_steps == 4


@settings(max_examples=30, deadline=None)
@example(sends=14.0, rest=0.0, noise=0.25, edges=1, seed=3, period_s=10.0)  # calm just when it was to go up
@given(
    st.floats(0, 40),
    st.floats(0, 3),
    st.floats(0, 0.25),
    st.integers(1, 5),
    st.integers(0, 1_000),
    st.floats(10, 1_000),
)
def test_a_load_that_stays_makes_no_step_flap(
    sends: float, rest: float, noise: float, edges: int, seed: int, period_s: float
) -> None:
    def waves(second: int) -> float:
        return sends * (1.2 if second % period_s < period_s / 2 else 0.8)

    night = Night(waves, lambda _: rest, edges=edges, noise=noise, seed=seed).run(3_600)
    ups_and_downs = [(word.step, word.block_steps) for _, word in night.changes]
    order = [(0, 1), (1, 4), (1, 16), (2, 16), (3, 16), (4, 16), (5, 16)]
    numbers = [0, *(order.index(stage) for stage in ups_and_downs)]
    assert all(abs(later - sooner) == 1 for sooner, later in zip(numbers, numbers[1:], strict=False))
    downs = sum(later < sooner for sooner, later in zip(numbers, numbers[1:], strict=False))
    assert downs <= 12
    times = [0, *(second for second, _ in night.changes)]
    for at, (sooner, later) in enumerate(zip(times, times[1:], strict=False)):
        assert later - sooner >= (60 if numbers[at + 1] < numbers[at] else 10)


def test_by_hand_holds_until_it_is_released() -> None:
    night = Night(lambda second: 0.1)
    ladder = night.ladder
    word = ladder.hold(BITRATE, "Set by hand by Ana.", 0, 5)
    assert (word.step, word.by_hand, word.since_ns, word.cause) == (BITRATE, True, 5, Cause.BY_HAND)
    assert night.run(3_600).changes == []
    assert ladder.release("Left to the load by Ana.", 3_600 * NS_PER_S).by_hand is False
    assert ladder.word.step == BITRATE
    assert night.run(600).steps == [SLOWER, BLOCKS, BLOCKS, 0]


def test_a_restarted_control_goes_on_from_the_step_that_was_in_force() -> None:
    held = LadderWord(step=SLOWER, since_ns=7, why="2 of 2 edges are short", cause="cpu", block_steps=16)
    night = Night(lambda second: 0.1, ladder=Ladder(held, 0))
    assert night.run(59).changes == []
    assert night.run(5).steps == [BLOCKS]


def test_without_reports_nothing_changes() -> None:
    ladder = Ladder(LadderWord(step=2, block_steps=16), 0)
    ladder.take(CALM, NS_PER_S)
    assert [ladder.decide(second * NS_PER_S, 0) for second in range(1, 600)] == [None] * 599


def test_one_busy_edge_of_many_is_its_own_business() -> None:
    ladder = Ladder(LadderWord(), 0)
    for second in range(1, 100):
        ladder.take(BUSY, second * NS_PER_S)
        for other in range(2, 6):
            ladder.take(CALM.model_copy(update={"edge": f"edge-{other}"}), second * NS_PER_S)
        assert ladder.decide(second * NS_PER_S, 0) is None


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({}, Cause.LATE),
        ({"loop_lag_s": 0.0}, Cause.CPU),
        ({"loop_lag_s": 0.0, "cpu_share": 0.3, "unread": 1_500}, Cause.UNREAD),
        ({"loop_lag_s": 0.0, "cpu_share": 0.3, "unread": 1_500, "connections": 50_000}, Cause.NOTHING),
        ({"loop_lag_s": 0.0, "cpu_share": 0.3, "unread": 3, "connections": 4}, Cause.NOTHING),
        ({"loop_lag_s": 0.0, "cpu_share": 0.3, "accept_queue": 2_000}, Cause.QUEUE),
        ({"cpu_share": 0.02, "pass_share": 0.01}, Cause.NOTHING),  # something else has the machine
    ],
)
def test_what_an_edge_is_short_of(change: dict[str, float], cause: Cause) -> None:
    report = BUSY.model_copy(update=change)
    assert report.short_of() is cause
    if cause is not Cause.NOTHING:
        assert report.edge in report.said(cause)


def test_what_each_step_means() -> None:
    assert [rung.step for rung in RUNGS] == [0, 1, 2, 3, 4, 5]
    words = [LadderWord(step=step) for step in range(6)]
    assert [least_blocks(word) for word in words] == [1, 4, 16, 16, 16, 16]
    assert [is_slower(word) for word in words] == [False, False, True, True, True, True]
    assert [is_thrifty(word) for word in words] == [False, False, False, True, True, True]


def test_dials_at_each_step() -> None:
    dials = Dials(cap=5_000, per_second=500.0)
    for step in range(RATE):
        assert ladder_dials(step, dials, 90.0, 1_234) == dials
    assert ladder_dials(RATE, dials, 90.0, 1_234) == Dials(cap=5_000, per_second=125.0)
    assert ladder_dials(CAP, dials, 90.0, 1_234) == Dials(cap=1_234, per_second=125.0)
    assert ladder_dials(RATE, Dials(), 90.0, 1_234) == Dials(per_second=22.5)
    assert ladder_dials(CAP, Dials(cap=10), 0.0, 1_234) == Dials(cap=10, per_second=1.0)
    assert ladder_dials(RATE, Dials(per_second=0.5), 0.0, 0) == Dials(per_second=0.5)


def test_an_edge_that_sends_nearly_all_it_may_is_short_of_its_line() -> None:
    full = CALM.model_copy(update={"line_share": 0.95})
    assert full.short_of() is Cause.LINE
    assert "95 % of what it may" in full.said(Cause.LINE)
    assert not CALM.model_copy(update={"line_share": 0.6}).calm_with(1)
    assert CALM.model_copy(update={"line_share": 0.4}).calm_with(1)
