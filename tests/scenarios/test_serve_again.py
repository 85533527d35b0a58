"""A machine that dies comes back as it was; a backup made on air comes up elsewhere."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

from tests.fakes.installation import Installation, installation


async def on_air(running: Installation, *, after_epoch: int = 0) -> dict[str, object]:
    """Wait until listeners are told that the room is on air, by an origin later than ``after_epoch``."""
    end, said = time.monotonic() + 30, b""
    while time.monotonic() < end:
        said = (await running.get("/r/night/state.json")).body
        state = json.loads(said)
        if state.get("on_air") and state["epoch"] > after_epoch:
            return dict(state)
        await asyncio.sleep(0.1)
    raise AssertionError(f"not on air: {said!r}\n{running.log.read_text()[-3_000:]}")


def stentor(running: Installation, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "stentor", *arguments],
        env={**running.environment, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_room_on_air_is_on_air_again(tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    async with installation(tmp_path / "first") as running:
        operator = await running.operator()
        await operator.call("POST", "/rooms", {"room": "night", "title": "Night"})
        await operator.call("POST", "/rooms/night/open", {})
        await operator.call("POST", "/rooms/night/start", {"force": True})
        before = await on_air(running)
        file = tmp_path / "night.tar.gz"
        said = await asyncio.to_thread(stentor, running, "backup", str(file))
        assert "while Stentor was running" in said
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    async with installation(tmp_path / "first") as again:
        after = await on_air(again, after_epoch=int(str(before["epoch"])))
        assert after["started_at"] == before["started_at"]
        assert after["key_fingerprint"] == before["key_fingerprint"]
    elsewhere = {"STENTOR_DATA_DIR": str(tmp_path / "second" / "data")}
    said = await asyncio.to_thread(stentor, running, "restore", str(file), **elsewhere)
    assert "Start Stentor to go on from there." in said
    async with installation(tmp_path / "second") as restored:
        after = await on_air(restored)
        assert after["started_at"] == before["started_at"]
        assert after["key_fingerprint"] == before["key_fingerprint"]
