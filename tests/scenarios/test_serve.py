"""``stentor serve`` with everything real: up, down, crashes, the bus away, and no orphan whatever happens."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from stentor.demo.staff_api import StaffApi, token_of
from tests.fakes.installation import Installation, descendants, free_ports, installation

ACTIVATE = shutil.which("systemd-socket-activate")


def pids(running: Installation, *words: str) -> list[int]:
    """Return the processes below an installation whose command line ends in one of the words."""
    return [pid for pid, command in descendants(running.process.pid) if command.split()[-1].endswith(words)]


def dead(pid: int) -> bool:
    """Tell whether a process is gone; where nobody reaps, a zombie is."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


async def until(reached, why: str, deadline_s: float = 20.0) -> None:
    end = time.monotonic() + deadline_s
    while not await reached() if asyncio.iscoroutinefunction(reached) else not reached():
        assert time.monotonic() < end, why
        await asyncio.sleep(0.05)


def events(running: Installation, name: str) -> list[dict[str, object]]:
    lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event["event"] == name]


async def test_up_served_and_down_within_five_seconds(tmp_path):
    async with installation(tmp_path) as running:
        await until(lambda: f"{running.staff_url}/#t=" in running.log.read_text(), "it greets with the operator's link")
        text = running.log.read_text()
        assert "Stentor is ready" in text
        operator = StaffApi(running.staff_url)
        await operator.enter(token_of(next(word for word in text.split() if "/#t=" in word)))
        made = await operator.call("POST", "/rooms", {"room": "night", "title": "Night", "planned_start": None})
        assert made["room"] == "night"
        assert (await running.get("/rooms.json")).status == 200
        metrics = (await running.get("/metrics", base=running.private_url)).body.decode()
        for process in ("supervisor", "control", "archive", "origin", "edge-1", "edge-2"):
            assert f'python_info{{process="{process}",' in metrics
        secrets = [line.split('"')[1] for line in _passwords(running)]
        below = descendants(running.process.pid)
        assert len(below) >= 6
        for pid, command in below:
            assert not any(secret in command for secret in secrets), "a secret stands in an argument"
            assert os.getsid(pid) == pid, "Ctrl-C would reach a child"
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5
        assert all(dead(pid) for pid, _ in below)
    async with installation(tmp_path) as again:
        await until(lambda: again.log.read_text().count("Stentor is ready") == 2, "it greets again")
        assert "/#t=" not in again.log.read_text().split("Stentor is ready")[-1], "the link is shown once"
        operator = await again.operator()
        rooms = await operator.call("GET", "/rooms")
        assert "night" in json.dumps(rooms)


def _passwords(running: Installation) -> list[str]:
    config = json.loads((running.data_dir / "run" / "nats.conf").read_text())
    return [f'"{user["password"]}"' for user in config["authorization"]["users"]]


async def test_no_orphan_when_the_parent_is_killed(tmp_path):
    async with installation(tmp_path) as running:
        below = [pid for pid, _ in descendants(running.process.pid)]
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        await until(lambda: all(dead(pid) for pid in below), f"orphans: {[p for p in below if not dead(p)]}")


@pytest.mark.parametrize("role", ["control", "archive", "origin", "edge"])
async def test_a_crashed_process_comes_back(tmp_path, role):
    async with installation(tmp_path) as running:
        killed = pids(running, role)[0]
        os.kill(killed, signal.SIGKILL)
        await running.until_ready(ready=False)
        await running.until_ready()
        (said,) = events(running, "process_died")
        assert str(said["child"]).startswith(role)
        assert said["ended_with"] == "SIGKILL"
        assert killed not in pids(running, role)
        assert pids(running, role)


async def test_the_bus_away_and_back(tmp_path):
    async with installation(tmp_path) as running:
        others = pids(running, "control", "archive", "origin", "edge")
        port = _bus_port(running)
        (bus,) = pids(running, "nats.conf")
        os.kill(bus, signal.SIGKILL)
        await running.until_ready(ready=False)
        await running.until_ready()
        assert _bus_port(running) == port
        assert pids(running, "control", "archive", "origin", "edge") == others, "nobody had to be restarted"
        os.kill(pids(running, "nats.conf")[0], signal.SIGSTOP)
        await until(lambda: events(running, "not_ready"), "a frozen bus is noticed")

        async def said() -> bool:
            answer = await running.get("/readyz", base=running.private_url)
            return answer.status == 503 and b"the bus does not answer" in answer.body

        await until(said, "readiness names the bus")
        os.kill(pids(running, "nats.conf")[0], signal.SIGCONT)
        await running.until_ready()


def _bus_port(running: Installation) -> str:
    (file,) = (running.data_dir / "run").glob("nats-server_*.ports")
    return str(json.loads(file.read_text())["nats"][0]).rpartition(":")[2]


@pytest.mark.skipif(ACTIVATE is None, reason="there is no systemd here")
async def test_systemd_holds_the_audience_port_and_whoever_comes_first_waits(tmp_path):
    """systemd listens, starts us at the first arrival, and gives us its socket with that arrival in the queue."""
    audience, staff, private = free_ports(3)
    settings = {"data_dir": tmp_path / "data", "staff_host": "127.0.0.1", "staff_port": staff, "private_port": private}
    settings |= {"audience_host": "127.0.0.1", "audience_port": audience, "udp_bind": "127.0.0.1", "edges": 2}
    given = [f"--setenv=STENTOR_{name.upper()}={value}" for name, value in settings.items()]
    command = [str(ACTIVATE), "-l", f"127.0.0.1:{audience}", *given, sys.executable, "-m", "stentor", "serve"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        await until(lambda: listens(audience), "systemd listens")
        url = f"http://127.0.0.1:{audience}/rooms.json"
        with urlopen(url, timeout=60) as answer:  # noqa: ASYNC210 - nothing else runs here
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


def listens(port: int) -> bool:
    """Tell whether something listens on a port of the loopback (state 0A of /proc/net/tcp), without going there."""
    return f"0100007F:{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()


async def test_a_second_one_is_told_what_to_do(tmp_path):
    async with installation(tmp_path) as running:
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stentor",
            "serve",
            env=running.environment,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await done.communicate()
        assert done.returncode == 2
        assert b"Another Stentor uses the data folder" in said
        assert b"Traceback" not in said


async def test_a_database_that_is_not_there_is_said(tmp_path):
    with pytest.raises(AssertionError, match="database") as caught:
        async with installation(tmp_path, database_url="postgresql+asyncpg://app:swordfish@127.0.0.1:1/app"):
            pass
    assert "swordfish" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
