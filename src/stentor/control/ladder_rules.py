"""The ladder of the installation: the edges' reports in, the step in force out (rules: room/ladder).

Control decides once a second. What it decides goes into the installation's document, which edges and origins follow,
and is kept in the catalogue, so that a control that is started again goes on from the same step.
"""

import json
from collections import deque
from dataclasses import dataclass

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from stentor.clock import UnixNs, iso_utc
from stentor.control.ladder_shapes import LadderViewOut, LadderWordOut, LoadOut, StepOut
from stentor.control.parts import Parts
from stentor.control.staff import Staff
from stentor.errors import StoreUnavailable
from stentor.room.installation import LadderWord
from stentor.room.ladder import RUNGS, Cause, Ladder, LoadReport
from stentor.store.catalogue import AuditEntry
from stentor.telemetry import logger

LOADS = "load.*"
_DECIDE_S = 1.0
_MEAN_OF = 10
_FEW = 20

STEP = Gauge("stentor_control_ladder_step", "The ladder's step in force, 0 to 5.")
STEPS_TAKEN = Counter("stentor_control_ladder_steps_total", "Steps of the ladder that were taken.", ["way"])

log = logger("control")


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one listener costs: ``cpu`` in shares of a core, ``sent`` in bytes a second."""

    cpu: float
    sent: float


class LadderRules:
    """Decides, says, remembers."""

    def __init__(self, parts: Parts) -> None:
        self._bus = parts.bus
        self._clock = parts.clock
        self._catalogue = parts.catalogue
        self._installation = parts.installation
        self._hub = parts.hub
        self._ladder = Ladder(LadderWord(), parts.clock.monotonic_ns())
        self._costs: deque[_Cost] = deque(maxlen=_MEAN_OF)
        self._before: dict[int, _Cost] = {}
        self._saved: dict[int, tuple[float | None, float | None]] = {}
        self._said = LadderWord()

    # What people ask

    async def shown(self) -> LadderViewOut:
        """Return the ladder as the API shows it."""
        word = self._ladder.word
        reports = self._ladder.reports(self._clock.monotonic_ns())
        steps = []
        for rung in RUNGS[1:]:
            cpu, sent = self._saved.get(rung.step, (None, None))
            steps.append(
                StepOut(
                    step=rung.step,
                    name=rung.name,
                    text=rung.text,
                    in_force=rung.step <= word.step,
                    cpu_saved=cpu,
                    bytes_saved=sent,
                )
            )
        shown = self.word()
        return LadderViewOut(**shown.model_dump(), block_steps=word.block_steps, steps=steps, load=_load(reports))

    def word(self) -> LadderWordOut:
        """Return the step in force."""
        word = self._ladder.word
        rung = RUNGS[min(word.step, len(RUNGS) - 1)]
        since = iso_utc(UnixNs(word.since_ns)) if word.since_ns else None
        return LadderWordOut(
            step=word.step,
            name=rung.name,
            text=rung.text,
            by_hand=word.by_hand,
            since=since,
            why=word.why,
            cause=word.cause,
        )

    async def set(self, who: Staff, step: int | None) -> LadderViewOut:
        """Set a step by hand, or leave it to the load with None. Raises StoreUnavailable: then nothing has changed."""
        before, now = self._ladder.word, self._clock.monotonic_ns()
        if step is None:
            self._ladder.release(f"Left to the load by {who.link.name}.", now)
        else:
            self._ladder.hold(step, f"Set by hand by {who.link.name}.", now, self._clock.wall_ns())
        try:
            await self._installation.change(ladder=self._ladder.word)
        except StoreUnavailable:
            self._ladder.word = before
            raise
        await self._tell(who.link.link, who.link.name, "by-hand")
        return await self.shown()

    # By itself

    async def run(self) -> None:
        """Listen to the edges and decide once a second, for ever."""
        async with self._bus.subscribe(LOADS, self._hear):
            await self._begin()
            while True:
                await self._clock.sleep(_DECIDE_S)
                self._look()
                self._ladder.decide(self._clock.monotonic_ns(), self._clock.wall_ns())
                word = self._ladder.word
                if word == self._said:
                    continue
                try:
                    await self._installation.change(ladder=word)
                    await self._tell("ladder", "the ladder", "down" if word.step < self._said.step else "up")
                except StoreUnavailable as error:
                    log.warning("ladder_not_said", error=error.detail)

    async def _begin(self) -> None:
        """Go on from the step that the catalogue holds, once it answers."""
        while True:
            try:
                stored = (await self._installation.read()).ladder
            except StoreUnavailable:
                await self._clock.sleep(_DECIDE_S)
                continue
            if self._ladder.word == self._said:  # else somebody has set one meanwhile
                self._ladder.word = self._said = stored
                STEP.set(stored.step)
            return

    def _hear(self, _subject: str, payload: bytes) -> None:
        try:
            report = LoadReport.model_validate_json(payload)
        except ValidationError as error:
            log.warning("load_garbled", errors=error.error_count())
            return
        self._ladder.take(report, self._clock.monotonic_ns())

    def _look(self) -> None:
        """Note what a listener costs now, and so what the newest step has saved."""
        reports = self._ladder.reports(self._clock.monotonic_ns())
        connections = sum(report.connections for report in reports)
        if connections < _FEW:
            self._costs.clear()
            return
        cpu = sum(report.cpu_share for report in reports)
        sent = sum(report.sent_bytes_per_s for report in reports)
        self._costs.append(_Cost(cpu / connections, sent / connections))
        step = self._said.step
        before = self._before.get(step)
        if before is not None and len(self._costs) == _MEAN_OF:
            now = _mean(self._costs)
            self._saved[step] = (_less(before.cpu, now.cpu), _less(before.sent, now.sent))

    async def _tell(self, person: str, name: str, way: str) -> None:
        """Tell pages and the audit, and remember what listeners cost before the step."""
        was, word = self._said, self._ladder.word
        self._said = word
        if word.step > was.step:
            self._before.pop(word.step, None)
            self._saved.pop(word.step, None)
            if len(self._costs) == _MEAN_OF:
                self._before[word.step] = _mean(self._costs)
        if word.step != was.step:
            self._costs.clear()
            STEPS_TAKEN.labels(way).inc()
        STEP.set(word.step)
        log.warning("ladder", step=word.step, was=was.step, by_hand=word.by_hand, why=word.why)
        said = self.word().model_dump_json()
        for room in self._hub.rooms():
            self._hub.tell_room(room, "ladder", said)
        detail = json.dumps({"step": word.step, "by_hand": word.by_hand, "why": word.why}, ensure_ascii=False)
        await self._catalogue.write_audit(AuditEntry(self._clock.wall_ns(), None, person, name, "ladder", detail))


def _mean(costs: deque[_Cost]) -> _Cost:
    return _Cost(sum(cost.cpu for cost in costs) / len(costs), sum(cost.sent for cost in costs) / len(costs))


def _less(before: float, now: float) -> float | None:
    return round(1 - now / before, 3) if before > 0 else None


def _load(reports: list[LoadReport]) -> LoadOut:
    return LoadOut(
        edges=len(reports),
        short=sum(report.short_of() is not Cause.NOTHING for report in reports),
        connections=sum(report.connections for report in reports),
        cpu_share=max((report.cpu_share for report in reports), default=0.0),
        loop_lag_ms=round(1000 * max((report.loop_lag_s for report in reports), default=0.0), 1),
        unread=sum(report.unread for report in reports),
        sent_bytes_per_s=round(sum(report.sent_bytes_per_s for report in reports), 1),
    )
