"""``stentor door``: how many may listen and come in, of a room or of the whole installation; shown, tried, turned."""

import json
from datetime import datetime
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from stentor.config import Settings
from stentor.errors import ConfigError
from stentor.verbs.operator import operator_api

NO_LIMIT = "none"
_HELD_BY = {"installation": "the installation's dial holds it lower", "ladder": "the ladder holds it lower"}

Json = dict[str, Any]


def dials(cap: str | None, per_second: str | None) -> Json:
    """Return what was given on the command line as the API takes it; raises ConfigError."""
    given: Json = {}
    if cap is not None:
        given["cap"] = None if cap == NO_LIMIT else _number(cap, int, "--cap", "a whole number of listeners")
    if per_second is not None:
        given["per_second"] = (
            None if per_second == NO_LIMIT else _number(per_second, float, "--per-second", "a number of people")
        )
    return given


def _number(text: str, kind: type[int] | type[float], flag: str, what: str) -> float:
    try:
        return kind(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise ConfigError(f"{flag} takes {what}, or `{NO_LIMIT}` for no limit, not {text!r}.") from None


async def door(settings: Settings, room: str | None, given: Json, *, preview: bool, as_json: bool) -> None:
    """Show a door, or what ``given`` dials would do, or turn them and show what that did."""
    if preview and not given:
        raise ConfigError("--preview needs dials to try: --cap, --per-second, or both.")
    api = await operator_api(settings)
    path = "/installation/door" if room is None else f"/rooms/{room}/door"
    if preview:
        answer = await api.call("POST", f"{path}/preview", given)
    elif given:
        answer = await api.call("PUT", path, given)
    else:
        answer = await api.call("GET", path)
    console = Console(soft_wrap=True)
    if as_json:
        console.print_json(json.dumps(answer))
        return
    name = "all rooms together" if room is None else room
    if preview:
        _print_preview(console, name, answer)
    else:
        _print_door(console, name, answer)


def _print_preview(console: Console, name: str, seen: Json) -> None:
    console.print(f"The door of {name}, if it stood so (nothing has been changed):")
    console.print(_dials_table(cast("Json", seen["dials"]), cast("Json", seen["in_force"])))
    console.print(sentence(cast("Json", seen["forecast"])))


def _print_door(console: Console, name: str, shown: Json) -> None:
    console.print(f"The door of {name}:")
    console.print(_dials_table(shown, cast("Json", shown.get("in_force", shown))))
    if not shown["guarded"]:
        console.print("There is no door: everybody comes in. Set one with --cap, --per-second, or both.")
    facts = [f"{shown['inside']:,} inside"]
    if shown["held"]:
        places = "1 place" if shown["held"] == 1 else f"{shown['held']:,} places"
        facts.append(f"{places} kept for people on their way or coming back")
    facts.append(_wait(shown["waiting"]))
    facts.append(f"{shown['admitted_per_s']:,.1f} come and {shown['leaving_per_s']:,.1f} leave a second")
    if shown["overflow"]:
        facts.append(f"{shown['overflow']:,} more listen through caches, outside the cap")
    console.print(" · ".join(facts))
    if shown["waiting"]:
        console.print(sentence(cast("Json", shown["forecast"])))
    if rooms := shown.get("rooms"):
        console.print(_rooms_table(rooms))


def sentence(forecast: Json) -> str:
    """Return what becomes of the line, in words."""
    waiting, free = forecast["waiting"], forecast["free"]
    if not waiting:
        return "Nobody waits." if free is None else f"Nobody waits; {free:,} places are free."
    if forecast["last_enters_at"] is None:
        return f"{_wait(waiting)}; when the last of them enters nobody can tell: it takes people to leave."
    at = datetime.fromisoformat(forecast["last_enters_at"]).astimezone()
    seconds = forecast["last_enters_in_s"]
    away = f"{seconds} s" if seconds < 120 else f"{round(seconds / 60):,} min"
    return f"{_wait(waiting)}; the last of them enters at {at:%H:%M} (in {away})."


def _wait(count: int) -> str:
    return "1 waits" if count == 1 else f"{count:,} wait"


def _dials_table(own: Json, force: Json) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "set", "in force", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for name, dial, by in (("at once", "cap", "cap_by"), ("a second", "per_second", "per_second_by")):
        table.add_row(name, _shown(own[dial]), _shown(force[dial]), _HELD_BY.get(str(force.get(by)), ""))
    return table


def _rooms_table(rooms: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("room", "cap in force", "a second", "inside", "waiting"):
        table.add_column(heading, justify="left" if heading == "room" else "right")
    for room in rooms:
        dialled = (_shown(room["cap"]), _shown(room["per_second"]))
        table.add_row(str(room["room"]), *dialled, f"{room['inside']:,}", f"{room['waiting']:,}")
    return table


def _shown(dial: float | None) -> str:
    return "no limit" if dial is None else f"{dial:,.10g}" if isinstance(dial, float) else f"{dial:,}"
