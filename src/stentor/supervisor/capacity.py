"""How many listeners this machine can hold, what limits it, and what to change for more."""

import ipaddress
import math
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stentor.config import Settings

# What an edge opens besides its listeners: files being sent, the bus, sockets of its own.
RESERVE_DESCRIPTORS = 256
MAX_EDGES = 256
# Measured by bench.memory and bench.tls: 0.9 kB of the process (with TLS 16 kB) and 5 kB of the kernel's socket.
# The rest is a block of 1 s on its way.
LISTENER_BYTES = 10_240
TLS_LISTENER_BYTES = 26_624
_PROCESS_BYTES = 150 << 20
_TCP_BYTES = 8_192
_OWN_BACKLOG = 4_096
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing of which there is so much: ``listeners`` fit; ``remedy`` says how more would."""

    what: str
    listeners: int
    remedy: str


def edge_count(settings: Settings) -> int:
    """Return how many edges run here: as set, or one a core, at least two, and as many as descriptors ask for."""
    if settings.edges:
        return settings.edges
    wanted = math.ceil(settings.listeners / max(1, _descriptors() - RESERVE_DESCRIPTORS))
    return min(MAX_EDGES, max(2, os.cpu_count() or 1, wanted))


def limits(settings: Settings, proc: Path = _PROC) -> list[Limit]:
    """Return what limits how many listeners this machine holds, the narrowest first."""
    return sorted(_limits(settings, proc), key=lambda limit: limit.listeners)


def capacity(settings: Settings) -> str:
    """Return how many listeners this machine can hold, in a sentence that says what to change for more."""
    narrowest = limits(settings)[0]
    return f"about {narrowest.listeners:,} listeners; {narrowest.what}. For more: {narrowest.remedy}."


def short_backlog(proc: Path = _PROC) -> int | None:
    """Return how many arrivals may wait where the kernel allows fewer than we ask for, else None."""
    most = _number(proc / "sys/net/core/somaxconn")
    return most if most is not None and most < _OWN_BACKLOG else None


def _limits(settings: Settings, proc: Path) -> Iterator[Limit]:
    edges, each = edge_count(settings), _descriptors()
    yield Limit(
        f"{edges} edges may each have {each:,} files and connections open",
        edges * max(0, each - RESERVE_DESCRIPTORS),
        "raise `ulimit -n` (LimitNOFILE in the service), or name the number with --listeners to get more edges",
    )
    size = TLS_LISTENER_BYTES if settings.tls else LISTENER_BYTES
    free = _available_bytes(proc)
    if free is not None:
        yield Limit(
            f"{free >> 20:,} MB of memory are free",
            max(0, free - (edges + 6) * _PROCESS_BYTES) // size,
            f"more memory, {size >> 10} kB a listener",
        )
    pages = _number(proc / "sys/net/ipv4/tcp_mem", 2)
    if pages is not None:
        yield Limit(
            f"the kernel gives TCP {pages * resource.getpagesize() >> 20:,} MB",
            pages * resource.getpagesize() // _TCP_BYTES,
            "sysctl net.ipv4.tcp_mem (three numbers, in pages)",
        )
    files = _number(proc / "sys/fs/file-max")
    if files is not None:
        yield Limit(f"the whole machine may have {files:,} files open", files, "sysctl fs.file-max")
    tracked = _number(proc / "sys/net/netfilter/nf_conntrack_max")
    if tracked is not None:
        yield Limit(
            f"the packet filter keeps track of {tracked:,} connections",
            tracked,
            "sysctl net.netfilter.nf_conntrack_max, or a rule that does not track the audience port (notrack)",
        )
    if _is_loopback(settings.audience_host):
        ports = (
            _number(proc / "sys/net/ipv4/ip_local_port_range"),
            _number(proc / "sys/net/ipv4/ip_local_port_range", 1),
        )
        if ports[0] is not None and ports[1] is not None:
            yield Limit(
                f"the front on this machine has {ports[1] - ports[0] + 1:,} ports to reach an edge from",
                ports[1] - ports[0] + 1,
                "sysctl net.ipv4.ip_local_port_range='1024 65535', or several addresses 127.0.0.x in the front",
            )


def _descriptors() -> int:
    """Return how many descriptors a process of ours has: each raises its soft limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else _number(_PROC / "sys/fs/nr_open") or 1_048_576


def _available_bytes(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) << 10 if found else None


def _number(file: Path, index: int = 0) -> int | None:
    try:
        return int(file.read_text().split()[index])
    except (OSError, ValueError, LookupError):
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
