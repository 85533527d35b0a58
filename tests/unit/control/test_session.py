"""Links and sessions: who may come in, on which device."""

import json
from pathlib import Path

from stentor.control.hub import Follower
from stentor.room.documents import Role
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import DEVICE, OTHER_DEVICE, STAFF_URL, Desk, running_origin


async def told(follower: Follower, name: str) -> list[dict[str, object]]:
    """Return the events of one kind that a page was told so far."""
    found = []
    while len(follower.backlog):
        lines = (await follower.backlog.get()).decode().splitlines()
        if lines[0] == f"event: {name}":
            found.append(json.loads(lines[1].removeprefix("data: ")))
    return found


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("catalogue.db*"))


async def test_link_becomes_a_session(desk: Desk) -> None:
    links = await desk.room()
    assert links["listener"] == "https://audience.example/r/demo"
    assert links["speaker"].startswith(f"{STAFF_URL}/r/demo#t=")
    answer = await desk.open(links["speaker"])
    made = answer.json()
    assert answer.status_code == 200
    assert made["role"] == "speaker"
    assert made["room"] == "demo"
    assert made["name"] == "Speaker"
    assert made["expires_at"] == "2027-01-16T08:00:00.000Z"
    assert made["audience_url"] == "https://audience.example/r/demo"
    me = await desk.ok("GET", "/api/v1/me", made["session"])
    assert me == {key: value for key, value in made.items() if key != "session"}


async def test_operators_link_is_made_once_and_opens_anywhere(desk: Desk) -> None:
    assert await desk.control.first_operator_link() is None
    link = await desk.control.new_operator_link()
    assert link.startswith(f"{STAFF_URL}/#t=")
    for device in (DEVICE, OTHER_DEVICE):
        me = await desk.ok("GET", "/api/v1/me", await desk.session(link, device))
        assert (me["role"], me["room"], me["audience_url"]) == ("operator", None, "https://audience.example/")


async def test_second_browser_is_refused_and_the_host_is_told(desk: Desk) -> None:
    links = await desk.room()
    host = Follower("demo", Role.HOST, "host", "s")
    speaker = Follower("demo", Role.SPEAKER, "someone", "s")
    for follower in (host, speaker):
        desk.control.rules.parts.hub.follow(follower)
    await desk.session(links["speaker"])
    refused = await desk.open(links["speaker"], OTHER_DEVICE)
    assert (await desk.open(links["speaker"], OTHER_DEVICE)).status_code == 409
    problem = refused.json()
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "urn:stentor:problem:link-in-use"
    assert problem["detail"].startswith("This link is in use on another device. Allow the move there, or have the host")
    shown = await told(host, "link")
    assert [(event["state"], event["asked_code"]) for event in shown] == [("in-use", None), ("asked", problem["code"])]
    assert await told(speaker, "link") == []


