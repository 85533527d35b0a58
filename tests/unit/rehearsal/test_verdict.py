"""The verdict: what is met and missed, what the generator could not do, and what makes it void."""

from typing import Any

import pytest

from stentor.rehearsal.coordinator import Course, Phase
from stentor.rehearsal.objectives import Dials
from stentor.rehearsal.orders import Machine, Report
from stentor.rehearsal.page import page
from stentor.rehearsal.tally import Tally
from stentor.rehearsal.verdict import Configuration, Outcome, Verdict, judge
from tests.unit.rehearsal.test_pieces import plan

BEGUN = 1_800_000_000
CONFIGURATION = Configuration(hash="abc", parts={"room": "1"}, dials=Dials(cap=1_000, per_second=100.0))


def good_course(**gauges: int) -> tuple[Course, dict[str, Tally]]:
    """Return a course of two workers in which all went well, and their tallies, to be spoilt."""
    course = Course(plan(hold_s=10))
    tallies = {name: Tally() for name in ("one", "two")}
    for name in tallies:
        course.machines[name] = Machine(name="bench", cpu="a <fast> one", cores=2)
    course.workers = list(tallies)
    for tally in tallies.values():
        tally.sums.update(arrived=500, admitted=500, played=500, cut=500, came_back=500, bytes=1e6, played_ms=1e6)
        tally.gauges.update(inside=500, playing=500, **gauges)
        for name, value in (("join_ms", 80), ("latency_push_ms", 900), ("latency_hls_ms", 1_500), ("back_ms", 3_000)):
            for _ in range(500):
                tally.spreads[name].add(value)
        tally.spreads["late_ms"].add(3)
    course.phases = [
        (phase, float(BEGUN + at))
        for phase, at in ((Phase.ARRIVAL, 0), (Phase.HOLD, 5), (Phase.RETURN, 15), (Phase.LEAVING, 20))
    ]
    return course, tallies


def told(course: Course, tallies: dict[str, Tally], **report: Any) -> Course:
    for name, tally in tallies.items():
        counts = tally.counts()
        for second in range(21):
            values = {"wall_s": BEGUN + second, "cpu": 0.2, **report}
            course.timeline.take(Report(worker=name, counts=counts, **values))
    return course


def figure(verdict: Verdict, key: str) -> tuple[float | None, bool | None]:
    found = next(each for each in verdict.findings if each.key == key)
    return found.value, found.met


def test_all_is_met_where_all_went_well() -> None:
    verdict = judge(told(*good_course()), CONFIGURATION, CONFIGURATION)
    assert verdict.outcome is Outcome.MET, verdict.summary
    assert figure(verdict, "inside_most") == (1_000, True)
    assert figure(verdict, "back_share") == (1.0, True)
    assert verdict.begun_at == "2027-01-15T08:00:00Z"
    assert all("million" in each or "rehearsal" in each for each in verdict.extrapolation)


@pytest.mark.parametrize(
    ("key", "spoil"),
    [
        ("join_p99_ms", lambda tally: [tally.spreads["join_ms"].add(9_000) for _ in range(20)]),
        ("stall_share", lambda tally: tally.sums.update(stall_ms=20_000)),
        ("push_p99_ms", lambda tally: [tally.spreads["latency_push_ms"].add(20_000) for _ in range(20)]),
        ("status_5xx", lambda tally: tally.sums.update({"status.503": 1})),
        ("worse", lambda tally: tally.sums.update(worse=1)),
        ("inside_most", lambda tally: tally.gauges.update(inside=1)),
        ("back_share", lambda tally: tally.sums.update(came_back=-11)),
        ("back_s", lambda tally: [tally.spreads["back_ms"].add(40_000) for _ in range(20)]),
        ("estimate_error", lambda tally: tally.estimates.add(0.5)),
    ],
)
def test_each_objective_can_be_missed(key: str, spoil: Any) -> None:
    course, tallies = good_course()
    spoil(tallies["one"])
    verdict = judge(told(course, tallies), CONFIGURATION, CONFIGURATION)
    assert figure(verdict, key)[1] is False
    assert verdict.outcome is Outcome.MISSED
    assert "MISSED" in page(verdict)


def test_a_rate_above_the_dial_is_seen() -> None:
    course, tallies = good_course(waiting=10)
    for second in range(10):
        for name, tally in tallies.items():
            tally.sums["admitted"] += 100
            tally.gauges["inside"] = 0
            course.timeline.take(Report(worker=name, wall_s=BEGUN + second, counts=tally.counts(), cpu=0.2))
    assert figure(judge(course, CONFIGURATION, CONFIGURATION), "admitted_per_s") == (200.0, False)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda _course, tallies: tallies["one"].spreads["late_ms"].add(5_000), "not the server's"),
        (lambda course, _tallies: course.lost.append("two"), "Lost on the way"),
        (lambda _course, tallies: tallies["one"].sums.update(arrived=-100), "Only 900 of 1,000 came"),
    ],
)
def test_what_the_generator_could_not_do_is_said_and_leaves_it_open(spoil: Any, word: str) -> None:
    course, tallies = good_course()
    spoil(course, tallies)
    verdict = judge(told(course, tallies), CONFIGURATION, CONFIGURATION)
    assert verdict.outcome is Outcome.UNSURE
    assert any(word in each for each in verdict.limits)


@pytest.mark.parametrize(("report", "word"), [({"cpu": 0.99}, "as busy as a core"), ({"refused": 3}, "no socket")])
def test_a_machine_at_its_end_is_said(report: dict[str, Any], word: str) -> None:
    verdict = judge(told(*good_course(), **report), CONFIGURATION, CONFIGURATION)
    assert verdict.outcome is Outcome.UNSURE
    assert any(word in each for each in verdict.limits)


def test_an_interrupted_rehearsal_says_so() -> None:
    course = told(*good_course())
    course.interrupted = True
    assert judge(course, CONFIGURATION, CONFIGURATION).outcome is Outcome.INTERRUPTED


def test_another_configuration_at_the_end_voids_it() -> None:
    after = CONFIGURATION.model_copy(update={"hash": "abd"})
    assert judge(told(*good_course()), CONFIGURATION, after).outcome is Outcome.VOID
    assert judge(told(*good_course()), CONFIGURATION, None).outcome is Outcome.VOID
    unknown = judge(told(*good_course()), None, None)
    assert unknown.outcome is Outcome.MET
    assert any("did not say its configuration" in each for each in unknown.limits)


def test_nothing_that_was_told_stands_as_markup_in_the_page() -> None:
    course, tallies = good_course()
    course.plan = plan(room="demo", url="http://a.example/<b>")
    text = page(judge(told(course, tallies), CONFIGURATION, CONFIGURATION))
    assert "<b>met</b>" in text
    assert "&lt;b&gt;" in text
    assert "a &lt;fast&gt; one" in text
    assert text.count("<svg") == 5
    assert "http" not in text.replace("http://a.example", "")


def test_even_an_empty_course_has_a_page() -> None:
    course = Course(plan())
    course.phases = [(Phase.CALLING, float(BEGUN))]
    course.interrupted = True
    verdict = judge(course, None, None)
    assert verdict.outcome is Outcome.INTERRUPTED
    assert "interrupted" in page(verdict)
