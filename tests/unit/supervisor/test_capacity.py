"""How many listeners a machine holds, from a made-up machine's numbers."""

import os
import resource
from pathlib import Path

import pytest

from stentor.declared import load
from stentor.supervisor.capacity import LISTENER_BYTES, RESERVE_DESCRIPTORS, edge_count, limits, short_backlog


@pytest.fixture(autouse=True)
def descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1_024, 20_000))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)


def proc(folder: Path, **numbers: str) -> Path:
    files = {
        "meminfo": "MemTotal: 999 kB\nMemAvailable:   33554432 kB\n",
        "sys/net/ipv4/tcp_mem": "1 2 1000000",
        "sys/fs/file-max": "9223372036854775807",
        "sys/net/ipv4/ip_local_port_range": "32768\t60999",
        **{name.replace("__", "/"): text for name, text in numbers.items()},
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("flags", "edges"),
    [
        ({}, 4),
        ({"listeners": 10_000}, 4),
        ({"listeners": 100_000}, 6),  # 19,744 each
        ({"listeners": 10**9}, 256),
        ({"listeners": 100_000, "edges": 3}, 3),
    ],
)
def test_edges_for_cores_and_descriptors(flags: dict[str, object], edges: int) -> None:
    assert edge_count(load(None, flags)) == edges


def test_descriptors_are_the_narrowest(tmp_path: Path) -> None:
    narrowest = limits(load(None, {}), proc(tmp_path))[0]
    assert narrowest.listeners == 4 * (20_000 - RESERVE_DESCRIPTORS)
    assert "20,000 files" in narrowest.what
    assert "LimitNOFILE" in narrowest.remedy


@pytest.mark.parametrize(
    ("numbers", "flags", "listeners", "remedy"),
    [
        ({"sys__net__netfilter__nf_conntrack_max": "8192"}, {}, 8_192, "nf_conntrack_max"),
        ({"sys__fs__file-max": "5000"}, {}, 5_000, "fs.file-max"),
        ({"sys__net__ipv4__tcp_mem": "1 2 100"}, {}, 100 * resource.getpagesize() // 8_192, "tcp_mem"),
        ({"meminfo": "MemAvailable: 2097152 kB"}, {}, ((2 << 30) - (10 * 150 << 20)) // LISTENER_BYTES, "memory"),
        ({}, {"audience_host": "127.0.0.1"}, 28_232, "ip_local_port_range"),
    ],
)
def test_each_other_limit_says_what_to_change(
    tmp_path: Path, numbers: dict[str, str], flags: dict[str, object], listeners: int, remedy: str
) -> None:
    narrowest = limits(load(None, flags), proc(tmp_path, **numbers))[0]
    assert narrowest.listeners == listeners
    assert remedy in narrowest.remedy


def test_a_machine_that_says_nothing_has_its_descriptors(tmp_path: Path) -> None:
    assert len(limits(load(None, {}), tmp_path)) == 1


def test_a_short_queue_is_seen(tmp_path: Path) -> None:
    assert short_backlog(proc(tmp_path, sys__net__core__somaxconn="128")) == 128
    assert short_backlog(proc(tmp_path, sys__net__core__somaxconn="4096")) is None
