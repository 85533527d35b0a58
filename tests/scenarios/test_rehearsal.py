"""A rehearsal as an operator runs it: over TLS, through a guarded door, with a verdict; and who is not let in."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stentor.errors import Forbidden
from stentor.rehearsal.permission import require_permission
from stentor.rehearsal.plan import Plan
from tests.fakes.certificates import write_certificate
from tests.fakes.installation import Installation, installation

CAP = 150
LISTENERS = 200


async def rehearse(running: Installation, folder: Path, *more: str) -> tuple[int, str, dict[str, Any]]:
    """Run the command and return its exit code, what it said, and the verdict."""
    command = [sys.executable, "-m", "stentor", "rehearse", "demo", "--listeners", str(LISTENERS), "--yes"]
    command += ["--per-second", "100", "--hold", "2", "--processes", "2", "--report", str(folder), *more]
    environment = {**os.environ, **running.environment}
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
    verdicts = await asyncio.to_thread(lambda: list(folder.glob("*.json")))
    assert len(verdicts) == 1, done.stderr + done.stdout + running.log.read_text()[-4_000:]
    return done.returncode, done.stdout, json.loads(verdicts[0].read_text())


async def test_a_crowd_comes_through_a_guarded_door_and_is_no_audience(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    async with installation(tmp_path, tls=(tmp_path / "cert.pem", tmp_path / "key.pem"), edges=2) as running:
        api = await running.operator()
        await api.call("POST", "/rooms", {"title": "Demo", "room": "demo"})
        await api.call("PUT", "/rooms/demo/door", {"cap": CAP})
        await api.call("POST", "/rooms/demo/open")
        stranger = Plan(id="x", url=running.audience_url, room="demo", listeners=1, per_second=1)
        with pytest.raises(Forbidden):
            await asyncio.to_thread(require_permission, stranger.model_copy(update={"authority": _pem(tmp_path)}))
        _code, said, verdict = await rehearse(running, tmp_path / "report")
        counts, figures = verdict["counts"], {each["key"]: each for each in verdict["findings"]}
        assert counts["arrived"] == LISTENERS, said
        # A place kept for somebody on their way may stay empty for a while, but never does one too many come in.
        assert 0.9 * CAP <= counts["played"] <= CAP, said
        assert counts["came_back"] == counts["cut"] >= 0.9 * CAP, said
        assert 0.9 * CAP <= figures["inside_most"]["value"] <= CAP
        assert figures["inside_most"]["met"]
        assert figures["worse"]["value"] == figures["status_5xx"]["value"] == 0
        assert verdict["workers"] == 2
        assert verdict["configuration"]["dials"]["cap"] == CAP
        audience = await api.call("GET", "/rooms/demo/audience")
        assert (audience["listeners"], audience["joins"]) == (0, 0)
        assert (await api.call("GET", "/rooms/demo/permits"))["permits"] == []
        last = (await api.call("GET", "/rooms/demo/rehearsals"))["last"]
        assert last["verdict"]["outcome"] == verdict["outcome"]
        assert last["void"] is False
        await api.call("PUT", "/rooms/demo/door", {"cap": CAP + 1})
        assert (await api.call("GET", "/rooms/demo/rehearsals"))["last"]["changed"] == ["room"]
        assert "<svg" in next((tmp_path / "report").glob("*.html")).read_text()


def _pem(folder: Path) -> str:
    return (folder / "cert.pem").read_text()
