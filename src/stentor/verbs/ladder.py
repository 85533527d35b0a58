"""``stentor ladder``: what the installation gives up under load; shown, and set by hand."""

import json
from datetime import datetime
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from stentor.config import Settings
from stentor.errors import ConfigError
from stentor.verbs.operator import operator_api

_PATH = "/installation/ladder"

Json = dict[str, Any]


async def ladder(settings: Settings, step: int | None, *, auto: bool, as_json: bool) -> None:
    """Show the ladder, or set a step, or leave it to the load, and show what holds then."""
    if auto and step is not None:
        raise ConfigError("--step sets a step by hand and --auto leaves it to the load: give one of them.")
    api = await operator_api(settings)
    if auto or step is not None:
        answer = await api.call("PUT", _PATH, {"step": step})
    else:
        answer = await api.call("GET", _PATH)
    console = Console(soft_wrap=True)
    if as_json:
        console.print_json(json.dumps(answer))
        return
    console.print(_steps(answer))
    console.print(sentence(answer))
    console.print(_load(cast("Json", answer["load"])))


def sentence(shown: Json) -> str:
    """Return which step is in force, since when, why, and who decides, in words."""
    held = "Nothing is given up." if shown["step"] == 0 else f"Step {shown['step']}, {shown['name']}, is in force"
    if shown["step"] and shown["since"]:
        held += f" since {datetime.fromisoformat(shown['since']).astimezone():%H:%M:%S}."
    decides = (
        "It stays until somebody says else: --auto leaves it to the load."
        if shown["by_hand"]
        else "The load decides: up within seconds, down after a calm minute."
    )
    return " ".join(part for part in (held, shown["why"], decides) if part)


def _steps(shown: Json) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "step", "", "what it does", "CPU saved", "bytes saved"):
        table.add_column(heading, justify="right" if heading.endswith("saved") else "left")
    for step in reversed(cast("list[Json]", shown["steps"])):
        mark = "●" if step["in_force"] else "○"
        saved = (_share(step["cpu_saved"]), _share(step["bytes_saved"]))
        table.add_row(mark, str(step["step"]), str(step["name"]), str(step["text"]), *saved)
    return table


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _load(load: Json) -> str:
    if not load["edges"]:
        return "No edge has said how it is."
    return (
        f"edges: {load['edges']}, short of time or line: {load['short']} · connections: {load['connections']:,} · "
        f"the busiest uses {100 * load['cpu_share']:.0f} % of a core, the latest is {load['loop_lag_ms']:.0f} ms late"
    )
