"""The ladder: what an installation gives up under load, in which order, and when.

Five steps, each with less than the one below; sound is last, and no step ends it. ``Ladder`` decides from what the
edges say of themselves (``LoadReport``), up quickly and one step at a time, down slowly. Pure: times are arguments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stentor.room.documents import Dials
from stentor.room.installation import LadderWord

NS_PER_S = 1_000_000_000
NONE, BLOCKS, SLOWER, BITRATE, RATE, CAP = range(6)
FIRST_BLOCKS, LARGE_BLOCKS = 4, 16
SLOW_S = 5.0
"""At ``SLOWER`` reactions and counts come so often."""
RATE_SHARE = 0.25
_LEAST_PER_S = 1.0

SILENT_NS = 7 * NS_PER_S
"""A report that old says nothing any more."""
_PRESSURE_NS = 6 * NS_PER_S
CALM_S, _CALM_MOST_S = 60, 960
_SOON_NS = 180 * NS_PER_S
_TRUST_NS = 900 * NS_PER_S
_BUSY_SHARE = 1 / 3
_MOST_EDGES = 1_000
_CROWD = 20
_WORTH = 0.1


@dataclass(frozen=True, slots=True)
class Rung:
    """One step. ``works_s``: so long it is given to show what it does before the next one."""

    step: int
    name: str
    text: str
    works_s: int


RUNGS = (
    Rung(NONE, "nothing", "Nothing is given up.", 10),
    Rung(
        BLOCKS,
        "larger blocks",
        "Edges send blocks of 0.96 s, then of 3.84 s: fewer sends, and listeners hear up to that much later.",
        15,
    ),
    Rung(
        SLOWER,
        "slower reactions",
        "Pages learn who speaks, how many listen and where a raised hand stands every 5 s or later.",
        10,
    ),
    Rung(BITRATE, "lower bitrate", "Opus at 16 and AAC at 32 kbit/s: half the bytes. MP3 stays as it is.", 10),
    Rung(RATE, "fewer arrivals", "A quarter as many are let in each second; the others wait in line.", 20),
    Rung(CAP, "nobody new", "Whoever is inside stays; all others wait in line until the load is less.", 10),
)
_LARGE_WORKS_S = 30
"""From blocks of 4 steps to 16 the players need about 50 s (edge/cadence); most of it is felt after this."""


class Cause(StrEnum):
    """Why a step is in force; pages have a sentence for each."""

    NOTHING = ""
    BY_HAND = "by-hand"
    CALM = "calm"
    CPU = "cpu"
    LATE = "late"
    UNREAD = "unread"
    QUEUE = "queue"
    LINE = "line"


class LoadReport(BaseModel):
    """How one edge is, on ``load.{edge}`` every 2 s.

    ``loop_lag_s``: by how much its timers are late (95th percentile of a second); ``pass_share``: what sending one
    step's blocks takes, in steps; ``cpu_share``: of one core; ``unread``: connections whose client has not read all it
    was sent; ``accept_queue``: connections that wait to be accepted; ``block_steps``: the smallest blocks in force;
    ``line_share``: what it sends, of what it may send (0: no bound was set).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    edge: Annotated[str, Field(max_length=200)]
    loop_lag_s: Annotated[float, Field(ge=0)] = 0.0
    pass_share: Annotated[float, Field(ge=0)] = 0.0
    cpu_share: Annotated[float, Field(ge=0)] = 0.0
    connections: Annotated[int, Field(ge=0)] = 0
    unread: Annotated[int, Field(ge=0)] = 0
    accept_queue: Annotated[int, Field(ge=0)] = 0
    sent_bytes_per_s: Annotated[float, Field(ge=0)] = 0.0
    line_share: Annotated[float, Field(ge=0)] = 0.0
    block_steps: Annotated[int, Field(ge=1)] = 1

    def to_bytes(self) -> bytes:
        """Return the report as JSON."""
        return self.model_dump_json().encode()

    def short_of(self) -> Cause:
        """Return what this edge is short of, if anything.

        One that hardly works itself, on a machine that is busy with something else, is not helped by any step.
        """
        works = self.cpu_share >= _WORTH or self.pass_share >= _WORTH
        if works and self.loop_lag_s > 0.12:
            return Cause.LATE
        if self.cpu_share > 0.85:
            return Cause.CPU
        if self.unread >= _CROWD and self.unread > 0.25 * self.connections:
            return Cause.UNREAD
        if self.line_share > 0.9:
            return Cause.LINE
        return Cause.QUEUE if works and self.accept_queue > 1_024 else Cause.NOTHING

    def calm_with(self, block_steps: int) -> bool:
        """Tell whether this edge would be well with smaller blocks, which cost as many more sends."""
        times = max(1.0, self.block_steps / block_steps)
        more = self.pass_share * (times - 1)
        return (
            self.cpu_share + more <= 0.6
            and self.pass_share + more <= 0.5
            and self.loop_lag_s <= 0.06
            and (self.unread < _CROWD or self.unread <= 0.1 * self.connections)
            and self.accept_queue <= 128
            and self.line_share <= 0.45
        )

    def said(self, cause: Cause) -> str:
        """Say in words what this edge is short of."""
        match cause:
            case Cause.LATE:
                return f"{self.edge} is {self.loop_lag_s * 1000:.0f} ms late"
            case Cause.UNREAD:
                return f"{self.unread:,} of {self.connections:,} listeners of {self.edge} have not read what was sent"
            case Cause.QUEUE:
                return f"{self.accept_queue:,} connections wait for {self.edge} to accept them"
            case Cause.LINE:
                return f"{self.edge} sends {100 * self.line_share:.0f} % of what it may"
            case _:
                return f"{self.edge} uses {100 * self.cpu_share:.0f} % of a core"


