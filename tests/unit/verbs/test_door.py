"""``stentor door``: what was typed, what is shown, what is said of the line, over the API of a real control."""

import json

import pytest

from stentor.bus.port import door_word_subject
from stentor.demo.staff_api import ProblemError
from stentor.errors import ConfigError
from stentor.room.door_words import DoorWord
from stentor.verbs.door import dials, door, sentence
from stentor.verbs.operator import operator_api
from tests.unit.verbs.conftest import Running

FORECAST = {"waiting": 4_000, "free": 0, "last_enters_at": "2026-11-22T18:09:00Z", "last_enters_in_s": 480}


def test_dials_as_typed() -> None:
    assert dials(None, None) == {}
    assert dials("5,000", "2.5") == {"cap": 5_000, "per_second": 2.5}
    assert dials("none", "none") == {"cap": None, "per_second": None}
    with pytest.raises(ConfigError, match="--cap takes a whole number of listeners, or `none` for no limit, not 'all'"):
        dials("all", None)


def test_what_becomes_of_the_line_in_words() -> None:
    said = sentence(FORECAST)
    assert said.startswith("4,000 wait; the last of them enters at ")
    assert said.endswith(":09 (in 8 min).")
    assert sentence({**FORECAST, "last_enters_in_s": 90}).endswith("(in 90 s).")
    assert sentence({**FORECAST, "last_enters_at": None}).startswith("4,000 wait; when the last")
    assert sentence({**FORECAST, "waiting": 0}) == "Nobody waits; 0 places are free."
    assert sentence({**FORECAST, "waiting": 0, "free": None}) == "Nobody waits."


async def test_a_door_is_shown_tried_and_turned(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    api = await operator_api(running.settings)
    await api.call("POST", "/rooms", {"room": "demo", "title": "Demo"})

    async def typed(room: str | None = "demo", *, preview: bool = False, **given: str | None) -> str:
        capsys.readouterr()
        typed = dials(given.get("cap"), given.get("per_second"))
        await door(running.settings, room, typed, preview=preview, as_json="json" in given)
        return " ".join(capsys.readouterr().out.split())

    assert "There is no door: everybody comes in. Set one with --cap" in await typed()
    tried = await typed(preview=True, cap="5000", per_second="500")
    assert "nothing has been changed" in tried
    assert "There is no door" in await typed()
    assert "at once 5,000 5,000" in await typed(cap="5000")
    await typed(None, cap="100")
    word = DoorWord(room="demo", term=1, number=1, at_ns=1, leader="e", inside=90, held=4, admitted_per_s=2, cap=100)
    await running.bus.publish(door_word_subject("demo"), word.to_bytes())
    shown = await typed()
    assert "at once 5,000 100 the installation's dial holds it lower" in shown
    assert "90 inside · 4 places kept for people on their way or coming back · 0 wait · 2.0 come and 0.0 leave" in shown
    assert "demo 100 no limit 90 0" in await typed(None)
    assert json.loads(await typed(json="yes"))["in_force"]["cap_by"] == "installation"


async def test_what_is_wrong_is_a_sentence(running: Running) -> None:
    with pytest.raises(ConfigError, match="--preview needs dials to try"):
        await door(running.settings, "demo", {}, preview=True, as_json=False)
    with pytest.raises(ProblemError, match="There is no such room"):
        await door(running.settings, "nowhere", {}, preview=False, as_json=False)
    with pytest.raises(ProblemError, match="cap: Input should be greater than or equal to 0"):
        await door(running.settings, None, dials("-1", None), preview=False, as_json=False)
