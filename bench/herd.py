"""Herd: 20,000 in line ask for five minutes, and 10,000 who listen are cut at once, through real edges and NATS.

The crowd is a rehearsal's (stentor/rehearsal): worker processes with a permit, through two edges that share the
audience port. In line: the door lets one in, and the others ask again when they are told to; requests for tickets are
counted each second from 30 s after the last one came, and the figure is the largest distance of any second from the
mean.

Back: all listen by push, every connection is broken by the crowd in one go, and each listener comes back as our
player does: after a random time below the `retry_spread_s` that its edge told it, with its ticket and its last step. A
listener is back with the first block of sound. The capacity is what edges are made for, so many returns a second and
edge (edge/balance); `over_capacity` counts the seconds in which more came back than all edges are made for.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.report import Goal, arguments, machine, report, rounded
from bench.room import run
from bench.site import ROOM, Site, site
from stentor.clock import SystemClock
from stentor.edge.balance import RETURNS_PER_S
from stentor.rehearsal.coordinator import Coordinator, Course, Crew, Phase
from stentor.rehearsal.crews import Processes
from stentor.rehearsal.permission import require_permission
from stentor.rehearsal.plan import Plan
from stentor.room.documents import Dials
from stentor.room.installation import KEY, InstallationDocument
from stentor.room.keys import raw_public
from stentor.room.permits import Permit, sign_permit
from stentor.supervisor.spawn import spawn, stentor_command

GOALS = [
    Goal("rps_spread", "20,000 in line: requests of any second, off the mean", "", at_most=0.2),
    Goal("back_s", "10,000 cut at once: until 99 % play again", "s", at_most=15),
    Goal("over_capacity", "seconds with more returns than edges are made for", "", at_most=0),
]
EDGES = 2
BLOCK_STEPS = 4
_SETTLE_S = 30
_WORKERS = 2
_FIRST_S = 20.0


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    waiters: int
    listeners: int
    wait_s: float
    hold_s: float


FULL, QUICK = Size(20_000, 10_000, 300.0, 20.0), Size(1_000, 500, 45.0, 8.0)


async def permitted(place: Site, listeners: int, per_second: float) -> str:
    """Have the edges accept a permit, and return its token."""
    key = Ed25519PrivateKey.generate()
    now_s = SystemClock().wall_ns() // 1_000_000_000
    permit = Permit(
        id="bench-herd-permit", room=ROOM, listeners=listeners, per_second=per_second, begins_s=now_s - 60,
        expires_s=now_s + 3_600, networks=("127.0.0.0/8",),
    )  # fmt: skip
    document = InstallationDocument(grants_key=raw_public(key.public_key()).hex(), permits=(permit,))
    await place.bus.put("installation", KEY, document.to_bytes())
    return sign_permit(permit, key)


@asynccontextmanager
async def workers(coordinator: Coordinator) -> AsyncIterator[Processes]:
    """Run the worker processes of a rehearsal."""

    async def start(name: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        command = stentor_command("rehearse-worker", "--pipes", "--name", name)
        return await spawn(command, {"STENTOR_LOG_LEVEL": "error"}, stdin=pipe, stdout=pipe)

    crew = Processes(coordinator.take)
    async with crew.running([f"worker-{number + 1}" for number in range(_WORKERS)], start):
        yield crew


async def rehearsed(plan: Plan, *, cap: int | None = None) -> Course:
    """Let a crowd of the generator's come; ``cap``: how many get in."""
    await asyncio.sleep(2.0)  # edges hear of permit and door
    await asyncio.to_thread(require_permission, plan)
    crews: list[Crew] = []
    coordinator = Coordinator(plan, SystemClock(), crews, expected=_WORKERS)
    async with workers(coordinator) as crew:
        crews.append(crew)
        course = await coordinator.run(cap=cap)
    assert not course.lost, f"workers were lost: {course.lost}"
    return course


def planned(place: Site, permit: str, listeners: int, per_second: float, hold_s: float, *, back: bool) -> Plan:
    """Return a plan for the bench's room; the crowd comes from many addresses of the loopback."""
    return Plan(
        id="herd", url=f"http://127.0.0.1:{place.port}", room=ROOM, listeners=listeners, per_second=per_second,
        hold_s=hold_s, push_share=1.0, reconnect=back, browses=False, permit=permit,
        sources=tuple(f"127.9.{net}.{host}" for net in range(1, 5) for host in range(1, 26)),
    )  # fmt: skip


