"""Each role alone, against NATS servers of one's own: what runs at scale, on one machine."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from stentor.demo.staff_api import Response, StaffApi, http_exchange, token_of
from stentor.errors import Unavailable
from tests.fakes.installation import free_ports, free_udp_range
from tests.fakes.nats_server import NatsServer

ROLES = ("control", "archive", "origin", "edge")


class Role:
    """One ``stentor ROLE`` process."""

    def __init__(self, role: str, environment: dict[str, str], private_port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{private_port}"
        self.log = log
        own = {**environment, "STENTOR_PRIVATE_PORT": str(private_port)}
        with log.open("ab") as sink:
            self.process = subprocess.Popen([sys.executable, "-m", "stentor", role], env=own, stdout=sink, stderr=sink)

    def ask(self, path: str) -> Response:
        return http_exchange("GET", self.url + path, {}, None)

    async def until(self, status: int) -> Response:
        end, said = time.monotonic() + 40, b"nothing"
        while time.monotonic() < end:
            try:
                answer = await asyncio.to_thread(self.ask, "/readyz")
            except Unavailable:
                await asyncio.sleep(0.1)
                continue
            if answer.status == status:
                return answer
            said = answer.body
            await asyncio.sleep(0.1)
        raise AssertionError(f"/readyz never was {status}: {said!r}\n{self.log.read_text()[-3_000:]}")

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


async def test_every_role_alone(tmp_path):
    server = NatsServer(tmp_path)
    audience, staff, *private = free_ports(6)
    low, high = free_udp_range(4)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STENTOR_")}
    with ExitStack() as stack:
        server.start()
        stack.callback(server.kill)
        environment = {
            **kept,
            "STENTOR_DATA_DIR": str(tmp_path / "data"),
            "STENTOR_NATS_URL": server.url,
            "STENTOR_NATS_PASSWORD": server.token,
            "STENTOR_AUDIENCE_PORT": str(audience),
            "STENTOR_STAFF_PORT": str(staff),
            "STENTOR_UDP_PORTS": f"{low}-{high}",
            "STENTOR_UDP_BIND": "127.0.0.1",
        }
        roles = {}
        for role, port in zip(ROLES, private, strict=True):
            roles[role] = Role(role, environment, port, tmp_path / f"{role}.log")
            stack.callback(roles[role].stop)
        for role in roles.values():
            await role.until(200)
        link = next(word for word in roles["control"].log.read_text().split() if "/#t=" in word)
        operator = StaffApi(f"http://127.0.0.1:{staff}")
        await operator.enter(token_of(link))
        await operator.call("POST", "/rooms", {"room": "night", "title": "Night"})
        await operator.call("POST", "/rooms/night/open", {})
        assert b"stentor_" in roles["edge"].ask("/metrics").body

        server.kill()
        for role in roles.values():
            answer = await role.until(503)
            assert b"the bus does not answer" in answer.body
        server.start()
        for role in roles.values():
            await role.until(200)
        for name, role in roles.items():
            assert role.stop() == 0, f"{name}\n{role.log.read_text()[-3_000:]}"


async def test_a_role_waits_for_the_bus(tmp_path):
    server = NatsServer(tmp_path)
    server.start()
    server.kill()
    audience, private = free_ports(2)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STENTOR_")}
    environment = {
        **kept,
        "STENTOR_DATA_DIR": str(tmp_path / "data"),
        "STENTOR_NATS_URL": server.url,
        "STENTOR_NATS_PASSWORD": server.token,
        "STENTOR_AUDIENCE_PORT": str(audience),
    }
    edge = Role("edge", environment, private, tmp_path / "edge.log")
    try:
        assert b"it is starting" in (await edge.until(503)).body
        server.start()
        await edge.until(200)
        assert edge.stop() == 0
        server.kill()
        waiting = Role("edge", environment, private, tmp_path / "edge.log")
        await waiting.until(503)
        assert waiting.stop() == 0
    finally:
        edge.process.kill()
        server.kill()