async def test_host_moves_a_link_to_the_device_that_asked(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    host = await desk.session(links["host"])
    old = await desk.session(links["speaker"])
    person = (await desk.ok("GET", "/api/v1/me", old))["person"]
    await desk.open(links["speaker"], OTHER_DEVICE)
    page = Follower("demo", Role.SPEAKER, str(person), "old")
    desk.control.rules.parts.hub.follow(page)
    async with running_origin(desk.bus) as origin:
        moved = await desk.ok("POST", f"/api/v1/rooms/demo/links/{person}/move", host)
        assert origin.asked == [("remove", {"person": person, "keep_seat": True})]
    assert moved["state"] == "in-use"
    assert await told(page, "session") == [{"replaced": True}]
    gone = await desk.call("GET", "/api/v1/me", old)
    assert gone.status_code == 401
    assert gone.json()["type"] == "urn:stentor:problem:session-replaced"
    assert (await desk.open(links["speaker"], DEVICE)).status_code == 409
    new = await desk.session(links["speaker"], OTHER_DEVICE)
    assert (await desk.ok("GET", "/api/v1/me", new))["person"] == person


async def test_moving_when_nobody_asked_frees_the_link(desk: Desk) -> None:
    links = await desk.room()
    person = (await desk.ok("GET", "/api/v1/me", await desk.session(links["speaker"])))["person"]
    moved = await desk.ok("POST", f"/api/v1/rooms/demo/links/{person}/move", desk.operator)
    assert moved["state"] == "unused"
    assert await desk.session(links["speaker"], OTHER_DEVICE)


async def test_newest_session_of_a_browser_replaces_the_older(desk: Desk) -> None:
    links = await desk.room()
    first = await desk.session(links["speaker"])
    person = str((await desk.ok("GET", "/api/v1/me", first))["person"])
    page = Follower("demo", Role.SPEAKER, person, "first")
    desk.control.rules.parts.hub.follow(page)
    second = await desk.session(links["speaker"])
    assert await told(page, "session") == [{"replaced": True}]
    refused = await desk.call("GET", "/api/v1/me", first)
    assert refused.status_code == 401
    assert "only the newest page counts. Reload to go on here." in refused.json()["detail"]
    assert (await desk.call("GET", "/api/v1/me", second)).status_code == 200


async def test_revoked_link_lets_nobody_in(desk: Desk) -> None:
    links = await desk.room()
    session = await desk.session(links["speaker"])
    person = (await desk.ok("GET", "/api/v1/me", session))["person"]
    revoked = await desk.call("DELETE", f"/api/v1/rooms/demo/links/{person}", desk.operator)
    assert revoked.status_code == 204
    for answer in (await desk.call("GET", "/api/v1/me", session), await desk.open(links["speaker"])):
        assert answer.status_code == 401
        assert answer.json()["detail"] == (
            "This link was revoked, or its room is gone. Ask whoever invited you for a new link."
        )
    again = await desk.call("POST", f"/api/v1/rooms/demo/links/{person}/move", desk.operator)
    assert again.status_code == 409
    assert again.json()["detail"] == "This link is revoked; make a new one."


async def test_session_expires(desk: Desk, clock: VirtualClock) -> None:
    links = await desk.room()
    session = await desk.session(links["speaker"])
    clock.step_wall(24 * 3600)
    expired = await desk.call("GET", "/api/v1/me", session)
    assert expired.status_code == 401
    assert expired.json()["detail"] == "This sign-in has expired. Open your link again."
    assert await desk.session(links["speaker"])


async def test_no_grant_and_wrong_grants(desk: Desk) -> None:
    links = await desk.room()
    link_token = links["speaker"].partition("#t=")[2]
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}):
        refused = await desk.call("GET", "/api/v1/me", headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["detail"].startswith("Sign in first")
    assert (await desk.call("GET", "/api/v1/me", "nonsense")).status_code == 401
    refused = await desk.call("GET", "/api/v1/me", link_token)
    assert refused.status_code == 401
    assert refused.json()["detail"] == "A link token is not what is needed here."
    session = await desk.session(links["speaker"])
    assert (await desk.open(f"x#t={session}")).status_code == 401
    query = await desk.call("GET", f"/api/v1/me?token={session}&t={session}")
    assert query.status_code == 401


async def test_guessing_is_slowed_and_a_good_link_still_opens(desk: Desk, clock: VirtualClock) -> None:
    links = await desk.room()
    answers = [(await desk.open("x#t=guess")).status_code for _ in range(22)]
    assert answers == [401] * 20 + [429] * 2
    refused = await desk.open("x#t=guess")
    assert refused.headers["retry-after"] == "3"
    assert refused.json()["detail"].startswith("Too many links that are not valid came from here. Wait 3 s")
    assert (await desk.open(links["speaker"])).status_code == 200
    await clock.advance(7)
    assert [(await desk.open("x#t=guess")).status_code for _ in range(3)] == [401, 401, 429]


async def test_device_secret_is_needed_and_never_stored(desk: Desk, tmp_path: Path) -> None:
    links = await desk.room()
    short = await desk.open(links["speaker"], "short")
    assert short.status_code == 400
    assert "device" in short.json()["detail"]
    await desk.session(links["speaker"])
    stored = everything_in(tmp_path)
    assert DEVICE.encode() not in stored
    assert links["speaker"].partition("#t=")[2].encode() not in stored
