"""Three edges on one socket: balanced, and one that is started anew moves nobody but its own."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from tests.fakes.ears import crowd
from tests.fakes.installation import Installation, installation
from tests.scenarios.test_serve import until

pytestmark = pytest.mark.timeout(120)

EDGES, LISTENERS, MORE = 3, 300, 160


async def connections(site: Installation) -> dict[str, int]:
    """Return how many connections each edge has, by its own word."""
    text = (await site.get("/metrics", base=site.private_url)).body.decode()
    found = re.findall(r'^stentor_edge_connections_count\{process="([^"]+)"\} ([\d.]+)$', text, re.MULTILINE)
    return {name: int(float(count)) for name, count in found}


async def until_held(site: Installation, listeners: int) -> dict[str, int]:
    """Wait until the edges, who look once a second, count everybody."""
    held: dict[str, int] = {}
    async with asyncio.timeout(30):
        while len(held) < EDGES or sum(held.values()) != listeners:
            await asyncio.sleep(0.2)
            held = await connections(site)
    return held


def assert_balanced(held: dict[str, int]) -> None:
    mean = sum(held.values()) / EDGES
    assert all(abs(count - mean) <= 0.1 * mean for count in held.values()), held


async def test_only_its_own_listeners_move_and_new_ones_even_it_out(tmp_path: Path) -> None:
    async with installation(tmp_path, edges=EDGES) as site:
        operator = await site.operator()
        await operator.call("POST", "/rooms", {"room": "night", "title": "A night"})
        await operator.call("POST", "/rooms/night/open", {})
        async with crowd(site.audience_url, "night") as listeners:
            await listeners.join(LISTENERS)
            before = await until_held(site, LISTENERS)
            assert_balanced(before)
            started = [event for event in site.events("process_started") if event["child"] == "edge-2"]
            os.kill(int(str(started[-1]["pid"])), signal.SIGTERM)
            await listeners.until_joined(LISTENERS + before["edge-2"])
            waits_s = [wait_s for wait_s in listeners.waits_s if wait_s is not None]
            assert len(listeners.waits_s) == len(waits_s) == before["edge-2"], "all were told, and nobody else moved"
            assert 0 <= min(waits_s) < 1 < 2 < max(waits_s) <= 3, "they come back spread over three seconds"
            # Who came back before the edge did is elsewhere now, and stays there; new ones even it out.
            await site.until_ready()
            await listeners.join(MORE)
            assert_balanced(await until_held(site, LISTENERS + MORE))
            site.process.send_signal(signal.SIGHUP)
            await until(lambda: bool(site.events("roll_done")), "every edge is started anew", deadline_s=60)
            await until_held(site, LISTENERS + MORE)
            assert None not in listeners.waits_s, "in a roll, too, everybody is told"
            starts = [event["child"] for event in site.events("process_started")]
            assert [starts.count(f"edge-{number}") for number in range(1, EDGES + 1)] == [2, 3, 2]
            assert [event["child"] for event in site.events("process_died")] == ["edge-2"], "a roll is no crash"
