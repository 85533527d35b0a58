"""What is NATS' own: connecting, freezing, settings that somebody else chose."""

import asyncio
import socket
from contextlib import aclosing

import pytest

from stentor.bus.nats import NatsBus, NatsOptions
from stentor.clock import NS_PER_S, SystemClock
from stentor.errors import BusUnavailable
from tests.fakes.buses import until
from tests.fakes.nats_server import NatsServer, running_nats


@pytest.fixture
def server(tmp_path):
    with running_nats(tmp_path) as running:
        yield running


async def refusal(url: str, *, timeout_s: float = 1.0, token: str = "wrong") -> str:
    with pytest.raises(BusUnavailable) as caught:
        async with NatsBus.connect(
            url, SystemClock(), role="edge", credentials={"token": token}, options=NatsOptions(timeout_s=timeout_s)
        ):
            pass
    return caught.value.detail


async def test_a_wrong_token_is_named(server: NatsServer) -> None:
    detail = await refusal(server.url)
    assert "refuses our credentials" in detail
    assert server.token not in detail


async def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{taken.getsockname()[1]}"
        assert await refusal(url) == f"No NATS server listens at {url}: start it, or correct the address."


async def test_a_password_in_the_address_is_not_repeated() -> None:
    assert "secret" not in await refusal("nats://user:secret@127.0.0.1:1")


async def test_a_frozen_server_is_named(server: NatsServer) -> None:
    server.freeze()
    assert "does not answer within 0.5 s" in await refusal(server.url, timeout_s=0.5, token=server.token)


async def test_a_server_without_jetstream_is_named(tmp_path) -> None:
    with running_nats(tmp_path, jetstream=False) as server:
        assert "JetStream" in await refusal(server.url, timeout_s=0.5, token=server.token)


async def test_what_has_come_is_not_looked_for_again(server: NatsServer) -> None:
    async with server.bus() as bus, aclosing(bus.watch("rooms")) as watching:
        assert await anext(watching) is None
        (bell,) = bus._on_return
        for value in (b"x", b"y"):
            await bus.put("rooms", "a", value)
            document = await anext(watching)
            assert document is not None
            assert document.value == value
            await until(lambda: bell.due == 0, "what has come is still looked for")
        bell.ring(0)
        assert bell.is_late(0)
        assert not bell.is_late(60 * NS_PER_S)
        bell.came(5)
        assert not bell.is_late(0)


async def test_leases_are_looked_at_often_only_while_there_are_some(server: NatsServer) -> None:
    async with server.bus() as bus, aclosing(bus.watch("leases")) as watching:
        assert await anext(watching) is None
        (bell,) = bus._on_return
        assert not bell.expires
        await bus.create("leases", "a", b"x")
        assert await anext(watching) is not None
        assert bell.expires
        await bus.delete("leases", "a")
        assert await anext(watching) is not None
        assert not bell.expires


async def test_a_refusal_while_running_is_not_the_end(server: NatsServer) -> None:
    async with server.bus() as bus:
        seen: list[bytes] = []
        async with bus.subscribe("s", lambda _, payload: seen.append(payload)):
            server.accept_token("another")
            await until(lambda: not bus.connected, "the refusal is not noticed")
            await asyncio.sleep(0.5)
            server.accept_token(server.token)
            await until(lambda: bus.connected, "the bus does not come back")
            await bus.publish("s", b"x")
            await until(lambda: seen == [b"x"], "the subscription did not survive")


async def test_a_frozen_server_is_noticed_and_live_publishing_never_waits(server: NatsServer) -> None:
    async with server.bus() as bus, server.bus(role="other") as other:
        seen: list[bytes] = []
        async with other.subscribe("live.>", lambda _, payload: seen.append(payload)):
            await bus.publish("live.a", b"before")
            await until(lambda: seen == [b"before"], "the first message does not come")
            server.freeze()
            published = 0
            while bus.connected:
                for _ in range(200):
                    await bus.publish("live.a", b"x" * 3000)
                    published += 1
                await asyncio.sleep(0.02)
            assert published > 1000
            with pytest.raises(BusUnavailable):
                await bus.put("rooms", "a", b"x")
            server.thaw()
            await until(lambda: bus.connected and other.connected, "the bus does not come back")
            await bus.publish("live.a", b"after")
            await until(lambda: b"after" in seen, "the subscription did not survive")
    assert len(seen) < published / 2, "what the server did not read in time was kept for it"


async def test_whoever_comes_later_keeps_what_is_there(server: NatsServer) -> None:
    async with server.bus(lease_ttl_s=2) as first:
        revision = await first.create("leases", "a", b"x")
        async with server.bus(lease_ttl_s=30) as second:
            document = await second.get("leases", "a")
            assert document is not None
            assert document.revision == revision


async def test_many_come_at_once(server: NatsServer) -> None:
    async def come() -> None:
        async with server.bus() as bus:
            await bus.put("rooms", "a", b"x")

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(come())


async def test_a_restart_of_the_server_keeps_log_documents_and_fences(server: NatsServer) -> None:
    async with server.bus() as bus:
        fence = await bus.claim("a", b"{}")
        sequence = await bus.append(fence, "room.a.event", "1", b"1")
        await bus.put("rooms", "a", b"x")
        server.kill()
        await until(lambda: not bus.connected, "the bus still says it is connected")
        server.start()
        await until(lambda: bus.connected, "the bus does not come back")
        assert await bus.append(fence, "room.a.event", "1", b"1") == sequence
        assert await bus.append(fence, "room.a.event", "2", b"2") == sequence + 1
        assert (await bus.get("rooms", "a")).value == b"x"  # type: ignore[union-attr]  # it was put above