def least_blocks(word: LadderWord) -> int:
    """Return of how many steps blocks are at least."""
    if word.step <= BLOCKS:
        return 1 if word.step < BLOCKS else max(word.block_steps, FIRST_BLOCKS)
    return LARGE_BLOCKS


def is_slower(word: LadderWord) -> bool:
    """Tell whether reactions and counts are to be slower."""
    return word.step >= SLOWER


def is_thrifty(word: LadderWord) -> bool:
    """Tell whether origins are to encode at the lower bitrates."""
    return word.step >= BITRATE


def ladder_dials(step: int, dials: Dials, per_second_lately: float, inside: int) -> Dials:
    """Return the dials in force at a step of the ladder: never more than ``dials``.

    ``dials`` is the least of room and installation; ``per_second_lately`` how many came in each second of the last
    minute, for where no rate is set; ``inside`` how many places are held now. A room without a door gets one by steps
    4 and 5; whoever is inside stays.
    """
    cap, per_second = dials.cap, dials.per_second
    if step >= RATE:
        slower = max(_LEAST_PER_S, RATE_SHARE * (per_second_lately if per_second is None else per_second))
        per_second = slower if per_second is None else min(per_second, slower)
    if step >= CAP:
        cap = inside if cap is None else min(cap, inside)
    return Dials(cap=cap, per_second=per_second)


_STAGES = ((NONE, 1), (BLOCKS, FIRST_BLOCKS), *((step, LARGE_BLOCKS) for step in (BLOCKS, SLOWER, BITRATE, RATE, CAP)))
"""(step, least blocks) in order: the first step is taken in two."""


