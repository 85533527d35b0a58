"""The line of raised hands: listeners' by the bus, those on stage by the API, and what the host does with them."""

import asyncio
import json
from typing import Any, Literal

import pytest

from stentor.bus.port import hand_subject
from stentor.control.hand_rules import HandRules
from stentor.room import hands as line_of_hands
from stentor.room.documents import Role, StagePerson
from stentor.room.hands import HandAsk
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import OTHER_DEVICE, Desk, running_origin
from tests.unit.control.test_people import joined

HANDS = "/api/v1/rooms/demo/hands"


def key(number: int) -> str:
    return f"{number:032x}"


async def said(
    desk: Desk,
    verb: Literal["raise", "ask", "lower"],
    number: int,
    name: str = "Amal",
    *,
    source: str = "",
    room: str = "demo",
) -> Any:
    """Ask as an edge does; return the result, or the problem."""
    ask = HandAsk(verb=verb, key=key(number), name=name, source=source)
    reply = json.loads(await desk.bus.request(hand_subject(room), ask.to_bytes(), timeout_s=5))
    return reply["result"] or reply["problem"]


async def open_line(desk: Desk, *verbs: str) -> str:
    """Make an open room whose listeners may raise their hands; return a host's session."""
    links = await desk.room("demo", *(verbs or ("open",)))
    host = await desk.session(links["host"])
    assert (await desk.ok("PUT", HANDS, host, json={"open": True}))["open"]
    return host


async def line(desk: Desk, session: str) -> list[tuple[str, str, int | None]]:
    shown = await desk.ok("GET", HANDS, session)
    return [(hand["name"], hand["state"], hand["position"]) for hand in shown["hands"]]


async def test_hands_wait_in_order_and_names_are_cleaned(desk: Desk) -> None:
    host = await open_line(desk)
    first = await said(desk, "raise", 1, "  Amal\u202e  Haddad ")
    assert (first["state"], first["position"]) == ("waiting", 1)
    assert (await said(desk, "raise", 2, "Bea"))["position"] == 2
    assert (await said(desk, "raise", 1, "Somebody else"))["position"] == 1
    assert (await said(desk, "ask", 2))["position"] == 2
    assert (await said(desk, "ask", 3))["state"] == "none"
    assert await line(desk, host) == [("Amal Haddad", "waiting", 1), ("Bea", "waiting", 2)]
    assert (await said(desk, "lower", 1))["state"] == "none"
    assert (await said(desk, "ask", 2))["position"] == 1
    refused = await said(desk, "raise", 4, "\u202e")
    assert (refused["status"], refused["detail"]) == (400, "Give your name at least one letter that can be seen.")


