"""The fronts of deploy/ as they are, but for names, ports and certificates: for scenarios and benches."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
CADDY = shutil.which("caddy")
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin")

Names = tuple[str, str]
NAMES = ("localhost", "127.0.0.1")
"""Under which the audience and the staff come."""


def nginx_command(folder: Path, port: int, audience: int, staff: int, names: Names = NAMES) -> list[str]:
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:8000", f"127.0.0.1:{audience}"),
        ("127.0.0.1:8001", f"127.0.0.1:{staff}"),
        ("server_name radio.example.org", f"server_name {names[0]}"),
        ("server_name stage.example.org", f"server_name {names[1]}"),
    ):
        assert old in text
        text = text.replace(old, new)
    for name in ("radio", "stage"):
        text = text.replace(f"/etc/letsencrypt/live/{name}.example.org/fullchain.pem", str(folder / "cert.pem"))
        text = text.replace(f"/etc/letsencrypt/live/{name}.example.org/privkey.pem", str(folder / "key.pem"))
    head = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/front.log; worker_processes 1;\n"
    places = "".join(
        f"{what}_temp_path {folder}/{what};\n" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(f"{head}events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{places}{text}}}\n")
    command = [str(NGINX), "-p", str(folder), "-c", str(file)]
    said = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return command


def caddy_command(folder: Path, port: int, audience: int, staff: int, names: Names = NAMES) -> list[str]:
    text = (DEPLOY / "Caddyfile").read_text()
    certificate = f"tls {folder}/cert.pem {folder}/key.pem"
    for old, new in (
        ("radio.example.org {", f"https://{names[0]}:{port} {{\n{certificate}"),
        ("stage.example.org {", f"https://{names[1]}:{port} {{\n{certificate}"),
        ("127.0.0.1:8000", f"127.0.0.1:{audience}"),
        ("127.0.0.1:8001", f"127.0.0.1:{staff}"),
    ):
        assert old in text
        text = text.replace(old, new)
    file = folder / "Caddyfile"
    file.write_text(f"{{\nadmin off\nauto_https off\n}}\n{text}")
    return [str(CADDY), "run", "--config", str(file), "--adapter", "caddyfile"]


def haproxy_command(folder: Path, port: int, audience: int, staff: int, names: Names = NAMES) -> list[str]:
    text = (DEPLOY / "haproxy.cfg").read_text()
    for old, new in (
        ("maxconn 40000", "maxconn 4000"),  # it refuses to start where it may not open so many
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("/etc/haproxy/stentor.pem", f"{folder}/both.pem"),
        ("stage.example.org", names[1]),
        ("127.0.0.1:8000", f"127.0.0.1:{audience}"),
        ("127.0.0.1:8001", f"127.0.0.1:{staff}"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    file = folder / "haproxy.cfg"
    file.write_text(text)
    said = subprocess.run([str(HAPROXY), "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "WARNING" not in said.stderr, said.stderr
    return [str(HAPROXY), "-db", "-f", str(file)]


@contextmanager
def front(command: list[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "front.log").open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
