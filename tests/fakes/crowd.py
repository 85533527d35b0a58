"""A crowd of LL-HLS players before a cache, and what reaches the edge behind it."""

import asyncio
import re
import time
from collections import Counter

from stentor.edge.connection import Connection
from stentor.edge.http import Request, Response
from stentor.edge.server import Edge
from tests.fakes.hls_player import Watched, play

_NEVER_CHANGES = re.compile(r"\.m4s|init\.mp4|_HLS_msn")
DIRECT = "direct"
"""The User-Agent of who asks the edge beside the cache."""


class Counted:
    """What an edge is asked through the cache, by address and query."""

    def __init__(self, edge: Edge) -> None:
        self.asked: Counter[str] = Counter()
        self._edge = edge
        self._handle = edge.handle
        edge.handle = self.handle  # type: ignore[method-assign]  # counts what passes

    def handle(self, connection: Connection, request: Request) -> Response | None:
        """Count and answer."""
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        if request.user_agent != DIRECT:
            self.asked[f"{request.path}?{query}"] += 1
        return self._handle(connection, request)

    def stop(self) -> None:
        """Count no more."""
        self._edge.handle = self._handle  # type: ignore[method-assign]  # as it was

    def per_object(self) -> float:
        """Return the requests for each distinct playlist of a part, part and segment."""
        objects = {asked: count for asked, count in self.asked.items() if _NEVER_CHANGES.search(asked)}
        return sum(objects.values()) / len(objects)


async def crowd(url: str, direct: str, *, players: int, seconds: float) -> tuple[list[Watched], Watched]:
    """Let players, each with a ticket of its own, play through a cache, and one more play beside it, directly."""
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        beside = tasks.create_task(play(direct, until, agent=DIRECT, media=False))
        playing = [tasks.create_task(play(url, until, query=f"ticket=t{index}")) for index in range(players)]
    return [player.result() for player in playing], beside.result()


def delays_ms(players: list[Watched], beside: Watched) -> list[float]:
    """Return how much later than directly each blocking reload came, in milliseconds."""
    return [
        (at - beside.at_s[position]) * 1000
        for player in players
        for position, at in player.at_s.items()
        if position in beside.at_s
    ]
