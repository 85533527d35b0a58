"""Storm: 20,000 people come within 10 s to a room for 5,000 that lets in 500 a second, through real edges and NATS.

Two edges share the audience port, and the crowd (bench/waiters) comes over it: everybody gets a ticket, asks again when
they are told to, comes in by push, and leaves after a while, so that the line moves. Ten times a second it is counted
how many are inside: connections that the program was said on and that have not ended. How fast the leader calls people
is read off its words on the bus, while there are a line and free places for a second. The error of an estimate is that
of the middle of what somebody was told against when they really heard the program, for all that lay 5 s and more ahead.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field

from bench.report import Goal, arguments, machine, report
from bench.room import run
from bench.site import ROOM, Site, site
from stentor.bus.port import door_word_subject
from stentor.room.documents import Dials
from stentor.room.door_words import DoorWord

GOALS = [
    Goal("above_cap", "samples above the cap", "", at_most=0),
    Goal("rate_error", "error of the rate at which people are called", "", at_most=0.01),
    Goal("status_5xx", "answers of 500 and more, and broken connections", "", at_most=0),
    Goal("worse", "positions that got worse", "", at_most=0),
    Goal("estimate_error", "median error of the estimated wait", "", at_most=0.20),
]
CAP, PER_SECOND = 5_000, 500.0
ARRIVALS, OVER_S, STAY_S, LIMIT_S = 20_000, 10.0, 30.0, 180.0
_PRESSED_S = 1.0
"""While there are places for those of this time, and a line, the rate alone decides."""


@dataclass
class Words:
    """What the leader said."""

    batches: dict[int, tuple[int, int]] = field(default_factory=dict)
    most_inside: int = 0
    above: int = 0
    count: int = 0
    pressed: list[int] = field(default_factory=list)
    _full: bool = False

    def take(self, payload: bytes, cap: int) -> None:
        """Take one word."""
        word = DoorWord.model_validate_json(payload)
        self.count += 1
        self.most_inside = max(self.most_inside, word.inside)
        self.above += word.inside > cap
        room_left = cap - word.inside - word.held - word.called
        if word.waiting > 0 and room_left > (word.per_second or 0.0) * _PRESSED_S and not self._full:
            self.pressed.append(word.at_ns)
        elif self.pressed:
            self._full = True
        for batch in word.batches:
            at_ns, size = self.batches.get(batch.number, (batch.at_ns, 0))
            self.batches[batch.number] = (at_ns, max(size, batch.size))

    def per_second(self) -> float:
        """Return how many were called a second while the rate alone decided."""
        if len(self.pressed) < 2:
            return 0.0
        first, last = self.pressed[0], self.pressed[-1]
        called = sum(size for at_ns, size in self.batches.values() if first < at_ns <= last)
        return called / ((last - first) / 1e9)


async def storm(place: Site, *, arrivals: int, cap: int, per_second: float) -> tuple[dict[str, object], Words]:
    """Set the door up, let the crowd come, and return what it tells and what the leader said."""
    words = Words()
    dials = Dials(cap=cap, per_second=per_second)
    async with place.bus.subscribe(door_word_subject(ROOM), lambda _subject, payload: words.take(payload, cap)):
        place.document = place.document.model_copy(update={"door": dials})
        await place.bus.put("rooms", ROOM, place.document.to_bytes())
        async with asyncio.timeout(20):
            while words.count < 3:  # noqa: ASYNC110 - words ring no bell
                await asyncio.sleep(0.05)
        crowd = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.waiters", str(place.port), ROOM, "--arrivals", str(arrivals),
            "--over", str(OVER_S), "--cap", str(cap), "--stay", str(STAY_S), "--limit", str(LIMIT_S),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            said, _ = await crowd.communicate()
        finally:
            if crowd.returncode is None:
                crowd.kill()
                await crowd.wait()
    if not said:
        raise AssertionError("the crowd said nothing")
    return json.loads(said) | {"batches": sorted(words.batches.items())}, words


async def measure(*, quick: bool) -> tuple[dict[str, float], list[str], dict[str, object]]:
    """Return figures, notes and detail."""
    arrivals, cap, per_second = (2_000, 500, 100.0) if quick else (ARRIVALS, CAP, PER_SECOND)
    settings: dict[str, object] = {"ticket_secret": "s" * 32, "allow": "127.0.0.0/8"}
    async with site(cores=[None, None], block_steps=16, settings=settings) as place:
        before = place.cpu_ns()
        told, words = await storm(place, arrivals=arrivals, cap=cap, per_second=per_second)
        cpu_s = (place.cpu_ns() - before) / 1e9
    statuses, refused = told["statuses"], told["refused"]
    assert isinstance(statuses, dict)
    assert isinstance(refused, dict)
    entered = told.pop("entered_at_s")
    assert isinstance(entered, list)
    called = words.per_second()
    figures = {
        "above_cap": float(int(str(told["above"])) + words.above),
        "rate_error": round(abs(called / per_second - 1), 4),
        "status_5xx": float(
            sum(count for status, count in statuses.items() if status >= "500")
            + refused.get("broken", 0)
            + sum(count for code, count in refused.items() if code.startswith("5"))
        ),
        "worse": float(str(told["worse"])),
        "estimate_error": round(float(str(told["estimate_error"])), 3),
    }
    last = f"{entered[-1]:.0f}" if entered else "-"
    notes = [
        f"{len(entered):,} of {arrivals:,} got in, the last {last} s after the first came; at most "
        f"{told['most_inside']:,} at once of {cap:,} (the leader counted {words.most_inside:,})",
        f"called {called:.1f} a second of {per_second:g}; {told['asks']:,} requests for tickets, "
        f"{told['turned_away']:,} turned away and back, {told['dropped']:,} dropped",
        f"edges used {cpu_s:.0f} s of CPU, the crowd {float(str(told['cpu_s'])):.0f} s, and was late by "
        f"{float(str(told['late_s'])):.2f} s at most; {told['estimates']:,} estimates, because {told['because']}",
    ]
    return figures, notes, told


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    figures, notes, detail = await measure(quick=options.quick)
    return report("storm", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=240) else 1)
