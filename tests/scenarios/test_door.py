"""The door of a room on real edges and a real bus: who gets in, in which order, and who is back when edges die."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from stentor.edge.downstream import RelaySettings
from stentor.room.documents import Dials
from tests.fakes.buses import until
from tests.fakes.doors import GuardedRoom, Person, all_leave, guarded_room
from tests.fakes.lower_edge import KEY, lower_edge
from tests.fakes.wav_room import WavRoom, wav_room


@pytest.fixture(autouse=True)
async def _nobody_stays() -> AsyncIterator[None]:
    yield
    await all_leave()


async def full(room: GuardedRoom, count: int) -> list[Person]:
    """Fill a room, by both of its edges in turn."""
    people = [Person(room.edges[number % len(room.edges)].url) for number in range(count)]
    for person in people:
        await person.come_in()
    return people


async def test_the_line_is_fair_over_two_edges_and_nobody_uses_a_ticket_twice(tmp_path: Path) -> None:
    async with guarded_room(tmp_path, cap=2, per_second=20) as room:
        inside = await full(room, 2)
        first, second = Person(room.edges[0].url), Person(room.edges[1].url)
        assert not await first.ask()
        assert first.told["because"] == "counting"
        await asyncio.sleep(1.1)  # the next second, as the line is in order of seconds
        assert not await second.ask()

        thief = Person(room.edges[1].url, inside[0].ticket)
        assert await thief.listen() in (0, 4409)
        assert await thief.closed() == 4409
        assert inside[0].listens
        assert room.most_inside <= 3, "the thief was counted for as long as they heard something"
        room.words.clear()
        assert await Person(room.edges[1].url, "E" * 48).listen() == 4429, "a forged ticket"
        await until(lambda: room.words != [] and room.words[-1].waiting == 2, "both stand in line")
        assert await second.place() == 2

        await inside[1].leave()
        await first.is_let_in()
        assert not await second.ask(), "there is one place, and it is the other's"
        assert await first.listen() == 0
        await inside[0].drop()
        assert await Person(room.edges[1].url, inside[0].ticket).listen() == 0, "who drops comes back, by any edge"
        assert not await second.ask()
        await first.leave()
        await second.come_in()
        assert room.most_inside <= 2


async def test_a_player_of_hls_is_one_over_two_edges_and_a_copy_of_its_ticket_is_none(tmp_path: Path) -> None:
    async with guarded_room(tmp_path, cap=4, per_second=20) as room, httpx.AsyncClient() as client:
        here, there = (f"{edge.url}/live.m3u8" for edge in room.edges)
        master = await client.get(here)
        while master.status_code == 503:  # its edge has not been given a place for whoever comes yet
            await asyncio.sleep(0.2)
            master = await client.get(here)
        query = next(line for line in master.text.splitlines() if "seat=" in line).partition("?")[2]
        answers = []
        async with asyncio.timeout(20):
            while (await client.get(f"{there}?{query}")).status_code == 503:  # it has not heard of the other one yet
                assert (await client.get(f"{here}?{query}")).status_code == 200
                await asyncio.sleep(0.2)
            while 409 not in answers:
                for url in (here, there):
                    assert (await client.get(f"{url}?{query}")).status_code == 200, "its requests reach both edges"
                copy = await client.get(f"{there}?{query}", headers={"User-Agent": "a copy"})
                answers.append(copy.status_code)
                await asyncio.sleep(0.2)
        assert (await client.get(f"{here}?{query}", headers={"User-Agent": "a copy"})).status_code == 409
        assert room.words[-1].waiting == 0


async def test_edge_and_leader_die_and_everybody_is_back_without_queueing(tmp_path: Path) -> None:
    async with guarded_room(tmp_path, edges=3, cap=6, per_second=50) as room:
        people = await full(room, 6)
        last = Person(room.edges[0].url)
        assert not await last.ask()
        await until(lambda: room.words[-1].waiting == 1, "somebody stands in line")
        await until(lambda: room.words[-1].inside == 6, "all are counted")
        term = room.words[-1].term
        dead = room.leader
        lost = [person for person in people if person.url == dead.url]
        assert len(lost) == 2
        await dead.kill()
        others = [edge for edge in room.edges if edge is not dead]
        last.url = others[0].url
        for person, edge in zip(lost, others, strict=True):
            person.url = edge.url
        await until(lambda: room.words[-1].term > term, "another edge leads")
        async with asyncio.timeout(30):
            while len(room.words[-1].edges) > 2 or room.words[-1].held or not all(person.listens for person in lost):
                for person in lost:
                    if not person.listens and await person.ask():
                        await person.listen()
                assert not await last.ask(), "their places were kept"
                await asyncio.sleep(0.2)
        assert all(person.listens for person in people)
        await next(person for person in people if person not in lost).leave()
        await last.come_in()
        assert sum(person.listens for person in (*people, last)) == 6


async def test_the_bus_goes_and_whoever_asks_is_answered_all_the_same(tmp_path: Path) -> None:
    async with guarded_room(tmp_path, edges=1, cap=1, per_second=20) as room:
        (inside,) = await full(room, 1)
        waiting = Person(room.edges[0].url)
        await waiting.ask()
        room.nats.kill()
        await until(lambda: not room.bus.connected, "the bus is away")
        await inside.drop()
        assert await inside.listen() == 0, "who was here is let in again"
        assert not await waiting.ask()
        newcomer = Person(room.edges[0].url)
        assert not await newcomer.ask()
        room.nats.start()
        await inside.leave()
        await waiting.come_in(40)


async def set_door(room: WavRoom, **dials: float | None) -> None:
    """Turn the room's dials, and wait until the edge has heard and lets people in."""
    room.document = room.document.model_copy(update={"door": Dials.model_validate(dials)})
    await room.bus.put("rooms", "demo", room.document.to_bytes())
    served = room.edge.rooms.get("demo")
    await room.until(lambda: (served.door is not None) == room.document.door.guarded, "the edge has heard")
    door = served.door
    if door is not None:
        await room.until(lambda: door.rules.word is not None and door.rules.word.is_open, "a leader leads")