async def test_the_line_is_closed_until_a_host_opens_it_and_outside_of_open_rooms(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    host = await desk.session(links["host"])
    assert (await said(desk, "raise", 1))["state"] == "closed"
    await desk.ok("PUT", HANDS, host, json={"open": True})
    document = await desk.document()
    assert document is not None
    assert document["hands_open"] is True
    assert (await said(desk, "raise", 1))["state"] == "waiting"
    await desk.ok("PUT", HANDS, host, json={"open": False})
    assert (await said(desk, "raise", 2))["state"] == "closed"
    assert (await said(desk, "raise", 1))["state"] == "waiting"
    assert (await said(desk, "raise", 1, room="nowhere"))["status"] == 404
    await desk.room("later")
    await desk.ok("PUT", "/api/v1/rooms/later/hands", desk.operator, json={"open": True})
    assert (await said(desk, "raise", 1, room="later"))["state"] == "closed"


async def test_an_invited_listener_gets_a_link_of_their_own(desk: Desk) -> None:
    host = await open_line(desk)
    await said(desk, "raise", 1, "Amal")
    await said(desk, "raise", 2, "Bea")
    hand = (await desk.ok("GET", HANDS, host))["hands"][0]["hand"]
    shown = await desk.ok("POST", f"{HANDS}/{hand}/invite", host)
    assert [each["state"] for each in shown["hands"]] == ["invited", "waiting"]
    again = await desk.ok("POST", f"{HANDS}/{hand}/invite", host)
    assert again["hands"] == shown["hands"]
    invited = await said(desk, "ask", 1)
    assert invited["state"] == "invited"
    opened = await desk.open(invited["url"])
    assert (opened.json()["role"], opened.json()["name"]) == ("speaker", "Amal")
    assert (await said(desk, "ask", 2))["position"] == 1
    links = (await desk.ok("GET", "/api/v1/rooms/demo/links", host))["links"]
    assert [link["name"] for link in links if link["role"] == "speaker"].count("Amal") == 1


async def test_an_invitation_ends_when_it_is_declined_or_lowered(desk: Desk) -> None:
    host = await open_line(desk)
    urls, hand = [], ""
    for number in (1, 2):
        await said(desk, "raise", number)
        hand = (await desk.ok("GET", HANDS, host))["hands"][-1]["hand"]
        await desk.ok("POST", f"{HANDS}/{hand}/invite", host)
        urls.append((await said(desk, "ask", number))["url"])
    await said(desk, "lower", 1)
    assert (await desk.call("DELETE", f"{HANDS}/{hand}", host)).status_code == 204
    assert [(await desk.open(url)).status_code for url in urls] == [401, 401]
    assert [(await said(desk, "ask", number))["state"] for number in (1, 2)] == ["none", "declined"]
    assert await line(desk, host) == []
    assert (await said(desk, "raise", 2))["position"] == 1
    gone = await desk.call("DELETE", f"{HANDS}/{hand}", host)
    assert (gone.status_code, gone.json()["detail"]) == (404, "This hand is no longer up.")


async def test_a_waiting_hand_that_is_lowered_is_told_so(desk: Desk) -> None:
    host = await open_line(desk)
    await said(desk, "raise", 1)
    hand = (await desk.ok("GET", HANDS, host))["hands"][0]["hand"]
    assert (await desk.call("DELETE", f"{HANDS}/{hand}", host)).status_code == 204
    assert (await said(desk, "ask", 1))["state"] == "declined"


async def test_the_line_is_full(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_of_hands, "MOST_HANDS", 3)
    monkeypatch.setattr(line_of_hands, "MOST_OF_A_SOURCE", 2)
    await open_line(desk)
    states = [(await said(desk, "raise", number, source=source))["state"] for number, source in enumerate("aaabc")]
    assert states == ["waiting", "waiting", "full", "waiting", "full"]


async def test_no_more_are_invited_than_there_are_seats(desk: Desk) -> None:
    host = await open_line(desk)
    await desk.ok("PATCH", "/api/v1/rooms/demo", host, json={"seats": 2})
    await desk.stage(StagePerson(person="p1", name="Noor", role=Role.HOST))
    for number in (1, 2):
        await said(desk, "raise", number)
    first, second = (hand["hand"] for hand in (await desk.ok("GET", HANDS, host))["hands"])
    await desk.ok("POST", f"{HANDS}/{first}/invite", host)
    full = await desk.call("POST", f"{HANDS}/{second}/invite", host)
    assert full.status_code == 409
    assert full.json()["detail"].startswith("All 2 seats of the stage are taken or promised.")


async def test_those_on_stage_are_in_the_same_line_and_are_unmuted(desk: Desk) -> None:
    host = await open_line(desk)
    speaker, person = await joined(desk, "speaker", "Bea")
    absent = await desk.call("PUT", f"{HANDS}/me", speaker)
    assert (absent.status_code, absent.json()["detail"]) == (409, "Join the stage first; then raise your hand.")
    await said(desk, "raise", 1, "Amal")
    await desk.stage(StagePerson(person=person, name="Bea", role=Role.SPEAKER))
    for _ in range(2):
        shown = await desk.ok("PUT", f"{HANDS}/me", speaker)
        assert (shown["mine"], shown["total"], shown["hands"]) == (2, 2, [])
    hands = (await desk.ok("GET", HANDS, host))["hands"]
    assert [(hand["name"], hand["person"]) for hand in hands] == [("Amal", None), ("Bea", person)]
    async with running_origin(desk.bus) as origin:
        await desk.ok("POST", f"/api/v1/rooms/demo/people/{person}/mute", host, json={"muted": True})
        await desk.ok("POST", f"{HANDS}/{hands[1]['hand']}/invite", host)
        assert [asked["muted"] for verb, asked in origin.asked if verb == "mute"] == [True, False]
    assert await line(desk, host) == [("Amal", "waiting", 1)]
    await desk.ok("PUT", f"{HANDS}/me", speaker)
    assert (await desk.ok("DELETE", f"{HANDS}/me", speaker))["mine"] is None


async def test_who_may_do_what(desk: Desk) -> None:
    await open_line(desk)
    await said(desk, "raise", 1)
    for role, allowed in (("moderator", True), ("cohost", True), ("speaker", False)):
        session, _ = await joined(desk, role)
        shown = await desk.ok("GET", HANDS, session)
        assert (shown["total"], len(shown["hands"])) == (1, int(allowed))
        answers = [
            await desk.call("PUT", HANDS, session, json={"open": True}),
            await desk.call("POST", f"{HANDS}/none/invite", session),
            await desk.call("DELETE", f"{HANDS}/none", session),
        ]
        assert [answer.status_code for answer in answers] == ([200, 404, 404] if allowed else [403, 403, 403])
    refused = await desk.call("PUT", f"{HANDS}/me", desk.operator)
    assert (refused.status_code, refused.json()["detail"]) == (403, "As operator you may not raise one's hand.")


async def test_who_was_blocked_raises_no_hand(desk: Desk) -> None:
    host = await open_line(desk)
    await said(desk, "raise", 1)
    hand = (await desk.ok("GET", HANDS, host))["hands"][0]["hand"]
    await desk.ok("POST", f"{HANDS}/{hand}/invite", host)
    opened = (await desk.open((await said(desk, "ask", 1))["url"], OTHER_DEVICE)).json()
    person = f"/api/v1/rooms/demo/people/{opened['person']}"
    async with running_origin(desk.bus):
        assert (await desk.call("DELETE", f"{person}?block=true", host)).status_code == 204
    assert (await said(desk, "ask", 1))["state"] == "declined"
    assert (await said(desk, "lower", 1))["state"] == "none"
    assert (await said(desk, "raise", 1))["state"] == "declined"
    assert await line(desk, host) == []
    assert (await desk.call("DELETE", f"/api/v1/rooms/demo/blocks/{opened['person']}", host)).status_code == 204
    assert (await said(desk, "raise", 1))["state"] == "waiting"


async def ticks(clock: VirtualClock, seconds: float, step_s: float = 0.5) -> None:
    """Let time pass in steps that control's own tasks follow: each waits for the database, which has its own time."""
    asleep = clock.sleepers
    for _ in range(int(seconds / step_s)):
        await clock.advance(step_s)
        async with asyncio.timeout(10):
            while clock.sleepers < asleep:  # noqa: ASYNC110 - nothing says that a task sleeps again
                await asyncio.sleep(0.001)


async def test_who_has_gone_leaves_the_line_and_the_end_of_the_room_empties_it(desk: Desk, clock: VirtualClock) -> None:
    host = await open_line(desk)
    await said(desk, "raise", 1, "Amal")
    await said(desk, "raise", 2, "Bea")
    for _ in range(4):
        await ticks(clock, 50, step_s=5)
        assert (await said(desk, "ask", 2))["state"] == "waiting"
    assert await line(desk, host) == [("Bea", "waiting", 1)]
    assert (await said(desk, "ask", 1))["state"] == "none"
    await ticks(clock, 40, step_s=5)
    assert (await desk.ok("GET", HANDS, host))["hands"][0]["here"] is False
    await desk.ok("POST", "/api/v1/rooms/demo/start", host, json={"force": True})
    await desk.ok("POST", "/api/v1/rooms/demo/end", host)
    await ticks(clock, 11)
    assert await desk.catalogue.hands("demo") == []
    assert (await said(desk, "ask", 2))["state"] == "none"


async def test_who_comes_on_stage_leaves_the_line_and_keeps_their_link(desk: Desk, clock: VirtualClock) -> None:
    host = await open_line(desk)
    await said(desk, "raise", 1)
    hand = (await desk.ok("GET", HANDS, host))["hands"][0]["hand"]
    await desk.ok("POST", f"{HANDS}/{hand}/invite", host)
    url = (await said(desk, "ask", 1))["url"]
    person = (await desk.open(url)).json()["person"]
    await desk.stage(StagePerson(person=person, name="Amal", role=Role.SPEAKER))
    await ticks(clock, 1)
    assert await line(desk, host) == []
    assert (await said(desk, "ask", 1))["url"] == url
    async with running_origin(desk.bus):
        await desk.ok("DELETE", f"/api/v1/rooms/demo/people/{person}", host)
    assert (await said(desk, "ask", 1))["state"] == "declined"
    assert (await said(desk, "raise", 1))["state"] == "waiting"


async def test_an_invitation_that_nobody_opens_gives_its_seat_back(desk: Desk, clock: VirtualClock) -> None:
    host = await open_line(desk)
    await desk.ok("PATCH", "/api/v1/rooms/demo", host, json={"seats": 1})
    await said(desk, "raise", 1, "Amal")
    await said(desk, "raise", 2, "Bea")
    first, second = (hand["hand"] for hand in (await desk.ok("GET", HANDS, host))["hands"])
    await desk.ok("POST", f"{HANDS}/{first}/invite", host)
    url = (await said(desk, "ask", 1))["url"]
    await ticks(clock, 170, step_s=5)
    assert (await said(desk, "ask", 1))["state"] == "invited"
    assert (await said(desk, "ask", 2))["state"] == "waiting"
    await ticks(clock, 12)
    assert (await said(desk, "ask", 1))["state"] == "declined"
    assert (await desk.open(url)).status_code >= 400
    await desk.ok("POST", f"{HANDS}/{second}/invite", host)
    assert (await said(desk, "ask", 2))["state"] == "invited"


async def test_a_restart_forgets_nobody(desk: Desk) -> None:
    host = await open_line(desk)
    await said(desk, "raise", 2, "Bea")
    await said(desk, "raise", 1, "Amal")
    rules = desk.control.rules
    again = HandRules(rules.parts, rules.staff, rules.stage, rules.rooms)
    shown = await again.shown("demo", Role.HOST, "")
    assert [hand.name for hand in shown.hands] == ["Bea", "Amal"]
    assert shown.model_dump(mode="json") == await desk.ok("GET", HANDS, host)


async def test_hands_that_rise_at_the_same_time_get_one_place_each(desk: Desk) -> None:
    await open_line(desk)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(said(desk, "raise", number)) for number in (*range(20), 7, 7)]
    places = [task.result()["position"] for task in tasks]
    assert sorted(set(places)) == list(range(1, 21))


async def test_garbage_is_refused(desk: Desk) -> None:
    await open_line(desk)
    for payload in (b"", b"[]", b'{"verb": "raise", "key": "short"}', b'{"verb": "shout", "key": "%032d"}' % 1):
        reply = json.loads(await desk.bus.request(hand_subject("demo"), payload, timeout_s=5))
        assert reply["problem"]["status"] == 400
