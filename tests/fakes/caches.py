"""The caches of deploy/ as processes on the loopback: nginx (HTTP/1.1 and HTTP/2) and Varnish."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.fakes.certificates import write_certificate
from tests.fakes.installation import free_ports

DEPLOY = Path(__file__).parents[2] / "deploy"
PATH = "/usr/sbin:/usr/bin"


@contextmanager
def varnish(folder: Path, upstream: int, port: int = 0) -> Iterator[str]:
    """Run Varnish with deploy/varnish.vcl before a port of the loopback; yield its address."""
    port = port or free_ports(1)[0]
    text = (DEPLOY / "varnish.vcl").read_text()
    assert '.port = "8000"' in text
    file = folder / "stentor.vcl"
    file.write_text(text.replace('.port = "8000"', f'.port = "{upstream}"'))
    work = folder / "varnish"
    command = [_program("varnishd"), "-j", "none", "-F", "-a", f"127.0.0.1:{port}", "-f", str(file), "-n", str(work)]
    command += ["-s", "malloc,32m", "-p", "thread_pool_min=100", "-p", "vsl_space=16m"]
    with _running(command, folder / "varnish.log", port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def nginx_cache(folder: Path, upstream: int) -> Iterator[tuple[str, str]]:
    """Run nginx with deploy/nginx-cache.conf; yield its addresses for HTTP/1.1 and for HTTP/2 with TLS."""
    write_certificate(folder)
    plain, secure = free_ports(2)
    text = (DEPLOY / "nginx-cache.conf").read_text()
    for old, new in (
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl http2;"),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("/var/cache/nginx/stentor", f"{folder}/cache"),
        ("/etc/letsencrypt/live/cdn.example.org/fullchain.pem", f"{folder}/cert.pem"),
        ("/etc/letsencrypt/live/cdn.example.org/privkey.pem", f"{folder}/key.pem"),
    ):
        assert old in text
        text = text.replace(old, new)
    user = "user root; " if os.geteuid() == 0 else ""  # its workers could not write to the folder of a test of root's
    head = f"{user}daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;\n"
    places = "".join(
        f"{what}_temp_path {folder}/{what};\n" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(f"{head}events {{ worker_connections 2048; }}\nhttp {{\naccess_log off;\n{places}{text}}}\n")
    command = [_program("nginx"), "-p", str(folder), "-c", str(file)]
    with _running(command, folder / "nginx.log", plain):
        yield f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"


@contextmanager
def cache(which: str, folder: Path, upstream: int) -> Iterator[str]:
    """Run ``varnish`` or ``nginx`` before a port of the loopback; yield its address for HTTP/1.1."""
    if which == "varnish":
        with varnish(folder, upstream) as url:
            yield url
    else:
        with nginx_cache(folder, upstream) as (url, _):
            yield url


def _program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found, f"{name} is not installed (scripts/setup-system)"
    return found


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    """Run a program until the context ends; it is there once its port accepts."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        until = time.monotonic() + 20
        while not _accepts(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
