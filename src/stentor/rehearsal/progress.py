"""What is shown while a rehearsal runs."""

import asyncio

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stentor.clock import NS_PER_S, Clock
from stentor.rehearsal.coordinator import Course

_EVERY_S = 0.5


async def show(course: Course, clock: Clock, console: Console) -> None:
    """Show a course until cancelled; on no terminal, a line when the phase changes."""
    if not console.is_terminal:
        await _say_phases(course, clock, console)
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_display(course, clock), refresh=True)
            await clock.sleep(_EVERY_S)


async def _say_phases(course: Course, clock: Clock, console: Console) -> None:
    told = 0
    while True:
        for phase, _ in course.phases[told:]:
            console.print(f"{phase} …")
        told = len(course.phases)
        try:
            await clock.sleep(_EVERY_S)
        except asyncio.CancelledError:
            for phase, _ in course.phases[told:]:
                console.print(f"{phase} …")
            raise


def _display(course: Course, clock: Clock) -> RenderableType:
    total = course.timeline.total()
    whole = course.plan.listeners
    since_s = clock.wall_ns() / NS_PER_S - (course.phases[-1][1] if course.phases else 0.0)
    bars = Table.grid(padding=(0, 1))
    for word, count in (
        ("came", total.sums["arrived"]),
        ("in line", total.gauges["waiting"]),
        ("inside", total.gauges["inside"]),
        ("hear it", total.gauges["playing"]),
    ):
        bars.add_row(
            word, ProgressBar(total=whole, completed=min(whole, count), width=40), f"{int(count):,} of {whole:,}"
        )
    facts = [
        f"join p99 {_ms(total.spreads['join_ms'].at(0.99))}",
        f"sound by push {_ms(total.spreads['latency_push_ms'].at(0.5))} old",
        f"stalls {int(total.sums['stalls']):,}",
        f"errors {sum(n for status, n in total.named('status.').items() if status.startswith('5')):,}",
        f"generator late by {_ms(total.spreads['late_ms'].at(0.99))}",
    ]
    lost = [Text(f"lost: {', '.join(course.lost)}", style="bold red")] if course.lost else []
    head = Text.assemble((str(course.phase), "bold"), f"  for {max(0.0, since_s):,.0f} s   ", ("Ctrl-C ends it", "dim"))
    return Group(head, bars, Text(" · ".join(facts), style="dim"), *lost)


def _ms(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f} ms"
