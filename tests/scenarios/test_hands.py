"""Listeners' hands at a real edge, and at one behind it: what goes up, what comes back, and who is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from stentor.bus.port import hand_subject
from stentor.edge.downstream import RelaySettings
from stentor.errors import BadRequest
from stentor.room.hands import HandAnswer, HandAsk
from stentor.room.requests import Reply
from stentor.room.states import RoomState
from tests.fakes.lower_edge import KEY, LowerEdge, lower_edge
from tests.fakes.wav_room import WavRoom, wav_room

pytestmark = pytest.mark.timeout(60)

ONE, OTHER = "1" * 32, "2" * 32


@dataclass
class Control:
    """Answers as the test says, and keeps what it was asked."""

    asked: list[HandAsk] = field(default_factory=list)
    reply: Reply = field(
        default_factory=lambda: Reply(result=HandAnswer(state="waiting", position=3, retry_after_s=4).model_dump())
    )
    held: asyncio.Event | None = None

    async def answer(self, _subject: str, payload: bytes) -> bytes:
        self.asked.append(HandAsk.model_validate_json(payload))
        if self.held is not None:
            await self.held.wait()
        return self.reply.to_bytes()


@dataclass
class Door:
    """An edge, the control behind it, and a client of its room."""

    edge: WavRoom
    control: Control
    http: httpx.AsyncClient

    async def say(
        self, *, key: str = ONE, method: str = "POST", below: LowerEdge | None = None, **more: object
    ) -> httpx.Response:
        """Send what a page would."""
        url = f"{below.url if below else self.edge.url}/hand"
        return await self.http.request(method, url, json={"key": key, **more})


@asynccontextmanager
async def door(*, is_open: bool = True, **relays: object) -> AsyncIterator[Door]:
    """Serve a room whose listeners may raise their hands."""
    async with AsyncExitStack() as stack:
        settings = RelaySettings(KEY, **relays)  # type: ignore[arg-type]
        edge = await stack.enter_async_context(wav_room(origin=False, relays=settings))
        control = Control()
        await stack.enter_async_context(edge.bus.serve(hand_subject("*"), control.answer))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=10))
        edge.document = edge.document.model_copy(update={"hands_open": is_open})
        await edge.put(RoomState.LIVE)
        await edge.until(lambda: edge.edge.rooms.get("demo").document.hands_open is is_open, "the edge knows")
        yield Door(edge, control, http)


async def test_a_hand_goes_up_to_control_and_its_answer_comes_back() -> None:
    async with door() as at:
        raised = await at.say(name="Amal")
        assert raised.json() == {"state": "waiting", "position": 3, "retry_after_s": 4.0, "url": None}
        assert raised.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in raised.headers
        await at.say(ask=True)
        await at.say(method="DELETE")
        assert [(ask.verb, ask.key, ask.name) for ask in at.control.asked] == [
            ("raise", ONE, "Amal"), ("ask", ONE, ""), ("lower", ONE, ""),
        ]  # fmt: skip
        assert "127.0.0.1" not in {ask.source for ask in at.control.asked}
        assert len({ask.source for ask in at.control.asked}) == 1
        at.control.reply = Reply(problem=BadRequest("Give your name a letter.", slug="bad-name").problem())
        refused = await at.say(name="\u202e")
        assert (refused.status_code, refused.json()["detail"]) == (400, "Give your name a letter.")
        assert refused.json()["type"] == "urn:stentor:problem:bad-name"


async def test_state_json_says_whether_hands_may_go_up_and_no_name() -> None:
    async with door() as at:
        await at.say(name="Amal")
        state = (await at.http.get(f"{at.edge.url}/state.json")).text
        assert '"hands_open":true' in state
        assert "Amal" not in state
        await at.edge.put(RoomState.ENDED)
        await at.edge.until(lambda: not at.edge.edge.rooms.get("demo").is_open, "it ends")
        assert (await at.http.get(f"{at.edge.url}/state.json")).json()["hands_open"] is False


async def test_a_closed_line_costs_control_nothing_but_who_is_in_it_hears_more() -> None:
    async with door(is_open=False) as at:
        assert (await at.say(name="Amal")).json()["state"] == "closed"
        assert at.control.asked == []
        assert (await at.say(ask=True)).json()["state"] == "waiting"


async def test_what_is_no_hand_is_refused() -> None:
    async with door() as at:
        url = f"{at.edge.url}/hand"
        answers = [
            await at.http.get(url),
            await at.http.post(url, content=b'{"key": "x"}', headers={"Content-Type": "text/plain"}),
            await at.say(key="no key"),
            await at.say(name="x" * 501),
            await at.http.post(url, content=b" " * 1_025, headers={"Content-Type": "application/json"}),
        ]
        assert [answer.status_code for answer in answers] == [405, 415, 400, 400, 413]
        assert answers[0].headers["allow"] == "POST, DELETE"
        preflight = await at.http.options(url, headers={"Origin": "https://elsewhere.example"})
        assert preflight.status_code == 204
        assert "access-control-allow-origin" not in preflight.headers
        assert (await at.http.post(url.replace("demo", "nowhere"), json={"key": ONE})).status_code == 404
        assert at.control.asked == []


async def test_a_page_that_asks_without_end_is_told_to_wait_and_others_are_not() -> None:
    async with door() as at:
        codes = [(await at.say(ask=True)).status_code for _ in range(12)]
        assert codes[:10] == [200] * 10
        assert codes[11] == 429
        assert (await at.say(key=OTHER, ask=True)).status_code == 200


async def test_control_away_is_said_and_no_more_wait_than_may() -> None:
    async with door() as at:
        at.control.held = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(at.say(key=f"{number:032x}", ask=True)) for number in range(64)]
            await at.edge.until(lambda: len(at.control.asked) == 64, "all are under way")
            busy = await at.say(key=OTHER, ask=True)
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
            at.control.held.set()
        assert {task.result().status_code for task in waiting} == {200}
        at.edge.bus.away()
        assert (await at.say(key=OTHER, ask=True)).status_code == 503
        at.edge.bus.back()
        assert (await at.say(key=OTHER, ask=True)).status_code == 200


async def test_hands_go_up_through_edges_behind_edges() -> None:
    async with door() as at, lower_edge(at.edge.port, "middle") as middle, lower_edge(middle.port, "lowest") as lowest:
        await at.edge.until(lambda: lowest.edge.rooms.get("demo").document.hands_open, "it is known below")
        raised = await at.say(name="Amal", below=lowest)
        assert (raised.json()["state"], raised.json()["position"]) == ("waiting", 3)
        assert [(ask.verb, ask.name) for ask in at.control.asked] == [("raise", "Amal")]
        at.control.reply = Reply(problem=BadRequest("Give your name a letter.").problem())
        assert (await at.say(key=OTHER, name="?", below=lowest)).status_code == 400
        at.control.held = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            under_way = group.create_task(at.say(ask=True, below=lowest))
            await at.edge.until(lambda: len(at.control.asked) == 3, "it is on its way")
            for relay in tuple(middle.edge.rooms.downstream._relays):
                relay.cut()
        assert under_way.result().status_code == 503
        at.control.held.set()
        await at.edge.until(lambda: lowest.bus.connected, "the line is back")
        assert (await at.say(ask=True, below=lowest)).status_code == 400


async def test_a_relay_without_the_key_cannot_say_where_hands_come_from() -> None:
    async with door(public=1) as at, lower_edge(at.edge.port, "mirror", key="") as mirror:
        await at.edge.until(lambda: mirror.edge.rooms.get("demo").document.hands_open, "it is known below")
        assert (await at.say(name="Amal", below=mirror)).json()["state"] == "waiting"
        assert [ask.source for ask in at.control.asked] == ["a public relay"]
