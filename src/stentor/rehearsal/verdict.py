"""The verdict: dated, about one configuration, with what the generator itself could not do."""

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from stentor.rehearsal.coordinator import Course, Phase
from stentor.rehearsal.objectives import Dials, Finding, findings
from stentor.rehearsal.orders import Machine
from stentor.rehearsal.tally import Tally

MOST_POINTS = 240
_LATE_MS = 100.0
_BUSY = 0.9
_MILLION = 1_000_000
_ASK_AGAIN_S = 20


class Outcome(StrEnum):
    """What is said of the whole.

    ``unsure``: the generator could not do its part, so that its figures say nothing of the server. ``void``: the
    configuration changed while it ran.
    """

    MET = "met"
    MISSED = "missed"
    UNSURE = "unsure"
    INTERRUPTED = "interrupted"
    VOID = "void"


class Configuration(BaseModel):
    """What was rehearsed: ``hash`` changes with everything that may change the outcome; ``parts`` say what that is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hash: str
    parts: dict[str, str] = {}
    dials: Dials = Dials()


class Series(BaseModel):
    """What is drawn: each value the mean of ``every_s`` seconds, from ``begins_s`` (Unix) on."""

    model_config = ConfigDict(frozen=True)

    begins_s: int
    every_s: int
    values: dict[str, list[float]]


class Verdict(BaseModel):
    """Everything that is told of a rehearsal."""

    model_config = ConfigDict(frozen=True)

    rehearsal: str
    room: str
    url: str
    outcome: Outcome
    summary: str
    begun_at: str
    ended_at: str
    listeners: int
    per_second: float
    hold_s: float
    push_share: float
    findings: list[Finding]
    limits: list[str]
    machines: list[Machine]
    workers: int
    phases: list[tuple[str, float]]
    configuration: Configuration | None
    extrapolation: list[str]
    counts: dict[str, float]
    series: Series
    curves: dict[str, list[tuple[float, float]]]


def judge(course: Course, before: Configuration | None, after: Configuration | None) -> Verdict:
    """Return the verdict on what happened."""
    total = course.timeline.total()
    found = findings(course, before.dials if before else Dials())
    limits, is_unsure = _limits(course, total)
    if before is None:
        limits.append("The installation did not say its configuration: nothing voids this verdict by itself.")
    elif after is None:
        limits.append("The configuration could not be asked for again at the end: it may have changed.")
    elif after.hash != before.hash:
        limits.append("The configuration changed while this ran.")
    changed = before is not None and (after is None or after.hash != before.hash)
    outcome = _outcome(course, found, is_unsure=is_unsure, changed=changed)
    begun, ended = course.begun(Phase.ARRIVAL), course.begun(Phase.LEAVING)
    last = course.phases[-1][1]
    return Verdict(
        rehearsal=course.plan.id,
        room=course.plan.room,
        url=course.plan.url,
        outcome=outcome,
        summary=_summary(outcome, found),
        begun_at=_date(begun or course.phases[0][1]),
        ended_at=_date(ended or last),
        listeners=course.plan.listeners,
        per_second=course.plan.per_second,
        hold_s=course.plan.hold_s,
        push_share=course.plan.push_share,
        findings=found,
        limits=limits,
        machines=_machines(course),
        workers=len(course.workers),
        phases=[(str(phase), round(at, 1)) for phase, at in course.phases],
        configuration=before,
        extrapolation=_extrapolation(course, total),
        counts={name: round(value, 1) for name, value in sorted(total.sums.items())},
        series=_series(course),
        curves={name: _thinned(spread.curve()) for name, spread in total.spreads.items() if len(spread)},
    )


def _outcome(course: Course, found: list[Finding], *, is_unsure: bool, changed: bool) -> Outcome:
    if course.interrupted:
        return Outcome.INTERRUPTED
    if changed:
        return Outcome.VOID
    if is_unsure:
        return Outcome.UNSURE
    return Outcome.MISSED if any(each.met is False for each in found) else Outcome.MET


def _summary(outcome: Outcome, found: list[Finding]) -> str:
    missed = [each.what for each in found if each.met is False]
    match outcome:
        case Outcome.MET:
            return "Every objective was met."
        case Outcome.MISSED:
            return f"{len(missed)} of the objectives were missed: {'; '.join(missed)}."
        case Outcome.UNSURE:
            return "The generator could not do its part: these figures are not the server's."
        case Outcome.INTERRUPTED:
            return "It was interrupted: what stands here is what had happened until then."
        case Outcome.VOID:
            return "The configuration changed meanwhile, or may have: rehearse again."


def _limits(course: Course, total: Tally) -> tuple[list[str], bool]:
    """Return what the generator could not do, in sentences, and whether that spoils the figures."""
    said = []
    late_ms = total.spreads["late_ms"].at(0.99) or 0.0
    is_late = late_ms > _LATE_MS
    if is_late:
        said.append(
            f"The generator was late by {late_ms:,.0f} ms for one in a hundred of what it had to do: "
            "these figures are not the server's. Use more machines, or fewer listeners."
        )
    busiest = max(
        (sorted(each)[int(0.9 * (len(each) - 1))] for each in course.timeline.cpu.values() if each), default=0.0
    )
    said.append(
        f"Each worker used at most {busiest:.0%} of a core in nine of ten seconds; "
        f"99 % of what was due began within {late_ms:,.0f} ms."
    )
    if busiest > _BUSY:
        said.append("A worker was as busy as a core can be: what it measured is later than it was.")
    refused = sum(report.refused for report in course.timeline.newest.values())
    if refused:
        said.append(f"{refused:,} connections could not be opened: this machine had no socket or port left for them.")
    if course.lost:
        said.append(f"Lost on the way, with their listeners: {', '.join(course.lost)}.")
    if len({machine.name for machine in course.machines.values()}) > 1:
        said.append("The age of the sound holds as far as the clocks of these machines agree with the server's.")
    arrived = int(total.sums["arrived"])
    if arrived < course.plan.listeners and not course.interrupted:
        said.append(f"Only {arrived:,} of {course.plan.listeners:,} came.")
    return said, bool(is_late or busiest > _BUSY or refused or course.lost or (arrived < course.plan.listeners))


def _machines(course: Course) -> list[Machine]:
    return list({machine.name: machine for machine in course.machines.values()}.values())


def _extrapolation(course: Course, total: Tally) -> list[str]:
    """Return what a million would take if all went on in proportion. Nothing of it was measured."""
    said = []
    bytes_each = _bytes_each(course)
    if bytes_each is not None:
        rate = f"{bytes_each * 8 / 1_000:,.1f} kbit/s each, as here: {bytes_each * 8 * _MILLION / 1e9:,.1f} Gbit/s"
        said.append(f"a million listeners at {rate}")
    asks = f"{_MILLION / _ASK_AGAIN_S:,.0f} times a second, at one question each {_ASK_AGAIN_S} s"
    said.append(f"a million in line ask about {asks}")
    if total.sums["played"]:
        times = _MILLION / total.sums["played"]
        said.append(f"that is {times:,.0f} times this rehearsal; whether edges grow in proportion was not rehearsed")
    return said


def _bytes_each(course: Course) -> float | None:
    """Return how many bytes a second each listener took in the steady hold."""
    begun, ended = course.begun(Phase.HOLD), course.begun(Phase.RETURN) or course.begun(Phase.LEAVING)
    if begun is None or ended is None or ended - begun < 3:
        return None
    first, _ = course.timeline.span
    window = slice(int(begun - first) + 1, int(ended - first))
    listened = sum(course.timeline.series("playing")[window])
    return sum(course.timeline.series("bytes")[window]) / listened if listened else None


def _series(course: Course) -> Series:
    timeline = course.timeline
    first, last = timeline.span
    every = max(1, -(-(last - first + 1) // MOST_POINTS))
    names = ("arrived", "waiting", "inside", "playing", "admitted", "requests", "stalls", "came_back")
    values = {}
    for name in names:
        each = timeline.series(name)
        values[name] = [
            round(sum(each[at : at + every]) / len(each[at : at + every]), 2) for at in range(0, len(each), every)
        ]
    return Series(begins_s=first, every_s=every, values=values)


def _thinned(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, len(curve) // 60)
    kept = curve[::step]
    return [
        (round(value, 3), round(share, 4)) for value, share in (kept if kept[-1] == curve[-1] else [*kept, curve[-1]])
    ]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
