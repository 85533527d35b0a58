"""Rooms and their states: what the bus is told, who wins, what opens by itself."""

import asyncio
import json
from typing import Any

from stentor.clock import NS_PER_S
from stentor.control.server import PUBLISHED_SUBJECT
from stentor.media.grid import SEGMENT_NS
from stentor.room.documents import Role, StagePerson
from tests.fakes.clock import START_NS, VirtualClock, settle
from tests.fakes.staff import Desk, running_origin

ROOM = "/api/v1/rooms/demo"


async def change(desk: Desk, verb: str, session: str | None = None, **command: object) -> tuple[int, dict[str, Any]]:
    answer = await desk.call("POST", f"{ROOM}/{verb}", session or desk.operator, json=command)
    return answer.status_code, answer.json()


async def test_created_room_is_a_draft_on_the_bus(desk: Desk) -> None:
    body = {"room": "demo", "title": " An  evening ", "description": "One\nTwo", "language": "ar", "recorded": False}
    answer = await desk.call("POST", "/api/v1/rooms", desk.operator, json=body)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == ROOM
    expected = {"title": "An evening", "description": "One\nTwo", "language": "ar", "recorded": False}
    assert made.items() >= {"state": "draft", "on_air": False, "zero_ns": None, "changed_by": "operator"}.items()
    assert made.items() >= expected.items()
    document = await desk.document()
    assert document is not None
    assert document.items() >= {**expected, "state": "draft", "key_fingerprint": made["key_fingerprint"]}.items()
    assert await desk.ok("GET", ROOM, desk.operator) == {k: v for k, v in made.items() if k != "links"}
    listed = await desk.ok("GET", "/api/v1/rooms", desk.operator)
    assert [room["room"] for room in listed["rooms"]] == ["demo"]


async def test_a_start_beyond_all_calendars_is_refused(desk: Desk) -> None:
    for when in ("9999-12-31T23:59:59Z", "1969-12-31T00:00:00Z", "0001-01-01T00:00:00+14:00"):
        answer = await desk.call("POST", "/api/v1/rooms", desk.operator, json={"title": "Late", "planned_start": when})
        assert answer.status_code == 400
        assert "give a time between 1970 and 2200" in answer.json()["detail"]


async def test_room_without_an_address_gets_one_from_its_title(desk: Desk) -> None:
    for title, begins in (("Ünder the Sea!", "under-the-sea-"), ("ليلة", "room-")):
        made = await desk.ok("POST", "/api/v1/rooms", desk.operator, json={"title": title})
        assert str(made["room"]).startswith(begins)


