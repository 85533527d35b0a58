"""What can be found wrong before anything starts: ``stentor check-config``, and the first thing that ``serve`` does."""

import fcntl
import ipaddress
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from stentor.config import Settings
from stentor.errors import ConfigError
from stentor.supervisor.capacity import limits, short_backlog
from stentor.supervisor.nats_server import find_nats_server
from stentor.supervisor.ports import activated, check_free
from stentor.supervisor.tls import tls_context

MIN_DISK_BYTES = 200 << 20
LOW_DISK_BYTES = 2 << 30
LOW_DESCRIPTORS = 4_096
_MANY_UDP_PORTS = 64


class Severity(StrEnum):
    """Whether Stentor can start at all."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in a sentence that says what to do."""

    severity: Severity
    text: str


def check(settings: Settings) -> list[Problem]:
    """Return what is wrong on this machine for ``stentor serve``; errors first."""
    found = [
        *_errors(lambda: _data_dir(settings)),
        *_errors(lambda: _certificate(settings)),
        *_errors(lambda: _audience_port(settings)),
        *_errors(lambda: check_free(settings.staff_host, settings.staff_port, "--staff")),
        *_errors(lambda: check_free(settings.private_host, settings.private_port, "--private")),
        *_errors(lambda: _distinct_ports(settings)),
        *_errors(lambda: _bus(settings)),
        *_errors(lambda: _own_rooms(settings)),
        *_udp(settings),
        *_disk(settings),
        *_secure_pages(settings),
        *_descriptors(),
        *_listeners(settings),
    ]
    return sorted(found, key=lambda problem: problem.severity)


def _errors(check_one: Callable[[], object]) -> Iterator[Problem]:
    try:
        check_one()
    except ConfigError as error:
        yield Problem(Severity.ERROR, error.detail)


def _data_dir(settings: Settings) -> None:
    try:
        settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(settings.run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"The data folder {settings.data_dir} cannot be written ({error.strerror}): "
            "make it writable for this user, or choose another with --data-dir."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise in_use(settings) from error
    finally:
        os.close(descriptor)


def in_use(settings: Settings) -> ConfigError:
    """Return the error of a data folder that another Stentor uses."""
    return ConfigError(
        f"Another Stentor uses the data folder {settings.data_dir}: stop it, or choose another with --data-dir."
    )


def _certificate(settings: Settings) -> None:
    tls_context(settings)


def _audience_port(settings: Settings) -> None:
    if not activated():  # else it is systemd's, and ours already
        check_free(settings.audience_host, settings.audience_port, "--audience")


def _distinct_ports(settings: Settings) -> None:
    ports = [port for port in (settings.audience_port, settings.staff_port, settings.private_port) if port]
    if len(set(ports)) < len(ports):
        raise ConfigError("--audience-port, --staff-port and --private-port must be three different ports.")


def _bus(settings: Settings) -> None:
    if settings.embedded_bus:
        find_nats_server(settings.nats_server)


def _own_rooms(settings: Settings) -> None:
    if settings.upstream:
        raise ConfigError("--upstream is for `stentor edge` alone: what `serve` runs has rooms of its own.")


def _udp(settings: Settings) -> Iterator[Problem]:
    for address in settings.udp_bind:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield Problem(Severity.ERROR, f"--udp-bind {address} is no address: give IP addresses of this machine.")
            return
    if len(settings.udp_range) == 1:
        yield Problem(
            Severity.WARNING,
            f"--udp-ports {settings.udp_ports} is enough for one open room at a time: each takes one port.",
        )
    hosts = settings.udp_bind or ("0.0.0.0",)  # noqa: S104 - tried, not listened on
    taken = [port for port in settings.udp_range[:_MANY_UDP_PORTS] if not _udp_free(hosts, port)]
    if len(taken) == len(settings.udp_range[:_MANY_UDP_PORTS]):
        yield Problem(
            Severity.ERROR,
            f"No UDP port of {settings.udp_ports} is free: speakers could not connect. Choose others with --udp-ports.",
        )
    elif taken:
        shown = ", ".join(map(str, taken[:5])) + (" and more" if len(taken) > 5 else "")
        yield Problem(
            Severity.WARNING,
            f"UDP port {shown} of --udp-ports {settings.udp_ports} is taken: fewer rooms can be open at once.",
        )


def _udp_free(hosts: tuple[str, ...], port: int) -> bool:
    try:
        for host in hosts:
            check_free(host, port, "--udp", udp=True)
    except ConfigError:
        return False
    return True


def _disk(settings: Settings) -> Iterator[Problem]:
    place = settings.data_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < MIN_DISK_BYTES:
        yield Problem(
            Severity.ERROR,
            f"The disk of {settings.data_dir} is full ({free >> 20} MB left): free at least {MIN_DISK_BYTES >> 20} MB.",
        )
    elif free < LOW_DISK_BYTES:
        yield Problem(
            Severity.WARNING,
            f"The disk of {settings.data_dir} is nearly full ({free >> 20} MB left); a room takes 100 MB an hour.",
        )


def _secure_pages(settings: Settings) -> Iterator[Problem]:
    parts = urlsplit(settings.staff_url)
    if parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        yield Problem(
            Severity.WARNING,
            f"Speakers open {settings.staff_url}, and browsers give a microphone only to secure pages: "
            "set --tls-cert and --tls-key, or --staff-url https://… with a proxy in front.",
        )


def _descriptors() -> Iterator[Problem]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < LOW_DESCRIPTORS:
        yield Problem(
            Severity.WARNING,
            f"Only {hard} files and connections may be open at once, which limits listeners: "
            "raise it with `ulimit -n 65536` or LimitNOFILE in the service.",
        )


def _listeners(settings: Settings) -> Iterator[Problem]:
    for limit in limits(settings):
        if limit.listeners < settings.listeners:
            yield Problem(
                Severity.WARNING,
                f"This machine holds about {limit.listeners:,} of --listeners {settings.listeners:,}: {limit.what}. "
                f"To change: {limit.remedy}.",
            )
    backlog = short_backlog()
    if backlog is not None:
        yield Problem(
            Severity.WARNING,
            f"Only {backlog} arrivals may wait at the door, and more in one moment are turned away: "
            "sysctl net.core.somaxconn=4096.",
        )
