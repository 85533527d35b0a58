"""``stentor ladder``: the steps as a table, the one in force marked, set and released."""

import json

import pytest

from stentor.bus.port import load_subject
from stentor.errors import ConfigError
from stentor.room.ladder import LoadReport
from stentor.verbs.ladder import ladder, sentence
from tests.unit.verbs.conftest import Running

SHOWN = {"step": 3, "name": "lower bitrate", "since": "2026-11-22T18:09:00Z", "why": "All is slow.", "by_hand": False}


def test_what_is_in_force_in_words() -> None:
    said = sentence(SHOWN)
    assert said.startswith("Step 3, lower bitrate, is in force since ")
    assert said.endswith(":09:00. All is slow. The load decides: up within seconds, down after a calm minute.")
    assert sentence({**SHOWN, "step": 0, "why": "", "by_hand": True}) == (
        "Nothing is given up. It stays until somebody says else: --auto leaves it to the load."
    )


async def test_it_is_shown_set_and_released(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    async def typed(step: int | None = None, *, auto: bool = False, as_json: bool = False) -> str:
        capsys.readouterr()
        await ladder(running.settings, step, auto=auto, as_json=as_json)
        return " ".join(capsys.readouterr().out.split())

    shown = await typed()
    assert "○ 5 nobody new" in shown
    assert shown.index("5 nobody new") < shown.index("1 larger blocks")  # the first step is at the bottom
    assert shown.endswith("No edge has said how it is.")
    report = LoadReport(edge="edge-1", cpu_share=0.31, loop_lag_s=0.002, connections=1_200)
    await running.bus.publish(load_subject("edge-1"), report.to_bytes())
    set_by_hand = await typed(2)
    assert "○ 3 lower bitrate" in set_by_hand
    assert "● 2 slower reactions" in set_by_hand
    assert "● 1 larger blocks" in set_by_hand
    assert "Step 2, slower reactions, is in force since " in set_by_hand
    assert "Set by hand by" in set_by_hand
    assert "edges: 1, short of time or line: 0 · connections: 1,200 · the busiest uses 31 % of" in set_by_hand
    assert json.loads(await typed(as_json=True))["by_hand"] is True
    assert "The load decides" in await typed(auto=True)
    assert "Nothing is given up" in await typed(0)


async def test_one_of_the_two(running: Running) -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        await ladder(running.settings, 1, auto=True, as_json=False)
