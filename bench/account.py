"""What the kernel says that processes use: CPU, memory of their own, and memory of the kernel's for sockets."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def raise_descriptors() -> None:
    """Let this process and its children open as many descriptors as the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the nanoseconds of CPU, user and system, that processes have used (/proc/PID/task/TID/schedstat).

    Finer than the clock ticks of /proc/PID/stat. Threads that have ended are not in it.
    """
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def rss_bytes(pids: Iterable[int]) -> int:
    """Return the memory that is resident for processes, without what they share with files (VmRSS less RssFile)."""
    total = 0
    for pid in pids:
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        total += sum(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
    return total


def kernel_bytes() -> int:
    """Return the memory of the whole machine's kernel for objects (Slab) and for what lies in TCP sockets' buffers."""
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    tcp = next(line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:")).split()
    return int(memory["Slab"].split()[0]) * 1024 + int(tcp[tcp.index("mem") + 1]) * _PAGE_BYTES
