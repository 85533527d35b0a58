"""What a rehearsal is judged by, and the judgement of each figure."""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from stentor.rehearsal.coordinator import Course, Phase
from stentor.rehearsal.tally import Tally
from stentor.rehearsal.timeline import Timeline

_SETTLED_S = 3
"""A line so old is called at the rate that is set."""


class Dials(BaseModel):
    """The door's dials as they stood: how many at once, how many a second; None: not guarded, or not known."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cap: int | None = None
    per_second: float | None = None


class Finding(BaseModel):
    """One figure. ``met`` is None where it could not be judged; ``note`` says why, or what else to know."""

    model_config = ConfigDict(frozen=True)

    key: str
    what: str
    value: float | None
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    met: bool | None = None
    note: str = ""


@dataclass
class _Judge:
    findings: list[Finding] = field(default_factory=list)

    def at_most(self, key: str, what: str, value: float | None, limit: float, unit: str = "", note: str = "") -> None:
        self._add(key, what, value, unit, note, at_most=limit)

    def at_least(self, key: str, what: str, value: float | None, limit: float, unit: str = "", note: str = "") -> None:
        self._add(key, what, value, unit, note, at_least=limit)

    def shown(self, key: str, what: str, value: float | None, unit: str = "", note: str = "") -> None:
        self._add(key, what, value, unit, note)

    def _add(self, key: str, what: str, value: float | None, unit: str, note: str, **limits: float) -> None:
        met = None
        if value is not None and limits:
            met = value <= limits["at_most"] if "at_most" in limits else value >= limits["at_least"]
            value = round(value, 5)
        elif value is not None:
            value = round(value, 3)
        elif limits and not note:
            note = "nothing was measured"
        self.findings.append(Finding(key=key, what=what, value=value, unit=unit, met=met, note=note, **limits))


def findings(course: Course, dials: Dials) -> list[Finding]:
    """Return every figure, judged."""
    total = course.timeline.total()
    judge = _Judge()
    _sound(judge, total)
    _line(judge, course, total, dials)
    _return(judge, course, total)
    return judge.findings


def _sound(judge: _Judge, total: Tally) -> None:
    spreads, sums = total.spreads, total.sums
    heard = sums["stall_ms"] + sums["played_ms"]
    judge.at_most("join_p99_ms", "let in until sound, 99 % within", spreads["join_ms"].at(0.99), 3_000, "ms")
    judge.at_most(
        "stall_share",
        "share of the time that listeners heard nothing",
        sums["stall_ms"] / heard if heard else None,
        0.005,
    )
    judge.at_most(
        "push_p50_ms", "age of the sound by push, half within", spreads["latency_push_ms"].at(0.5), 3_000, "ms"
    )
    judge.at_most(
        "push_p99_ms", "age of the sound by push, 99 % within", spreads["latency_push_ms"].at(0.99), 8_000, "ms"
    )
    judge.at_most(
        "hls_p50_ms", "age of the sound by LL-HLS, half within", spreads["latency_hls_ms"].at(0.5), 4_000, "ms"
    )
    judge.at_most(
        "hls_p99_ms", "age of the sound by LL-HLS, 99 % within", spreads["latency_hls_ms"].at(0.99), 9_000, "ms"
    )
    errors = sum(count for status, count in total.named("status.").items() if status.startswith("5"))
    judge.at_most("status_5xx", "answers with a server's error", errors, 0)
    judge.shown("connect_p99_ms", "connecting with TLS, 99 % within", spreads["connect_ms"].at(0.99), "ms")
    judge.shown("ticket_p99_ms", "answer to a ticket's question, 99 % within", spreads["ticket_ms"].at(0.99), "ms")


def _line(judge: _Judge, course: Course, total: Tally, dials: Dials) -> None:
    timeline = course.timeline
    judge.at_most("worse", "positions in line that got worse", total.sums["worse"], 0)
    judge.shown("wait_p50_s", "time in line, half within", total.spreads["wait_s"].at(0.5), "s")
    judge.shown("wait_p99_s", "time in line, 99 % within", total.spreads["wait_s"].at(0.99), "s")
    error = total.estimates.at(0.5)
    judge.at_most(
        "estimate_error",
        "median error of the first estimate, over the wait",
        error,
        0.2,
        note="" if error is not None else "nobody waited 5 s with an estimate",
    )
    inside = timeline.series("inside")
    others = max((listeners for _, listeners, _ in course.state), default=0)
    if dials.cap is None:
        judge.shown("inside_most", "listeners inside at once, at most", max(inside, default=0), note="no cap is set")
    else:
        note = f"of the rehearsal; the audience beside it: {others}" if others else ""
        judge.at_most("inside_most", "listeners inside at once, at most", max(inside, default=0), dials.cap, note=note)
    rates = _rates_while_waiting(timeline, dials.cap)
    mean = sum(rates) / len(rates) if rates else None
    what = "let in a second while some waited and there was room, mean"
    if dials.per_second is None:
        judge.shown("admitted_per_s", what, mean, note="no rate is set")
        return
    note = f"the dial: {dials.per_second:g}"
    judge.at_most("admitted_per_s", what, mean, dials.per_second * 1.05 + 1, note=note)


def _rates_while_waiting(timeline: Timeline, cap: int | None) -> list[float]:
    """Return how many were let in, in each second in which the rate alone decided."""
    waiting, inside = timeline.series("waiting"), timeline.series("inside")
    full = float("inf") if cap is None else 0.95 * cap
    return [
        rate
        for at, rate in enumerate(timeline.series("admitted"))
        if _SETTLED_S <= at < len(waiting) - 1 and all(waiting[at - _SETTLED_S : at + 2]) and inside[at + 1] < full
    ]


def _return(judge: _Judge, course: Course, total: Tally) -> None:
    if course.begun(Phase.RETURN) is None:
        return
    cut, back = total.sums["cut"], total.sums["came_back"]
    judge.at_least(
        "back_share", "of those who were cut at once, share that plays again", back / cut if cut else None, 0.99
    )
    enough = back >= 0.99 * cut
    spread = total.spreads["back_ms"]
    judge.at_most(
        "back_s",
        "until 99 % of them play again",
        (spread.at(min(1.0, 0.99 * cut / back)) or 0.0) / 1_000 if cut and enough and back else None,
        15.0,
        "s",
        note="" if enough else f"{int(cut - back):,} did not come back",
    )
