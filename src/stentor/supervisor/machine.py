"""What runs on one machine: the processes of ``stentor serve``, with their settings, sockets and graces."""

import fcntl
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stentor.config import Settings
from stentor.supervisor.capacity import edge_count
from stentor.supervisor.checks import in_use
from stentor.supervisor.child import Spec
from stentor.supervisor.nats_server import NatsServer
from stentor.supervisor.ports import LISTEN_VARIABLE, bind, inherited
from stentor.supervisor.private import SOCKET_VARIABLE
from stentor.supervisor.spawn import stentor_command

PROCESS_VARIABLE = "STENTOR_PROCESS"
# Unix socket paths hold 107 bytes; the longest name of ours needs 24.
_MAX_RUN_DIR_BYTES = 80
# Together with the bus (0.6 s) these stay below five seconds: edges, then origin, then archive and control.
_EDGE_GRACE_S = 0.7
_ORIGIN_GRACE_S = 1.7
_ARCHIVE_GRACE_S = 1.1
_CONTROL_GRACE_S = 1.1
# A third of a room's share of a busy core: listeners' sound late is better than everybody's sound broken.
_STAND_BACK = 5


@contextmanager
def hold_folder(settings: Settings) -> Iterator[None]:
    """Hold the data folder inside the context, against a second Stentor and against restore.

    Raises ConfigError when another one holds it.
    """
    settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(settings.run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise in_use(settings) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def hold_ports(settings: Settings, listen: Callable[[socket.socket], None]) -> Iterator[tuple[Settings, socket.socket]]:
    """Hold the two public ports inside the context, whatever children come and go; 0 becomes a free one.

    Gives the settings with both ports and the audience's socket, which every edge inherits. ``listen`` has made it
    listen: whoever comes while no edge is up waits for one.
    """
    with (
        inherited() or bind(settings.audience_host, settings.audience_port, "--audience", shared=False) as audience,
        bind(settings.staff_host, settings.staff_port, "--staff", shared=True) as staff,
    ):
        listen(audience)
        held = settings.with_ports(audience_port=audience.getsockname()[1], staff_port=staff.getsockname()[1])
        yield held, audience


def with_secrets(settings: Settings) -> Settings:
    """Return the settings with secrets for tickets and relays that stay the same over restarts."""
    made = {"ticket_secret": "tickets.key", "relay_key": "relay.key"}
    missing = {name: _secret(settings.keys_dir / file) for name, file in made.items() if not getattr(settings, name)}
    return settings.model_copy(update=missing)


def _secret(file: Path) -> str:
    """Return the secret in a file, made at the first start and readable by this user alone."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(32))
    return file.read_text().strip()


def socket_dir(settings: Settings) -> Path:
    """Return the folder for private sockets: the run folder, or a new one in /tmp where its path is too long."""
    settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(bytes(settings.run_dir)) <= _MAX_RUN_DIR_BYTES:
        for stale in settings.run_dir.glob("*.sock"):
            stale.unlink(missing_ok=True)
        return settings.run_dir
    return Path(tempfile.mkdtemp(prefix="stentor-"))


def machine(
    settings: Settings, nats: NatsServer | None, sockets: Path, audience: socket.socket | None = None
) -> list[list[Spec]]:
    """Return the tiers of processes in the order up; ``audience`` is the socket that edges accept from."""
    edges = edge_count(settings)
    settings = settings.model_copy(update={"edges": edges})

    def role(name: str, verb: str, grace_s: float, nice: int = 0) -> Spec:
        return Spec(
            name=name,
            command=stentor_command(verb),
            environment=_environment(settings, nats, verb, name, sockets),
            grace_s=grace_s,
            socket=sockets / f"{name}.sock",
            ends_hung=verb != "origin",  # Its rooms go on without it, and would end with it.
            nice=nice,
        )

    def edge(number: int) -> Spec:
        alone = role(f"edge-{number}", "edge", _EDGE_GRACE_S, _STAND_BACK)
        if audience is None:
            return alone
        shared = {LISTEN_VARIABLE: str(audience.fileno())}
        return replace(alone, environment=lambda: {**alone.environment(), **shared}, keep=(audience.fileno(),))

    return [
        *([[nats.spec()]] if nats else []),
        [role("control", "control", _CONTROL_GRACE_S), role("archive", "archive", _ARCHIVE_GRACE_S, _STAND_BACK)],
        [role("origin", "origin", _ORIGIN_GRACE_S)],
        [edge(number) for number in range(1, edges + 1)],
    ]


def _environment(
    settings: Settings, nats: NatsServer | None, verb: str, name: str, sockets: Path
) -> Callable[[], Mapping[str, str]]:
    def environment() -> Mapping[str, str]:
        return {
            **settings.environment(**(nats.access(verb) if nats else {})),
            PROCESS_VARIABLE: name,
            SOCKET_VARIABLE: str(sockets / f"{name}.sock"),
        }

    return environment
