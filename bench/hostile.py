"""A speaker with a valid link who sends what no speaker should, while another one's numbered frames are listened to.

At the room: a million random and mutated packets, 5,000 a second, most of them protected as they ought to be. In
process: as many packets through RTP, jitter buffer and decoder, and as many mutated offers through the parser; over
the port of a running control: 20,000 offers with a valid link. A crash is a process that died, a session or connection
of somebody else that ended, or an error that was none of those that the code names.

For the first half the hostile speaker is on air, and the listener's frames are counted. Then a host mutes them, as any
host would: noise in the program would hide what else is wrong with it. From then on the numbered frames are read.
"""

import asyncio
import sys

from bench.guard import attack, closed, ending, glitches, on_stage, said, samples
from bench.microphones import microphones
from bench.report import Goal, arguments, machine, report
from bench.room import ROOM, BenchRoom, bench_room, run, silence
from tests.fakes.installation import descendants
from tests.fakes.listener import push_listener

RATE = 5_000
OTHERS = 3
OFFERING = 40
GOALS = [
    Goal("glitches", "missing or repeated 20 ms frames of the others", "", at_most=0),
    Goal("crashes", "crashes, wrong errors, others thrown out", "", at_most=0),
    Goal("status_5xx", "answers of 500 and above", "", at_most=0),
]
_SECONDS_A_MILLION = 1_500.0
_FADED_S = 3.0


def tally(found: dict[str, object] | None, what: str) -> tuple[int, str]:
    """Return the crashes of one attack in process, and a note."""
    if found is None:
        return 1, f"{what}: the process died"
    faults = found["faults"]
    assert isinstance(faults, dict)
    return sum(faults.values()), f"{what}: {found}"


async def in_process(count: int) -> tuple[int, list[str]]:
    """Return the crashes of receive path and parser, and notes."""
    crashes, notes = 0, []
    for kind in ("payloads", "offers"):
        async with asyncio.TaskGroup() as group:  # on two cores
            halves = [group.create_task(one_half(kind, {"count": count // 2, "seed": seed}, count)) for seed in (1, 2)]
        for half in halves:
            found, note = tally(half.result(), kind)
            crashes += found
            notes.append(note)
    return crashes, notes


async def one_half(kind: str, told: dict[str, object], count: int) -> dict[str, object] | None:
    """Run one attack in process to its end."""
    async with ending(await attack(kind, told)) as process:
        return await said(process, 60 + _SECONDS_A_MILLION * count / 1e6)


async def over_the_ports(packets: int, offers: int) -> tuple[dict[str, int], list[str]]:
    """Return glitches, crashes and answers of 5xx of a running Stentor, and notes."""
    seconds = packets / RATE
    async with bench_room() as room:
        whip = f"{room.site.staff_url}/r/{ROOM}/whip"
        numbers = await room.link("Numbers")
        for number in range(OTHERS - 1):
            await room.seat(f"Other {number}", silence)
        await room.go_on_air()
        await room.api.call("PATCH", f"/rooms/{ROOM}", {"seats": 50})
        before = processes(room)
        hostile = await room.link("Hostile")
        links = [await room.link(f"Offers {number}") for number in range(OFFERING)]
        speaking = {"whip": whip, "token": hostile, "count": packets, "rate": RATE}
        posting = {"whip": whip, "tokens": " ".join(links), "count": offers, "seed": 6}
        async with (
            microphones([(whip, numbers)], seconds / 2) as stage,
            push_listener(room.site.audience_url, ROOM) as listener,
        ):
            people = await on_stage(room)
            async with (
                ending(await attack("speak", speaking)) as speaker,
                ending(await attack("post", posting)) as poster,
            ):
                assert speaker.stdout is not None
                assert await speaker.stdout.readline() == b"connected\n", "the hostile speaker does not connect"
                await asyncio.sleep(seconds / 2)
                for person in await on_stage(room) - people:
                    await room.api.call("POST", f"/rooms/{ROOM}/people/{person}/mute", {"muted": True})
                await asyncio.sleep(_FADED_S)
                from_here = samples(listener.blocks)
                stage.say()
                spoken = await said(speaker, 120 + 3 * seconds)
                posted = await said(poster, 120 + 3 * seconds)
            await stage.over(120)
            await asyncio.sleep(3.0)
            there, lost, after = people & await on_stage(room), closed(room, people), processes(room)
        wrong = await asyncio.to_thread(glitches, listener.blocks, stage.material, from_here)
    assert spoken is not None, "the hostile speaker died"
    assert posted is not None, "who posted offers died"
    statuses = posted["statuses"]
    assert isinstance(statuses, dict)
    thrown_out = len(people - there | lost.keys())
    figures = {
        "glitches": wrong,
        "crashes": thrown_out + len(before - after),
        "status_5xx": sum(count for status, count in statuses.items() if int(status) >= 500),
    }
    notes = [
        f"hostile speaker: {spoken}",
        f"offers over the port, by status: {statuses}",
        f"others thrown out: {thrown_out} {lost or ''}; processes that died: {sorted(before - after) or 'none'}",
    ]
    return figures, notes


def processes(room: BenchRoom) -> set[tuple[int, str]]:
    """Return the processes of the running Stentor."""
    return set(descendants(room.site.process.pid))


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    before = machine()
    million, offers = (20_000, 400) if options.quick else (1_000_000, 20_000)
    figures, notes = await over_the_ports(million, offers)
    crashes, more = await in_process(million)
    figures["crashes"] += crashes
    return report("hostile", GOALS, dict(figures), path=options.json, before=before, notes=[*notes, *more])


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=3_600) else 1)