async def state(client: httpx.AsyncClient) -> dict[str, object]:
    """Return what state.json says of the door."""
    door: dict[str, object] = (await client.get("state.json")).json()["door"]
    return door


async def test_a_door_throws_nobody_out_and_opens_at_once_when_it_is_taken_away() -> None:
    async with wav_room() as room, httpx.AsyncClient(base_url=room.url + "/", timeout=10) as client:
        assert await state(client) == {
            "guarded": False, "cap": None, "per_second": None, "inside": 0, "waiting": 0, "because": None,
            "overflow": None,
        }  # fmt: skip
        early, player = Person(room.url), {"User-Agent": "a player"}
        assert await early.ask()
        assert await early.listen() == 0
        assert (await client.get("aac.m3u8", headers=player)).status_code == 200
        await set_door(room, cap=1)
        assert early.listens
        assert (await client.get("aac.m3u8", headers=player)).status_code == 200
        door = room.edge.rooms.get("demo").door
        assert door is not None
        await room.until(lambda: door.rules.word is not None and door.rules.word.inside == 2, "both are counted")
        said = await state(client)
        assert (said["guarded"], said["cap"], said["inside"]) == (True, 1, 2)
        late = Person(room.url)
        assert not await late.ask()
        await set_door(room, cap=None)
        assert await late.ask()
        assert await late.listen() == 0
        assert early.listens
        await room.until(lambda: room.edge._doors._leader.term is None, "nobody leads where there is no door")
        assert await room.bus.get("doors", "demo") is None


async def test_players_without_a_ticket_get_in_while_there_is_room_and_are_told_where_the_line_is_else() -> None:
    async with wav_room() as room, httpx.AsyncClient(base_url=room.url + "/", timeout=10) as client:
        await set_door(room, cap=2, per_second=50)
        served = room.edge.rooms.get("demo")
        await room.until(
            lambda: bool(served.door and served.door.rules.is_straight(served.door._now())), "there is room"
        )
        async with client.stream("GET", "listen.aac") as radio:
            assert radio.status_code == 200
            master = await client.get("live.m3u8")
            assert master.status_code == 200
            media = next(line for line in master.text.splitlines() if line.startswith("aac.m3u8?ticket="))
            assert (await client.get(media)).status_code == 200
            refused = await client.get("listen.mp3")
            assert refused.status_code == 503
            assert refused.headers["retry-after"].isdigit()
            problem = refused.json()
            assert problem["type"].endswith(":door")
            assert (problem["ticket"], problem["page"]) == ("/r/demo/ticket", "/r/demo/door")
            for path in ("live.m3u8", "aac.m3u8", "opus.m3u8", "listen.opus"):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["type"]) == (503, problem["type"]), path
            other = await client.get(media, headers={"User-Agent": "somebody else"})
            assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (409, "elsewhere")
            assert (await client.get(media)).status_code == 200
            assert (await client.post("ticket", content=b"[]")).status_code == 400
            assert (await client.post("ticket", content=b'{"ticket": 7}')).status_code == 400
            assert (await client.post("ticket", content=b" " * 5_000)).status_code == 413


async def test_an_edge_below_lets_people_in_by_the_same_door_and_a_mirror_lets_nobody_in() -> None:
    async with (
        wav_room(relays=RelaySettings(KEY, public=1), origin=False) as room,
        lower_edge(room.port, ticket_key=room.edge._settings.ticket_key) as below,
        lower_edge(room.port, "mirror", key="") as mirror,
        httpx.AsyncClient(timeout=10) as client,
    ):
        await set_door(room, cap=2, per_second=50)
        door = below.edge.rooms.get("demo").door
        assert door is not None
        await room.until(lambda: door.rules.is_straight(door._now()), "the leader hears the edge below")
        one, two, three = Person(below.url), Person(room.url), Person(below.url)
        await one.come_in()
        await two.come_in()
        assert not await three.ask()
        await room.until(lambda: mirror.edge.rooms.get("demo").door is not None, "the mirror knows of the door")
        refused = await client.post(f"{mirror.url}/ticket")
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (503, "door")
        assert await Person(mirror.url, two.ticket).listen() == 4429
        await two.leave()
        await three.come_in()
        assert one.listens


async def test_a_cache_of_ours_is_given_playlists_and_holds_no_place() -> None:
    async with wav_room() as room, httpx.AsyncClient(base_url=room.url + "/", timeout=10) as client:
        room.edge._routes.cache_key = "what the cache says"
        await set_door(room, cap=0)
        for said, status in (("what the cache says", 200), ("something else", 503), ("", 503)):
            for path in ("live.m3u8", "aac.m3u8"):
                answer = await client.get(path, headers={"Stentor-Cache": said, "Via": "1.1 cache"})
                assert answer.status_code == status, (path, said)
        assert (await client.get("state.json")).json()["audience"]["listeners"] == 0
