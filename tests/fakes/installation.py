"""A whole Stentor on free ports of the loopback, as its own process tree: for scenarios, browsers and benches."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stentor.demo.staff_api import Response, StaffApi, http_exchange, token_of
from stentor.errors import Unavailable

READY_S = 40.0


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def free_udp_range(count: int) -> tuple[int, int]:
    """Return the ends of a range of UDP ports that were free a moment ago, all of them."""
    for first in range(42_000 + os.getpid() % 500 * 20, 60_000, count):
        held = []
        try:
            for port in range(first, first + count):
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                held.append(one)
                one.bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return first, first + count - 1
        finally:
            for one in held:
                one.close()
    raise AssertionError("no free range of UDP ports")


@dataclass
class Installation:
    """A running ``stentor serve`` and how to reach it."""

    data_dir: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    audience_url: str
    staff_url: str
    private_url: str
    log: Path
    tls: ssl.SSLContext | None = None
    operators: list[StaffApi] = field(default_factory=list)

    async def operator(self) -> StaffApi:
        """Return an API client with an operator's session."""
        if not self.operators:
            self.operators.append(await self.staff(await self.operator_link()))
        return self.operators[0]

    async def operator_link(self) -> str:
        """Return an operator's link that nobody has opened."""
        command = [sys.executable, "-m", "stentor", "operator-link"]
        done = await asyncio.to_thread(
            subprocess.run, command, env=self.environment, capture_output=True, text=True, check=True
        )
        return next(word for word in done.stdout.split() if "#t=" in word)

    async def staff(self, link: str) -> StaffApi:
        """Return an API client that has opened a staff link, as a browser of its own."""
        api = StaffApi(self.staff_url, tls=self.tls)
        await api.enter(token_of(link))
        return api

    async def get(self, path: str, *, base: str | None = None) -> Response:
        """GET from the audience port (or ``base``)."""
        return await asyncio.to_thread(http_exchange, "GET", (base or self.audience_url) + path, {}, None, self.tls)

    async def until_ready(self, *, ready: bool = True, deadline_s: float = READY_S) -> None:
        """Wait until /readyz says so; fails with what it said last and the end of the log."""
        said = "nothing yet"
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if self.process.poll() is not None and ready:
                break
            try:
                answer = await self.get("/readyz", base=self.private_url)
            except Unavailable as error:
                said = error.detail
            else:
                said = answer.body.decode()
                if (answer.status == 200) is ready:
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not {'ready' if ready else 'unready'}: {said}\n{self.log.read_text()[-4_000:]}")

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the log's events of one name so far."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if f'"event": "{name}"' in line]

    def kill_room(self) -> int:
        """``kill -9`` the process that runs the room; return its process id."""
        pid = int(str(self.events("room_process_assigned")[-1]["pid"]))
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self, deadline_s: float = 8.0) -> int:
        """SIGTERM and wait; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def descendants(root: int) -> list[tuple[int, str]]:
    """Return (pid, command line) of the living processes below ``root``."""
    children: dict[int, list[int]] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            commands[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if stat[0] != "Z":
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found: list[tuple[int, str]] = []
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append((child, commands[child]))
            waiting.append(child)
    return found


def _start(verb: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen([sys.executable, "-m", "stentor", verb], env=environment, stdout=sink, stderr=sink)


@asynccontextmanager
async def installation(
    folder: Path, *, verb: str = "serve", tls: tuple[Path, Path] | None = None, **settings: object
) -> AsyncIterator[Installation]:
    """Run ``stentor serve`` (or ``demo``) in ``folder`` until the context ends; yields once it is ready."""
    audience, staff, private = free_ports(3)
    low, high = free_udp_range(20)
    scheme = "https" if tls else "http"
    values: dict[str, object] = {
        "data_dir": folder / "data",
        "audience_host": "127.0.0.1",
        "audience_port": audience,
        "staff_host": "127.0.0.1",
        "staff_port": staff,
        "private_port": private,
        "udp_ports": f"{low}-{high}",
        "udp_bind": "127.0.0.1",
        "public_url": f"{scheme}://127.0.0.1:{audience}",
        "staff_url": f"{scheme}://127.0.0.1:{staff}",
        "log_format": "json",
        "allow": "127.0.0.0/8",  # tests and crowds have one address; the shield has tests of its own
        **({"tls_cert": tls[0], "tls_key": tls[1]} if tls else {}),
        **settings,
    }
    environment = {**os.environ, **{f"STENTOR_{key.upper()}": str(value) for key, value in values.items()}}
    context = None
    if tls:
        context = ssl.create_default_context(cafile=str(tls[0]))
    log = folder / "stentor.log"
    process = _start(verb, environment, log)
    running = Installation(
        folder / "data",
        environment,
        process,
        str(values["public_url"]),
        str(values["staff_url"]),
        f"http://127.0.0.1:{private}",
        log,
        context,
    )
    try:
        await running.until_ready()
        yield running
    finally:
        await asyncio.to_thread(running.stop)