async def set_door(place: Site, dials: Dials) -> None:
    """Turn the room's dials."""
    place.document = place.document.model_copy(update={"door": dials})
    await place.bus.put("rooms", ROOM, place.document.to_bytes())


async def in_line(size: Size) -> tuple[list[float], Course, float]:
    """Return requests a second of those in line, once they have settled."""
    async with site(cores=[None] * EDGES, block_steps=16, settings={"ticket_secret": "s" * 32}) as place:
        await set_door(place, Dials(cap=1, per_second=1.0))
        permit = await permitted(place, size.waiters, size.waiters / 5)
        used = place.cpu_ns()
        plan = planned(place, permit, size.waiters, size.waiters / 10, size.wait_s + _SETTLE_S, back=False)
        course = await rehearsed(plan, cap=1)
        used = place.cpu_ns() - used
    arrived, asks = course.timeline.series("arrived"), course.timeline.series("asks")
    last = max(at for at, count in enumerate(arrived) if count)
    window = asks[last + _SETTLE_S :][: int(size.wait_s)]
    assert len(window) >= size.wait_s - 5, f"only {len(window)} s of {size.wait_s:g} were counted"
    return window, course, used / 1e9


async def cut_at_once(size: Size) -> tuple[Course, list[float]]:
    """Return the course of those who were cut, and how many came back in each second."""
    async with site(cores=[None] * EDGES, block_steps=BLOCK_STEPS, settings={"ticket_secret": "s" * 32}) as place:
        await set_door(place, Dials(cap=size.listeners))
        permit = await permitted(place, size.listeners, size.listeners / 5)
        plan = planned(place, permit, size.listeners, size.listeners / _FIRST_S, size.hold_s, back=True)
        course = await rehearsed(plan, cap=size.listeners)
    return course, course.timeline.series("came_back")


async def measure(size: Size) -> tuple[dict[str, float], list[str], dict[str, object]]:
    """Return figures, notes and detail."""
    asks, waited, edges_s = await in_line(size)
    mean = sum(asks) / len(asks)
    spread = max(abs(each / mean - 1) for each in asks)
    course, back = await cut_at_once(size)
    total = course.timeline.total()
    cut, came = total.sums["cut"], total.sums["came_back"]
    assert cut >= 0.99 * size.listeners, f"only {cut:,} of {size.listeners:,} were listening: {dict(total.sums)}"
    enough = came >= 0.99 * cut
    back_s = (total.spreads["back_ms"].at(min(1.0, 0.99 * cut / came)) or 0.0) / 1_000 if enough else 1e6
    capacity = RETURNS_PER_S * EDGES
    figures = {
        "rps_spread": rounded(spread),
        "back_s": rounded(back_s),
        "over_capacity": float(sum(each > capacity for each in back)),
    }
    line, play = waited.timeline.total(), total
    seconds = [sum(asks[at : at + 5]) / 5 for at in range(0, len(asks) - 4, 5)]
    notes = [
        f"{size.waiters:,} in line: {mean:,.0f} requests a second, {min(asks):,.0f} to {max(asks):,.0f}; means of 5 s "
        f"{min(seconds):,.0f} to {max(seconds):,.0f}; {len(asks)} s counted; edges used {edges_s:,.0f} s of CPU",
        f"answered in {line.spreads['ticket_ms'].at(0.99) or 0:,.0f} ms (99 %); positions that got worse "
        f"{line.sums['worse']:,.0f}; statuses {line.named('status.')}, failed {line.named('failed.')}",
        f"{cut:,.0f} cut, {came:,.0f} back; most in a second {max(back):,.0f} of {capacity:,}; half within "
        f"{(play.spreads['back_ms'].at(0.5) or 0) / 1_000:.1f} s; stalls before {play.sums['stalls']:,.0f}; blocks of "
        f"{BLOCK_STEPS} steps; closed {play.named('close.')}, failed {play.named('failed.')}",
        f"the generator was late by {line.spreads['late_ms'].at(0.99) or 0:,.0f} ms in line and "
        f"{play.spreads['late_ms'].at(0.99) or 0:,.0f} ms in the return (99 %), and used "
        f"{max(map(max, course.timeline.cpu.values())):.0%} of a core at most in each of {_WORKERS} processes",
    ]
    detail = {"asks": asks, "back": back, "phases": [(str(phase), at) for phase, at in course.phases]}
    assert course.begun(Phase.RETURN) is not None
    return figures, notes, detail


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    figures, notes, detail = await measure(QUICK if options.quick else FULL)
    return report("herd", GOALS, figures, path=options.json, before=before, notes=notes, detail=detail)


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=700) else 1)
