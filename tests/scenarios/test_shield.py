"""A flood at the door of a whole Stentor: who is flooded out, and who notices nothing."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import altcha
import pytest

from tests.fakes.ears import crowd
from tests.fakes.installation import Installation, installation

pytestmark = pytest.mark.timeout(120)

FLOODER, NEIGHBOUR, PERSON = "127.1.0.1", "127.1.0.2", "127.2.0.1"
LIMITS = "requests=5,pages=1,tickets=1,insists=1"


async def ask(site: Installation, source: str, method: str, path: str, body: str = "") -> tuple[int, bytes]:
    """Ask from an address of our choice; status 0: the connection was cut."""
    url = urlsplit(site.audience_url)
    try:
        reader, writer = await asyncio.open_connection(url.hostname, url.port, local_addr=(source, 0))
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n{body}".encode())
            answer = await reader.read()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    except OSError:
        return 0, b""
    status, _, rest = answer.partition(b"\r\n\r\n")
    return (int(status.split()[1]) if answer else 0), rest


async def until_answered(site: Installation, source: str, method: str, path: str, status: int) -> bytes:
    """Ask until an answer has a status: each edge has budgets of its own."""
    async with asyncio.timeout(30):
        while True:
            got, body = await ask(site, source, method, path)
            if got == status:
                return body


async def keep_asking(site: Installation, source: str) -> None:
    """Flood, for ever."""
    while True:
        await ask(site, source, "GET", "/r/night/state.json")


def solved(challenge: dict[str, Any]) -> str:
    made = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(made)
    assert solution is not None
    return json.dumps({"solution": altcha.Payload(made, solution).to_base64()})


async def until_meter(site: Installation) -> dict[str, Any]:
    """Ask for the meter until it names a network that was refused."""
    operator = await site.operator()
    async with asyncio.timeout(30):
        while True:
            meter: dict[str, Any] = await operator.call("GET", "/rooms/night/crowd")
            if any(each["refused_per_s"] for each in meter["networks"]):
                return meter
            await asyncio.sleep(0.5)


async def crowd_at_the_staff_port(site: Installation) -> None:
    """Open more silent connections than one address may have, and see that some of them are cut at once."""
    url = urlsplit(site.staff_url)
    silent = [await asyncio.open_connection(url.hostname, url.port, local_addr=(FLOODER, 0)) for _ in range(140)]
    async with asyncio.TaskGroup() as group:
        ended = [group.create_task(reader.read(1)) for reader, _ in silent]
        done, waiting = await asyncio.wait(ended, timeout=8, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.cancel()
    for _, writer in silent:
        writer.close()
    assert done, "of one address so many are cut at once"
    assert waiting, "and the others not yet"


async def test_a_flood_is_refused_and_listeners_hosts_and_other_addresses_notice_nothing(tmp_path: Path) -> None:
    async with installation(tmp_path, allow="", limits=LIMITS, edges=1) as site:
        operator = await site.operator()
        await operator.call("POST", "/rooms", {"room": "night", "title": "A night"})
        await operator.call("POST", "/rooms/night/open", {})
        while (await ask(site, PERSON, "HEAD", "/r/night/listen.aac"))[0] != 200:  # noqa: ASYNC110 - the edge says it
            await asyncio.sleep(0.2)
        async with crowd(site.audience_url, "night") as listeners, asyncio.TaskGroup() as group:
            await listeners.join(20)
            flood = [group.create_task(keep_asking(site, FLOODER)) for _ in range(10)]

            said = json.loads(await until_answered(site, FLOODER, "GET", "/r/night/state.json", 429))
            assert said["retry_after_s"] >= 10
            await until_answered(site, FLOODER, "GET", "/r/night/state.json", 0)
            assert (await ask(site, PERSON, "GET", "/r/night"))[0] == 200
            assert (await ask(site, PERSON, "GET", "/r/night/state.json"))[0] == 200
            for number in range(5):
                await operator.call("PUT", "/rooms/night/announcement", {"text": f"We go on, {number}."})

            asked: dict[str, Any] = {"admitted": True}
            async with asyncio.timeout(30):
                while asked["admitted"]:
                    asked = json.loads((await ask(site, NEIGHBOUR, "POST", "/r/night/ticket", "{}"))[1])
            assert asked["because"] == "challenge"
            # In a thread: the listeners of this process have to read meanwhile, or they are cut as too slow.
            solution = await asyncio.to_thread(solved, asked["challenge"])
            again = json.loads((await ask(site, NEIGHBOUR, "POST", "/r/night/ticket", solution))[1])
            assert again["admitted"]
            assert (await ask(site, PERSON, "POST", "/r/night/ticket", "{}"))[0] == 200

            meter = await until_meter(site)
            assert meter["networks"][0]["network"] == "127.1.0.0/24"
            assert meter["cut_per_s"] > 0

            await operator.call("PUT", "/installation", {"deny": ["127.1.0.0/24"]})
            await until_answered(site, NEIGHBOUR, "GET", "/r/night/state.json", 0)
            assert (await ask(site, PERSON, "GET", "/r/night/state.json"))[0] == 200
            await crowd_at_the_staff_port(site)
            await operator.call("PUT", "/rooms/night/announcement", {"text": "And on."})
            for task in flood:
                task.cancel()
            assert len(listeners.waits_s) == 0, "whoever listened stayed"
