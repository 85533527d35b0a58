"""``stentor serve`` → ``edge --upstream`` → ``edge --upstream``, each its own process, over plain http and over TLS."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.certificates import write_certificate
from tests.fakes.installation import Installation, free_ports, installation
from tests.fakes.listener import PushListener, push_listener
from tests.scenarios.test_serve_alone import Role

FRAME_SAMPLES = 960


class Chain:
    """An installation and the edges behind it."""

    def __init__(self, top: Installation, folder: Path) -> None:
        self.top = top
        self.key = (top.data_dir / "keys" / "relay.key").read_text()
        self.roles: list[Role] = []
        self._folder = folder

    def edge(
        self, name: str, upstream: str, port: int, private: int, *, trusting: bool = True, **settings: str
    ) -> Role:
        """Start an edge behind another."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("STENTOR_")}
        values = {
            "DATA_DIR": str(self._folder / name),
            "UPSTREAM": upstream,
            "RELAY_KEY": self.key,
            "AUDIENCE_HOST": "127.0.0.1",
            "AUDIENCE_PORT": str(port),
            "NODE": name,
            "LOG_FORMAT": "json",
            **settings,
        }
        environment = {**kept, **{f"STENTOR_{key}": value for key, value in values.items()}}
        if self.top.tls is not None and trusting:
            environment["SSL_CERT_FILE"] = str(self._folder / "cert.pem")
        role = Role("edge", environment, private, self._folder / f"{name}.log")
        self.roles.append(role)
        return role


@asynccontextmanager
async def chain(folder: Path, **settings: object) -> AsyncIterator[Chain]:
    """Run an installation with an open room, whose program is the hold sound; whatever edges start end with it."""
    async with AsyncExitStack() as stack:
        top = await stack.enter_async_context(installation(folder, edges=2, **settings))
        operator = await top.operator()
        await operator.call("POST", "/rooms", {"room": "night", "title": "Night"})
        await operator.call("POST", "/rooms/night/open", {})
        made = Chain(top, folder)
        try:
            yield made
        finally:
            for role in made.roles:
                await asyncio.to_thread(role.stop)


