"""A million people at the door, in virtual time: is the line fair, while edges and leaders die?

A fifth comes before the doors open, the others in the minute after. Twenty edges, each with a clock of its own, and a
bus that loses one message in fifty. Two leaders die, three edges die and begin anew, one is cut off for a while. Who
was at an edge that died asks the next one with the ticket they have. Told apart by their first ticket: somebody who was
called earlier than another who had come two slots before is an inversion, and so is anybody who was called before one
who stood there before the doors opened. Chi-square: whether deciles of coming early say anything about the order in
which the early are let in.
"""

import random
import sys
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2_contingency  # type: ignore[import-untyped]  # scipy says no types

from bench.report import Goal, arguments, machine, report
from stentor.room.documents import Dials
from stentor.room.door import EARLY, EARLY_GROUPS, NS_PER_S, Place, Ticket, permutation
from tests.fakes.door_world import Weather, World

GOALS = [
    Goal("inversions", "called before somebody two slots ahead", "people", at_most=0),
    Goal("p", "chi-square of the shuffle", "", at_least=0.01),
    Goal("lost", "never told to come in", "people", at_most=0),
    Goal("worse", "positions that got worse", "", at_most=0),
    Goal("rate_error", "rate of calling against the dial", "", at_most=0.01),
    Goal("asked_per_s", "questions answered a second of CPU, with all the rest of it", ""),
]
EDGES = 20
EARLY_S = 20
LATE_S = 60
_STEP_S = 0.1


@dataclass(slots=True)
class Person:
    """One in the crowd: the place they first had, the one they have, and what they were told."""

    number: int
    edge: str
    first: Place | None = None
    ticket: Ticket | None = None
    position: int = 1 << 40
    is_told: bool = False


class Crowd:
    """All who come; who is to ask in which tenth of a second."""

    def __init__(self, many: int, world: World) -> None:
        self.world = world
        self.people: list[Person] = []
        self.asked = self.worse = 0
        self._names = list(world.edges)
        self._due: dict[int, list[Person]] = {}
        rng = world.rng
        early = many // 5
        at = sorted(rng.uniform(0.5, EARLY_S) for _ in range(early))
        at += sorted(rng.uniform(EARLY_S, EARLY_S + LATE_S) for _ in range(many - early))
        for number, seconds in enumerate(at):
            person = Person(number, rng.choice(self._names))
            self.people.append(person)
            self._due.setdefault(int(seconds / _STEP_S), []).append(person)

    def step(self, index: int) -> None:
        """Let all ask whose time it is."""
        world = self.world
        for person in self._due.pop(index, ()):
            door = world.edges.get(person.edge)
            if door is None:
                person.edge = world.rng.choice(list(world.edges))
                door = world.edges[person.edge]
            now_ns = world.clock(person.edge)
            answer = door.ask(person.ticket, now_ns)
            self.asked += 1
            if answer.make:
                person.ticket = Ticket(answer.place, answer.holder, now_ns // NS_PER_S, answer.admitted)
                person.first = person.first or answer.place
            if answer.admitted:
                person.is_told = True
                continue
            if answer.position is not None:
                self.worse += answer.position > person.position
                person.position = answer.position
            self._due.setdefault(index + max(1, round(answer.retry_after_s / _STEP_S)), []).append(person)


def inversions(people: list[Person], world: World) -> int:
    """Return how many were called after somebody who came two slots later, or before all who came early."""
    ranks = permutation(world.words[-1].salt)
    marks = [tuple(word.watermark) for word in world.words]
    called: dict[int, list[int]] = {}
    for person in people:
        if person.ticket is None or person.first is None:
            continue
        slot, group = person.ticket.place
        called.setdefault(person.first.slot, []).append(
            bisect_right(marks, (slot, ranks[group] if slot == EARLY else group))
        )
    slots = sorted(called)
    soonest = [min(called[slot]) for slot in slots]
    found = 0
    for index, slot in enumerate(slots):
        behind = min(soonest[index + (1 if slot == EARLY else 2) :], default=len(marks))
        found += sum(word > behind for word in called[slot])
    return found


def shuffle(people: list[Person], world: World) -> float:
    """Return the chance of such a table, or a stranger one, if coming earlier is worth nothing."""
    ranks = permutation(world.words[-1].salt)
    early = [person for person in people if person.first is not None and person.first.slot == EARLY]
    place = np.array([ranks[person.first.group] for person in early if person.first is not None])
    came = np.arange(len(early)) * 10 // len(early)
    let_in = place * 10 // EARLY_GROUPS
    table = np.zeros((10, 10))
    np.add.at(table, (came, let_in), 1)
    return float(chi2_contingency(table).pvalue)


def troubles(world: World, rng: random.Random) -> list[tuple[float, Callable[[], object]]]:
    """Return what happens and when, in seconds."""

    def die(edge: str) -> None:
        world.kill(edge)
        world.after(8, lambda: world.start(edge))

    def leader_dies() -> None:
        die(world.leader_at)

    def cut_off(edge: str) -> None:
        world.deaf.add(edge)
        world.after(6, lambda: world.deaf.discard(edge))

    edges = rng.sample(sorted(world.edges), 4)
    return [
        (12.0, lambda: die(edges[0])),
        (26.3, leader_dies),
        (40.1, lambda: die(edges[1])),
        (47.7, lambda: cut_off(edges[2])),
        (61.9, leader_dies),
        (70.2, lambda: die(edges[3])),
    ]


def rate_error(world: World, per_second: float) -> float:
    """Return how far the rate was off while a long line stood and one leader led, in its longest stretch."""
    stretch = [word for word in world.words if word.term == world.term and word.waiting > 2 * per_second]
    first, last = stretch[10], stretch[-1]
    seconds = (last.at_ns - first.at_ns) / NS_PER_S
    return abs((last.admitted + last.called - first.admitted - first.called) / seconds / per_second - 1)


def main() -> int:
    """Run the bench."""
    options = arguments(__doc__ or "").parse_args()
    before = machine()
    many = 50_000 if options.quick else 1_000_000
    per_second = many / 100
    world = World(
        EDGES, seed=5, weather=Weather(lost=0.02, delay_s=(0.001, 0.05)), dials=Dials(per_second=per_second),
        is_open=False,
    )  # fmt: skip
    crowd = Crowd(many, world)
    world.after(EARLY_S, lambda: setattr(world, "is_open", True))
    for seconds, happens in troubles(world, random.Random(5)):
        world.after(seconds, happens)
    began = time.process_time()
    for index in range(int((EARLY_S + 100 + 60) / _STEP_S)):
        crowd.step(index)
        world.run(_STEP_S)
    spent_s = time.process_time() - began
    figures = {
        "inversions": inversions(crowd.people, world),
        "p": round(shuffle(crowd.people, world), 4),
        "lost": sum(not person.is_told for person in crowd.people),
        "worse": crowd.worse,
        "rate_error": round(rate_error(world, per_second), 5),
        "asked_per_s": round(crowd.asked / spent_s),
    }
    notes = [
        f"{many:,} people, {crowd.asked:,} questions, {len(world.words)} words of {world.term} leaders, {EDGES} edges",
        f"{spent_s:.0f} s of CPU for {EARLY_S + 160} s of night",
    ]
    return 0 if report("fair", GOALS, figures, path=options.json, before=before, notes=notes) else 1


if __name__ == "__main__":
    sys.exit(main())
