"""How a bench reports: a table with goals for people, JSON for programs, and what the machine was."""

import argparse
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Goal:
    """One figure: its JSON key, what it is, its unit, and the limit it has to keep."""

    key: str
    what: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        """Tell whether a value keeps the limit."""
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def limit(self) -> str:
        """Return the limit as text."""
        if self.at_most is not None and self.at_least is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options every bench has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures here (for all benches: a folder)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it works, not for figures")
    return parser


def machine() -> dict[str, object]:
    """Return what the machine is and how busy it was before the bench."""
    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 10_000) * len(ordered) // 10_000) - 1))]


def rounded(value: float) -> float:
    """Return a value with four significant digits, or all of them where it has more before the point."""
    return float(f"{value:.4g}") if abs(value) < 10_000 else float(round(value))


def middle(rounds: list[float]) -> float:
    """Return the median of some rounds, rounded."""
    return rounded(median(rounds))


def shown(rounds: list[float]) -> str:
    """Return the median of some rounds with the least and the most of them, as text."""
    return f"{middle(rounds):,g} ({rounded(min(rounds)):,g} to {rounded(max(rounds)):,g})"


def report(
    name: str,
    goals: list[Goal],
    figures: dict[str, float],
    *,
    path: Path | None,
    before: dict[str, object],
    notes: list[str] | None = None,
    detail: object = None,
) -> bool:
    """Print the table, write the JSON, and return whether every goal was met."""
    console = Console()
    table = Table(title=f"bench.{name}", title_justify="left")
    for column in ("figure", "value", "goal", ""):
        table.add_column(column, justify="left" if column in {"figure", ""} else "right")
    for goal in goals:
        value = figures[goal.key]
        mark = "" if not goal.limit() else ("met" if goal.met(value) else "MISSED")
        table.add_row(f"{goal.what} [dim]{goal.key}[/]", f"{value:g} {goal.unit}", f"{goal.limit()} {goal.unit}", mark)
    console.print(table)
    for note in notes or []:
        console.print(f"  {note}", highlight=False)
    console.print("  " + " · ".join(f"{key} {value}" for key, value in before.items()), style="dim", highlight=False)
    if path:
        whole = {"bench": name, **figures, "goals": goals, "machine": before, "detail": detail}
        path.write_text(json.dumps(whole, indent=1, default=asdict))
    return all(goal.met(figures[goal.key]) for goal in goals)