async def test_taken_address(desk: Desk) -> None:
    await desk.room()
    answer = await desk.call("POST", "/api/v1/rooms", desk.operator, json={"room": "demo", "title": "x"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "There is a room at this address already. Choose another address."


BAD_ROOMS: list[tuple[dict[str, object], str]] = [
    ({}, "title: Field required"),
    ({"title": "x", "room": "A B"}, "1 to 63 lower-case letters"),
    ({"title": "\u202e"}, "Give the title at least one letter"),
    ({"title": "x" * 121}, "Make the title shorter: it has 121 characters"),
    ({"title": "x", "planned_start": "tomorrow"}, "planned_start"),
    ({"title": "x", "planned_start": "2027-01-15T08:00:00"}, "timezone"),
    ({"title": "x", "time_zone": "Mars/Base"}, "Give one like Asia/Beirut"),
    ({"title": "x", "language": "../x"}, "language"),
    ({"title": "x", "colour": "red"}, "colour"),
]


async def test_bad_rooms_are_refused_with_a_sentence(desk: Desk) -> None:
    for body, says in BAD_ROOMS:
        answer = await desk.call("POST", "/api/v1/rooms", desk.operator, json=body)
        assert answer.status_code == 400, body
        assert says in answer.json()["detail"]
    assert await desk.ok("GET", "/api/v1/rooms", desk.operator) == {"rooms": []}


async def test_unknown_room(desk: Desk) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/open"), ("GET", "/links"),
                         ("GET", "/roster"), ("GET", "/events"), ("PUT", "/announcement"),
                         ("PUT", "/delivery")):  # fmt: skip
        body = {"/announcement": {"text": "x"}, "/delivery": {"block_steps": 1}}.get(path, {})
        answer = await desk.call(method, f"/api/v1/rooms/nowhere{path}", desk.operator, json=body)
        assert answer.status_code == 404, path
        assert answer.json()["detail"] == "There is no such room. Check the address."


async def test_whole_life(desk: Desk, clock: VirtualClock) -> None:
    await desk.room()
    await clock.advance(1.0)
    assert (await change(desk, "open"))[1]["zero_ns"] == START_NS
    room: dict[str, Any] = {}
    for verb, state in (("start", "live"), ("hold", "held"), ("resume", "live"), ("hold", "held"), ("end", "ended")):
        await clock.advance(1.0)
        status, room = await change(desk, verb, force=True)
        document = await desk.document()
        assert status == 200
        assert document is not None
        assert room["state"] == document["state"] == state
    assert (room["started_at"], room["ended_at"]) == ("2027-01-15T08:00:02.000Z", "2027-01-15T08:00:06.000Z")
    published = await desk.bus.request(PUBLISHED_SUBJECT, b'{"room": "demo"}', timeout_s=1)
    assert json.loads(published) == {"result": {}, "problem": None}
    assert await desk.bus.request(PUBLISHED_SUBJECT, b'{"room": "demo"}', timeout_s=1) == published
    document = await desk.document()
    assert document is not None
    assert document["state"] == "published"
    recording = await desk.catalogue.recording("demo")
    assert recording is not None
    actions = [entry.action for entry in await desk.catalogue.audit("demo")]
    assert actions == ["create", "open", "start", "hold", "resume", "hold", "end", "publish"]


async def test_publishing_what_cannot_be(desk: Desk) -> None:
    await desk.room("demo", "open")
    for message, status in ((b"x", 400), (b"[]", 400), (b"{}", 400), (b'{"room": 5}', 400), (b'{"room": "no"}', 404),
                            (b'{"room": "demo"}', 409)):  # fmt: skip
        reply = json.loads(await desk.bus.request(PUBLISHED_SUBJECT, message, timeout_s=1))
        assert reply["problem"]["status"] == status
    assert await desk.catalogue.recording("demo") is None


async def test_start_of_an_ended_room(desk: Desk) -> None:
    await desk.room("demo", "open", "end")
    status, problem = await change(desk, "start")
    assert status == 409
    assert problem["type"] == "urn:stentor:problem:wrong-state"
    assert problem["detail"] == "This room is ended now, by operator; it cannot start."
    assert problem["state"] == "ended"


async def test_two_hosts_click_at_once(desk: Desk) -> None:
    links = await desk.room("demo", "open", "start")
    second = await desk.invite("host", "Second")
    sessions = [await desk.session(links["host"]), await desk.session(second["url"])]
    async with asyncio.TaskGroup() as group:
        clicks = [
            group.create_task(change(desk, verb, session, expected="live"))
            for verb, session in zip(("hold", "end"), sessions, strict=True)
        ]
    by_status = {status: answer for status, answer in (click.result() for click in clicks)}
    assert set(by_status) == {200, 409}
    won, told = by_status[200], by_status[409]
    lost_verb = "end" if won["state"] == "held" else "hold"
    assert told["type"] == "urn:stentor:problem:wrong-state"
    assert told["detail"] == f"This room is {won['state']} now, by {won['changed_by']}; it cannot {lost_verb}."
    document = await desk.document()
    assert document is not None
    assert document["state"] == won["state"]


async def test_expected_state_that_is_past(desk: Desk) -> None:
    await desk.room("demo", "open", "start", "hold")
    status, problem = await change(desk, "end", expected="live")
    assert (status, problem["state"]) == (409, "held")


async def test_start_names_speakers_that_are_not_ready(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    waiting = await desk.invite("speaker", "Waiting")
    await desk.session(waiting["url"])
    await desk.session(links["host"])
    await desk.stage(
        StagePerson(person="p1", name="Ready", role=Role.SPEAKER, heard=True),
        StagePerson(person="p2", name="Muted", role=Role.HOST, heard=True, muted_by="self"),
        StagePerson(person="p3", name="Silent", role=Role.COHOST),
        StagePerson(person="p4", name="Moderator", role=Role.MODERATOR),
        StagePerson(person="p5", name="Gone", role=Role.SPEAKER, connected=False),
    )
    status, problem = await change(desk, "start")
    assert status == 409
    assert problem["type"] == "urn:stentor:problem:speakers-not-ready"
    assert problem["detail"] == (
        "Not everybody is ready: Muted (muted), Silent (not heard), Waiting (not heard). Start anyway?"
    )
    assert problem["speakers"] == [
        {"person": "p2", "name": "Muted", "reason": "muted"},
        {"person": "p3", "name": "Silent", "reason": "not-heard"},
        {"person": waiting["link"], "name": "Waiting", "reason": "not-heard"},
    ]
    assert (await change(desk, "start", force=True))[0] == 200


async def test_start_when_everybody_is_ready(desk: Desk) -> None:
    await desk.room("demo", "open")
    await desk.stage(StagePerson(person="p1", name="Ready", role=Role.SPEAKER, heard=True))
    assert (await change(desk, "start"))[0] == 200


async def test_scheduled_room_opens_by_itself(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", planned_start="2027-01-15T11:00:05+03:00", time_zone="Asia/Beirut")
    assert (await desk.ok("GET", ROOM, desk.operator))["planned_start"] == "2027-01-15T08:00:05.000Z"
    await clock.advance(4)
    await settle()
    assert (await desk.ok("GET", ROOM, desk.operator))["state"] == "scheduled"
    await _until_open(desk, clock)
    room = await desk.ok("GET", ROOM, desk.operator)
    assert (room["state"], room["changed_by"]) == ("lobby", "the clock")
    document = await desk.document()
    assert document is not None
    zero_ns = document["zero_ns"]
    assert isinstance(zero_ns, int)
    assert zero_ns % SEGMENT_NS == 0
    assert START_NS + 5 * NS_PER_S - SEGMENT_NS < zero_ns <= START_NS + 6 * NS_PER_S


async def _until_open(desk: Desk, clock: VirtualClock) -> None:
    """Let time pass; the catalogue answers in real time, so wait for what it says."""
    await clock.advance(2)
    await desk.control.rules.rooms.open_due()
    room = await desk.catalogue.room("demo")
    assert room is not None
    assert room.state == "lobby"
    await _until_said(desk, clock, "lobby")


async def test_the_catalogue_is_asked_when_the_next_doors_open_and_after_each_change(
    desk: Desk, clock: VirtualClock
) -> None:
    rules = desk.control.rules.rooms
    await desk.room("demo", planned_start="2027-01-15T08:00:05Z")
    assert rules._is_time()
    await rules.open_due()
    assert rules._next_look_ns == START_NS + 5 * NS_PER_S
    await desk.ok("PATCH", ROOM, desk.operator, json={"planned_start": "2027-01-15T08:00:03Z"})
    assert rules._is_time()
    await rules.open_due()
    assert not rules._is_time()
    clock.step_wall(-3_600)
    assert rules._is_time()
    clock.step_wall(3_600)
    await clock.advance(3)
    await _until_said(desk, clock, "lobby")


async def test_doors_that_were_missed_open_late(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", planned_start="2027-01-15T07:00:00Z")
    await _until_open(desk, clock)


async def test_schedule_again_and_without_a_time(desk: Desk) -> None:
    await desk.room()
    status, problem = await change(desk, "schedule")
    assert (status, problem["detail"]) == (400, "Say when: `planned_start` is missing.")
    for planned in ("2027-02-01T18:00:00.000Z", "2027-02-02T18:00:00.000Z"):
        status, room = await change(desk, "schedule", planned_start=planned)
        assert (status, room["state"], room["planned_start"]) == (200, "scheduled", planned)


async def test_edit_changes_what_is_given(desk: Desk) -> None:
    await desk.room("demo", planned_start="2027-02-01T18:00:00Z", description="Stays")
    edits: dict[str, object] = {
        "title": "New",
        "planned_start": "2027-02-02T18:00:00Z",
        "recorded": False,
        "time_zone": None,
    }
    room = await desk.ok("PATCH", ROOM, desk.operator, json=edits)
    assert room.items() >= {"title": "New", "description": "Stays", "recorded": False}.items()
    document = await desk.document()
    assert document is not None
    assert document["title"] == "New"
    cleared = await desk.call("PATCH", ROOM, desk.operator, json={"planned_start": None})
    assert cleared.status_code == 409
    await change(desk, "open")
    late_edits: list[dict[str, object]] = [{"planned_start": "2027-03-01T00:00:00Z"}, {"recorded": True}]
    for edits in late_edits:
        late = await desk.call("PATCH", ROOM, desk.operator, json=edits)
        assert late.status_code == 409
        assert "This room is lobby" in late.json()["detail"]
    assert (await desk.call("PATCH", ROOM, desk.operator, json={"title": "Still"})).status_code == 200


async def test_delete(desk: Desk) -> None:
    links = await desk.room()
    assert (await desk.call("DELETE", ROOM, desk.operator)).status_code == 204
    assert await desk.document() is None
    assert (await desk.open(links["host"])).status_code == 401
    await desk.room("demo", "open", "end")
    refused = await desk.call("DELETE", ROOM, desk.operator)
    assert refused.status_code == 409
    assert refused.json()["detail"] == (
        "This room is ended: its doors have opened, so its address is its recording's for ever. "
        "Only rooms that never opened can be deleted."
    )


async def test_delete_and_open_at_once(desk: Desk) -> None:
    await desk.room()
    async with asyncio.TaskGroup() as group:
        deleting = group.create_task(desk.call("DELETE", ROOM, desk.operator))
        opening = group.create_task(change(desk, "open"))
    gone = deleting.result().status_code == 204
    assert opening.result()[0] == (404 if gone else 200)
    assert (await desk.catalogue.room("demo") is None) == gone
    assert (await desk.document() is None) == gone


async def test_size_of_blocks_reaches_the_document_and_the_audit(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    host = await desk.session(links["host"])
    assert (await desk.ok("GET", ROOM, host))["block_steps"] is None
    for word in (4, 16, None):
        room = await desk.ok("PUT", f"{ROOM}/delivery", host, json={"block_steps": word})
        document = await desk.document()
        assert document is not None
        assert room["block_steps"] == document["block_steps"] == word
    said = [entry for entry in await desk.catalogue.audit("demo") if entry.action == "delivery"]
    assert [(entry.name, entry.detail) for entry in said] == [("Host", "4"), ("Host", "16"), ("Host", "null")]


async def test_blocks_of_another_size_are_refused(desk: Desk) -> None:
    await desk.room()
    for body in ({"block_steps": 3}, {"block_steps": 32}, {"block_steps": "4"}, {"block_steps": 2.5}, {}):
        answer = await desk.call("PUT", f"{ROOM}/delivery", desk.operator, json=body)
        assert answer.status_code == 400, body
        assert "block_steps" in answer.json()["detail"]
    assert (await desk.ok("GET", ROOM, desk.operator))["block_steps"] is None


async def test_announcement_reaches_document_and_origin(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    host = await desk.session(links["host"])
    async with running_origin(desk.bus) as origin:
        room = await desk.ok("PUT", f"{ROOM}/announcement", host, json={"text": " Five \n minutes\u202e more "})
        assert origin.asked == [("announce", {"text": "Five minutes more"})]
    assert room["announcement"] == {"text": "Five minutes more", "at": "2027-01-15T08:00:00.000Z"}
    document = await desk.document()
    assert document is not None
    assert document["announcement"] == {"text": "Five minutes more", "at_ns": START_NS}
    assert (await desk.ok("PUT", f"{ROOM}/announcement", host, json={"text": "Again"}))["announcement"]
    assert (await desk.ok("DELETE", f"{ROOM}/announcement", host))["announcement"] is None


async def test_bus_away_loses_nothing(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", "open")
    desk.bus.away()
    await clock.advance(1)
    assert await desk.control.readiness() == {"bus": False, "catalogue": True}
    status, room = await change(desk, "start", force=True)
    assert (status, room["state"]) == (200, "live")
    deleting = await desk.call("DELETE", ROOM, desk.operator)
    assert deleting.status_code == 409
    desk.bus.back()
    await _until_said(desk, clock, "live")
    assert await desk.control.readiness() == {"bus": True, "catalogue": True}


async def _until_said(desk: Desk, clock: VirtualClock, state: str) -> None:
    async with asyncio.timeout(5):
        while (document := await desk.document()) is None or document["state"] != state:
            await clock.advance(0.5)
            await asyncio.sleep(0.01)  # the catalogue answers in real time


async def test_delete_while_the_bus_is_away_changes_nothing(desk: Desk) -> None:
    await desk.room()
    desk.bus.away()
    answer = await desk.call("DELETE", ROOM, desk.operator)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert (await desk.call("GET", ROOM, desk.operator)).status_code == 200


async def test_what_the_bus_forgot_is_said_again(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", "open")
    desk.bus.away()
    await clock.advance(1)
    desk.bus.back()
    await desk.bus.delete("rooms", "demo")
    await _until_said(desk, clock, "lobby")


async def test_stage_of_an_older_epoch_is_dropped_and_an_old_one_forgotten(desk: Desk, clock: VirtualClock) -> None:
    await desk.room("demo", "open")
    await desk.stage(epoch=2, on_air=True)
    await desk.stage(epoch=1)
    room = await desk.ok("GET", ROOM, desk.operator)
    assert (room["on_air"], room["epoch"]) == (True, 2)
    await clock.advance(32)
    assert (await desk.ok("GET", ROOM, desk.operator))["on_air"] is False