def sample(metrics: str, name: str) -> float:
    """Return the sum of a metric over processes and labels."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE))


async def playlist(base: str, query: str = "") -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.get(f"{base}/r/night/opus.m3u8{query}")


async def same_playlists(one: str, other: str) -> None:
    """Ask two edges for the same moment of the program: not a byte may differ."""
    first = await playlist(one)
    number = int(re.findall(r"^#EXT-X-MEDIA-SEQUENCE:(\d+)$", first.text, re.MULTILINE)[0])
    query = f"?_HLS_msn={number + first.text.count('#EXTINF') + 1}&_HLS_part=0"
    upper, lower = await asyncio.gather(playlist(one, query), playlist(other, query))
    assert (upper.status_code, lower.status_code) == (200, 200), lower.text
    assert upper.content == lower.content


async def heard_mp3(base: str) -> None:
    async with httpx.AsyncClient(timeout=20) as client, client.stream("GET", f"{base}/r/night/listen.mp3") as stream:
        async for piece in stream.aiter_bytes():
            assert piece[0] == 0xFF
            return


def whole(listener: PushListener) -> bool:
    """Tell whether the access units follow each other without a hole."""
    pairs = zip(listener.blocks, listener.blocks[1:], strict=False)
    return all(this.first_sample + FRAME_SAMPLES * len(this.units) == after.first_sample for this, after in pairs)


async def until_counted(base: str, listeners: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        while (await client.get(f"{base}/rooms.json")).json()["rooms"][0]["listeners"] != listeners:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def hand_goes_up(made: Chain, base: str) -> None:
    """Raise a hand at the lowest edge: the operator calls on it, and it is told of the link that it was given."""
    operator = await made.top.operator()
    await operator.call("PUT", "/rooms/night/hands", {"open": True})
    key = {"key": "0123456789abcdef" * 2}
    async with httpx.AsyncClient(base_url=f"{base}/r/night") as client, asyncio.timeout(20):
        while not (await client.get("/state.json")).json()["hands_open"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        assert (await client.post("/hand", json={**key, "name": "Amal"})).json()["position"] == 1
        shown: Any = await operator.call("GET", "/rooms/night/hands")
        (hand,) = shown["hands"]
        assert (hand["name"], hand["here"]) == ("Amal", True)
        await operator.call("POST", f"/rooms/night/hands/{hand['hand']}/invite")
        told = (await client.post("/hand", json={**key, "ask": True})).json()
    assert told["state"] == "invited"
    assert (await made.top.staff(told["url"])).session


@pytest.mark.timeout(180)
async def test_three_edges_deep_and_the_middle_one_dies(tmp_path: Path) -> None:
    async with chain(tmp_path) as made:
        low_port, mid_port, *private = free_ports(5)
        mid_url, low_url = f"http://127.0.0.1:{mid_port}", f"http://127.0.0.1:{low_port}"
        middle = made.edge("middle", made.top.audience_url, mid_port, private[0])
        lowest = made.edge("lowest", mid_url, low_port, private[1])
        await lowest.until(200)
        async with push_listener(low_url, "night") as listener, push_listener(low_url, "night") as beside:
            await listener.until(lambda it: len(it.blocks) > 2, "sound comes down two edges")
            await beside.until(lambda it: len(it.blocks) > 2, "to everybody")
            await heard_mp3(low_url)
            await same_playlists(made.top.audience_url, low_url)
            for role in (None, middle):
                page = role.ask("/metrics") if role else await made.top.get("/metrics", base=made.top.private_url)
                metrics = page.body.decode()
                assert sample(metrics, "stentor_edge_relays_count") == 1
                assert sample(metrics, "stentor_edge_relay_streams_count") == 2, "opus and mp3, once each"
            await hand_goes_up(made, low_url)
            await until_counted(made.top.audience_url, 3)  # two of push and the player of HLS at either end as one

            middle.process.kill()
            middle.process.wait()
            answer = await lowest.until(503)
            assert b"edge above" in answer.body
            again = made.edge("middle", made.top.audience_url, mid_port, private[0])
            await again.until(200)
            await lowest.until(200)
            count = len(listener.blocks)
            await listener.until(lambda it: len(it.blocks) > count + 3, "sound goes on")
            again.process.send_signal(signal.SIGSTOP)  # a machine that hangs closes nothing
            await lowest.until(503)
            again.process.send_signal(signal.SIGCONT)
            await lowest.until(200)
            count = len(listener.blocks)
            await listener.until(lambda it: len(it.blocks) > count + 3, "sound goes on once more")
            assert listener.closed is None
            assert whole(listener)
            await same_playlists(made.top.audience_url, low_url)

        stranger = made.edge("stranger", mid_url, free_ports(1)[0], private[2], RELAY_KEY="not the key of this place")
        answer = await stranger.until(503)
        async with asyncio.timeout(20):
            while b"refuses our relay key" not in answer.body:
                answer = await stranger.until(503)
        assert sample(again.ask("/metrics").body.decode(), "stentor_edge_refused_relays_total") > 0


async def test_over_tls_and_only_with_a_certificate_that_can_be_trusted(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    async with chain(tmp_path, tls=(tmp_path / "cert.pem", tmp_path / "key.pem")) as made:
        low_port, other_port, *private = free_ports(4)
        lower = made.edge("lower", made.top.audience_url, low_port, private[0])
        await lower.until(200)
        async with push_listener(f"http://127.0.0.1:{low_port}", "night") as listener:
            await listener.until(lambda it: len(it.blocks) > 2, "sound comes over TLS")
        doubting = made.edge("doubting", made.top.audience_url, other_port, private[1], trusting=False)
        answer = await doubting.until(503)
        async with asyncio.timeout(20):
            while b"its certificate cannot be trusted" not in answer.body:
                answer = await doubting.until(503)