class Ladder:
    """Which step is in force. ``word`` is what held before, as after a restart of control.

    A step up after 6 s in which edges with a third of the connections were short of something, and no sooner than the
    last one has worked. A step down after 60 s in which every edge would be well with it; where that proves wrong
    within 3 minutes, twice as many are asked for (960 at most), until 15 minutes have gone well. What somebody sets by
    hand holds until they say else. Without any report nothing changes.
    """

    def __init__(self, word: LadderWord, now_ns: int) -> None:
        """``now_ns`` is monotonic, here and in ``decide``."""
        self.word = word
        self._reports: dict[str, tuple[LoadReport, int]] = {}
        self._seen_ns = now_ns
        self._changed_ns = now_ns
        self._pressure_ns = 0
        self._calm_ns = 0
        self._calm_needed_s = CALM_S
        self._down_ns: int | None = None
        self._up_ns = now_ns

    def take(self, report: LoadReport, now_ns: int) -> None:
        """Take an edge's newest word."""
        if report.edge in self._reports or len(self._reports) < _MOST_EDGES:
            self._reports[report.edge] = (report, now_ns)

    def reports(self, now_ns: int) -> list[LoadReport]:
        """Return what edges said in the last 7 s, by name."""
        self._reports = {edge: held for edge, held in self._reports.items() if held[1] > now_ns - SILENT_NS}
        return [self._reports[edge][0] for edge in sorted(self._reports)]

    def hold(self, step: int, why: str, now_ns: int, wall_ns: int) -> LadderWord:
        """Set a step by hand; it stays until ``release``."""
        blocks = 1 if step == NONE else LARGE_BLOCKS
        cause = Cause.BY_HAND
        self._set(
            LadderWord(step=step, by_hand=True, since_ns=wall_ns, why=why, cause=cause, block_steps=blocks), now_ns
        )
        return self.word

    def release(self, why: str, now_ns: int) -> LadderWord:
        """Decide by the load again, from the step that is in force on."""
        if self.word.by_hand:
            self._set(self.word.model_copy(update={"by_hand": False, "why": why, "cause": Cause.NOTHING}), now_ns)
        return self.word

    def decide(self, now_ns: int, wall_ns: int) -> LadderWord | None:
        """Return what holds from now on if it is another step; call about once a second."""
        passed_ns, self._seen_ns = min(now_ns - self._seen_ns, 2 * NS_PER_S), now_ns
        reports = self.reports(now_ns)
        if self.word.by_hand or not reports:
            return None
        stage, short = self._stage(), _short(reports)
        lower = _STAGES[max(0, stage - 1)][1]
        self._pressure_ns = self._pressure_ns + passed_ns if short else max(0, self._pressure_ns - passed_ns)
        is_calm = all(report.calm_with(lower) for report in reports)
        self._calm_ns = self._calm_ns + passed_ns if is_calm else 0
        if now_ns - self._up_ns > _TRUST_NS:
            self._calm_needed_s = CALM_S
        worked = now_ns - self._changed_ns >= self._works_s(stage) * NS_PER_S
        if short and self._pressure_ns >= _PRESSURE_NS and worked and stage + 1 < len(_STAGES):
            self._note_up(now_ns)
            return self._go(stage + 1, *_because(short, len(reports)), now_ns, wall_ns)
        if stage and self._calm_ns >= self._calm_needed_s * NS_PER_S:
            self._down_ns = now_ns
            why = f"All edges have been calm for {self._calm_needed_s} s."
            return self._go(stage - 1, Cause.CALM, why, now_ns, wall_ns)
        return None

    def _note_up(self, now_ns: int) -> None:
        if self._down_ns is not None and now_ns - self._down_ns < _SOON_NS:
            self._calm_needed_s = min(2 * self._calm_needed_s, _CALM_MOST_S)
        self._down_ns = None
        self._up_ns = now_ns

    def _stage(self) -> int:
        held = (self.word.step, least_blocks(self.word))
        return max((at for at, stage in enumerate(_STAGES) if stage <= held), default=0)

    def _works_s(self, stage: int) -> int:
        step, blocks = _STAGES[stage]
        return _LARGE_WORKS_S if (step, blocks) == (BLOCKS, LARGE_BLOCKS) else RUNGS[step].works_s

    def _go(self, stage: int, cause: Cause, why: str, now_ns: int, wall_ns: int) -> LadderWord:
        step, blocks = _STAGES[stage]
        since_ns = self.word.since_ns if step == self.word.step else wall_ns
        self._set(LadderWord(step=step, since_ns=since_ns, why=why, cause=cause, block_steps=blocks), now_ns)
        return self.word

    def _set(self, word: LadderWord, now_ns: int) -> None:
        self.word = word
        self._changed_ns = now_ns
        self._pressure_ns = self._calm_ns = 0


def _short(reports: Iterable[LoadReport]) -> list[tuple[Cause, LoadReport]]:
    """Return the edges that are short of something, if they hold a third of the connections."""
    held, short_held = 0, 0
    short: list[tuple[Cause, LoadReport]] = []
    for report in reports:
        weight, cause = report.connections + 1, report.short_of()
        held += weight
        if cause is not Cause.NOTHING:
            short_held += weight
            short.append((cause, report))
    return short if short_held > _BUSY_SHARE * held else []


def _because(short: list[tuple[Cause, LoadReport]], edges: int) -> tuple[Cause, str]:
    cause, worst = max(short, key=lambda each: (each[1].connections, each[1].loop_lag_s))
    many = f"{len(short)} of {edges} edges are" if edges > 1 else "The edge is"
    return cause, f"{many} short of time or line: {worst.said(cause)}."
