"""What is wrong before anything starts, each in a sentence that says what to do."""

import re
import resource
import shutil
import socket

import pytest

from stentor.config import Settings
from stentor.declared import load
from stentor.supervisor import checks
from stentor.supervisor.checks import Severity, check
from stentor.supervisor.machine import hold_folder
from tests.fakes.certificates import write_certificate


def settings(folder, **flags) -> Settings:
    free = {"audience_port": 0, "staff_port": 0, "private_port": 0, "udp_ports": free_udp_ports(3)}
    return load(None, {"data_dir": folder / "data", **free, **flags})


def free_udp_ports(count: int) -> str:
    """Return a range that is free now, below the ports that the system gives out by itself."""
    for first in range(20_000, 32_000, 7):
        try:
            for port in range(first, first + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("0.0.0.0", port))
        except OSError:
            continue
        return f"{first}-{first + count - 1}"
    raise AssertionError("no free UDP ports")


def texts(found: list[checks.Problem], severity: Severity) -> str:
    return "\n".join(problem.text for problem in found if problem.severity is severity)


def test_a_good_machine(tmp_path):
    assert check(settings(tmp_path)) == []


@pytest.mark.parametrize("which", ["audience", "staff", "private"])
def test_a_port_that_is_taken(tmp_path, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = check(settings(tmp_path, **{f"{which}_host": "127.0.0.1", f"{which}_port": port}))
    says = f"Port {port} on 127.0.0.1 is taken: stop what uses it, or choose another with --{which}-port."
    assert says in texts(found, Severity.ERROR)


def test_two_ports_that_are_the_same(tmp_path):
    found = check(settings(tmp_path, audience_port=23_456, staff_port=23_456))
    assert "must be three different ports" in texts(found, Severity.ERROR)


def test_an_address_that_is_not_ours(tmp_path):
    found = check(settings(tmp_path, audience_host="192.0.2.1"))
    assert "see --audience-host" in texts(found, Severity.ERROR)


def test_a_folder_in_use_or_not_to_be_written(tmp_path):
    chosen = settings(tmp_path)
    with hold_folder(chosen):
        assert "Another Stentor uses the data folder" in texts(check(chosen), Severity.ERROR)
    assert check(chosen) == []
    (tmp_path / "file").write_text("")
    found = check(settings(tmp_path, data_dir=tmp_path / "file" / "data"))
    assert "cannot be written (Not a directory)" in texts(found, Severity.ERROR)


def test_a_certificate_that_is_missing(tmp_path):
    found = check(settings(tmp_path, tls_cert=tmp_path / "c", tls_key=tmp_path / "k"))
    assert re.search(r"--tls-cert .*/c cannot be read", texts(found, Severity.ERROR))
    write_certificate(tmp_path)
    found = check(settings(tmp_path, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem"))
    assert found == []


def test_the_bus_program(tmp_path):
    found = check(settings(tmp_path, nats_server=tmp_path / "none"))
    assert "is no program that can be run" in texts(found, Severity.ERROR)
    assert check(settings(tmp_path, nats_server=tmp_path / "none", nats_url="nats://127.0.0.1:1")) == []


def test_serve_feeds_from_nobody(tmp_path):
    found = check(settings(tmp_path, upstream="https://radio.example.org"))
    assert "--upstream is for `stentor edge` alone" in texts(found, Severity.ERROR)


def test_udp_ports_taken_or_too_few(tmp_path):
    ports = free_udp_ports(2)
    first = int(ports.partition("-")[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", first))
        some = check(settings(tmp_path, udp_ports=ports))
        none = check(settings(tmp_path, udp_ports=str(first)))
    assert f"UDP port {first} of --udp-ports {ports} is taken" in texts(some, Severity.WARNING)
    assert f"No UDP port of {first} is free" in texts(none, Severity.ERROR)
    few = check(settings(tmp_path, udp_ports=ports.partition("-")[0]))
    assert "is enough for one open room" in texts(few, Severity.WARNING)
    assert "no address" in texts(check(settings(tmp_path, udp_bind="lan")), Severity.ERROR)


@pytest.mark.parametrize(
    ("free_bytes", "severity", "says"),
    [(100 << 20, Severity.ERROR, "is full (100 MB left)"), (1 << 30, Severity.WARNING, "nearly full (1024 MB left)")],
)
def test_a_disk_that_is_full(tmp_path, monkeypatch, free_bytes, severity, says):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1 << 40, 1 << 39, free_bytes))
    assert says in texts(check(settings(tmp_path)), severity)


def test_speakers_need_a_secure_page(tmp_path):
    found = check(settings(tmp_path, staff_url="http://stage.example.org"))
    assert "a microphone only to secure pages" in texts(found, Severity.WARNING)
    assert check(settings(tmp_path, staff_url="https://stage.example.org")) == []


def test_few_descriptors(tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 1024))
    assert "Only 1024 files and connections" in texts(check(settings(tmp_path)), Severity.WARNING)


def test_errors_come_first(tmp_path):
    found = check(settings(tmp_path, staff_url="http://stage.example.org", nats_server=tmp_path / "none"))
    assert [problem.severity for problem in found] == [Severity.ERROR, Severity.WARNING]
