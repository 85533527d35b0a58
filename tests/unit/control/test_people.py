"""People on stage: muting, removing, names, the roster, and who may do it over the API."""

import pytest

from stentor.errors import NotFound
from stentor.room.documents import Role, StagePerson
from stentor.room.stage import Action, allowed
from tests.fakes.staff import Desk, running_origin

ROOM = "/api/v1/rooms/demo"


async def joined(desk: Desk, role: str, name: str = "Somebody") -> tuple[str, str]:
    """Return a new person's session and id."""
    link = await desk.invite(role, name)
    return await desk.session(link["url"]), link["link"]


async def test_host_mutes_and_the_speaker_cannot_unmute(desk: Desk) -> None:
    await desk.room("demo", "open")
    host, _ = await joined(desk, "moderator")
    speaker, person = await joined(desk, "speaker")
    mute = f"{ROOM}/people/{person}/mute"
    async with running_origin(desk.bus) as origin:
        for session, muted in ((speaker, True), (speaker, False), (host, True)):
            assert (await desk.call("POST", mute, session, json={"muted": muted})).status_code == 204
        refused = await desk.call("POST", mute, speaker, json={"muted": False})
        assert refused.status_code == 403
        assert refused.json()["detail"] == "The host has muted you. Ask them to unmute you."
        assert (await desk.call("POST", mute, host, json={"muted": False})).status_code == 204
        assert (await desk.call("POST", mute, speaker, json={"muted": False})).status_code == 204
        said = [(asked["muted"], asked["by"]) for _, asked in origin.asked]
    assert said == [(True, "self"), (False, "self"), (True, "host"), (False, "host"), (False, "self")]


async def test_host_may_undo_what_another_host_did_to_them(desk: Desk) -> None:
    await desk.room("demo", "open")
    host, person = await joined(desk, "host")
    async with running_origin(desk.bus) as origin:
        for session, muted in ((desk.operator, True), (host, False)):
            answer = await desk.call("POST", f"{ROOM}/people/{person}/mute", session, json={"muted": muted})
            assert answer.status_code == 204
        assert [asked["by"] for _, asked in origin.asked] == ["host", "host"]


async def test_mute_of_nobody_and_in_a_closed_room(desk: Desk) -> None:
    await desk.room()
    speaker, person = await joined(desk, "speaker")
    closed = await desk.call("POST", f"{ROOM}/people/{person}/mute", speaker, json={"muted": True})
    assert closed.status_code == 409
    assert closed.json()["detail"] == "This room is not open, so nobody can be heard in it."
    nobody = await desk.call("POST", f"{ROOM}/people/nobody/mute", desk.operator, json={"muted": True})
    assert nobody.status_code == 404
    assert nobody.json()["detail"] == "There is no such person or link in this room."


async def test_mute_while_the_origin_is_away_is_remembered(desk: Desk) -> None:
    await desk.room("demo", "open")
    _, person = await joined(desk, "speaker")
    away = await desk.call("POST", f"{ROOM}/people/{person}/mute", desk.operator, json={"muted": True})
    assert away.status_code == 503
    assert away.headers["retry-after"] == "1"
    assert "comes back by itself within seconds: try again" in away.json()["detail"]
    link = await desk.catalogue.link(person)
    assert link is not None
    assert link.host_muted


async def test_remove_ends_link_and_media(desk: Desk) -> None:
    await desk.room("demo", "open")
    speaker, person = await joined(desk, "speaker")
    async with running_origin(desk.bus) as origin:
        origin.refusal = NotFound("Nobody by that name is connected.")
        for _ in range(2):
            assert (await desk.call("DELETE", f"{ROOM}/people/{person}", desk.operator)).status_code == 204
        assert origin.asked == [("remove", {"person": person, "keep_seat": False})] * 2
    assert (await desk.call("GET", "/api/v1/me", speaker)).status_code == 401
    actions = [entry.action for entry in await desk.catalogue.audit("demo")]
    assert actions.count("remove") == 1


async def test_remove_without_origin_says_what_is_done_and_what_is_not(desk: Desk) -> None:
    await desk.room("demo", "open")
    speaker, person = await joined(desk, "speaker")
    answer = await desk.call("DELETE", f"{ROOM}/people/{person}", desk.operator)
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("This is noted, but the room's origin does not answer: ask again to end")
    assert (await desk.call("GET", "/api/v1/me", speaker)).status_code == 401


async def test_people_choose_their_own_names(desk: Desk) -> None:
    await desk.room("demo", "open")
    speaker, person = await joined(desk, "speaker")
    async with running_origin(desk.bus) as origin:
        changed = await desk.ok("PUT", f"{ROOM}/people/{person}/name", speaker, json={"name": " نور\u202e  "})
        assert changed == {"person": person, "name": "نور"}
        assert origin.asked == [("rename", {"person": person, "name": "نور"})]
    assert (await desk.ok("PUT", f"{ROOM}/people/{person}/name", speaker, json={"name": "Amal"}))["name"] == "Amal"
    assert (await desk.ok("GET", "/api/v1/me", speaker))["name"] == "Amal"
    host, _ = await joined(desk, "host")
    other = await desk.call("PUT", f"{ROOM}/people/{person}/name", host, json={"name": "x"})
    assert other.status_code == 403
    assert other.json()["detail"] == "People choose their own names; you can change yours alone."
    long = await desk.call("PUT", f"{ROOM}/people/{person}/name", speaker, json={"name": "x" * 65})
    assert long.json()["detail"] == "Make your name shorter: it has 65 characters, and 64 is the most."


async def test_roster_is_the_stage_and_who_is_not_there(desk: Desk) -> None:
    await desk.room("demo", "open")
    host, host_id = await joined(desk, "host", "Noor")
    speaker, speaker_id = await joined(desk, "speaker", "Amal")
    await desk.stage(StagePerson(person=speaker_id, name="Amal", role=Role.SPEAKER, speaking=True), on_air=True)
    roster = await desk.ok("GET", f"{ROOM}/roster", host)
    assert roster["on_air"] is True
    assert [(p["person"], p["speaking"]) for p in roster["people"]] == [(speaker_id, True)]
    assert {(link["name"], link["state"]) for link in roster["links"]} == {
        ("Host", "unused"), ("Speaker", "unused"), ("Noor", "in-use"),
    }  # fmt: skip
    assert all(link["url"] for link in roster["links"])
    seen = await desk.ok("GET", f"{ROOM}/roster", speaker)
    assert [link["url"] for link in seen["links"]] == [None, None, None]
    assert host_id in {link["link"] for link in seen["links"]}


async def test_links_show_their_url_to_those_who_may_make_them(desk: Desk) -> None:
    await desk.room()
    cohost, _ = await joined(desk, "cohost")
    moderator, _ = await joined(desk, "moderator")
    for session, roles in ((desk.operator, {"host", "cohost", "speaker", "moderator"}),
                           (cohost, {"speaker", "moderator"}), (moderator, {"speaker"})):  # fmt: skip
        listed = (await desk.ok("GET", f"{ROOM}/links", session))["links"]
        assert {link["role"] for link in listed if link["url"]} == roles


@pytest.mark.parametrize(("role", "target"), [("cohost", "host"), ("moderator", "cohost"), ("cohost", "cohost")])
async def test_nobody_reaches_above_themself(desk: Desk, role: str, target: str) -> None:
    await desk.room("demo", "open")
    session, _ = await joined(desk, role)
    _, above = await joined(desk, target)
    calls = [("DELETE", f"people/{above}"), ("DELETE", f"links/{above}"), ("POST", f"links/{above}/move")]
    for method, path in calls:
        answer = await desk.call(method, f"{ROOM}/{path}", session)
        assert answer.status_code == 403
        assert answer.json()["detail"] == f"As {role} you may not do this to a {target}."
    if role == "cohost":
        made = await desk.call("POST", f"{ROOM}/links", session, json={"role": target, "name": "x"})
        assert made.status_code == 403


async def test_operators_cannot_be_invited_to_a_room(desk: Desk) -> None:
    await desk.room()
    answer = await desk.call("POST", f"{ROOM}/links", desk.operator, json={"role": "operator", "name": "x"})
    assert answer.status_code == 400


CALLS = {
    Action.LIST_ROOMS: ("GET", "/api/v1/rooms", None),
    Action.CREATE_ROOM: ("POST", "/api/v1/rooms", {"title": "x"}),
    Action.READ_ROOM: ("GET", ROOM, None),
    Action.EDIT_ROOM: ("PATCH", ROOM, {"title": "x"}),
    Action.CHANGE_STATE: ("POST", f"{ROOM}/hold", {"expected": "draft"}),
    Action.READ_LINKS: ("GET", f"{ROOM}/links", None),
    Action.MAKE_LINK: ("POST", f"{ROOM}/links", {"role": "speaker", "name": "x"}),
    Action.END_LINK: ("DELETE", f"{ROOM}/links/nobody", None),
    Action.MOVE_LINK: ("POST", f"{ROOM}/links/nobody/move", None),
    Action.MOVE_OWN_LINK: ("POST", f"{ROOM}/links/ME/move", {"code": "0000"}),
    Action.READ_ROSTER: ("GET", f"{ROOM}/roster", None),
    Action.MUTE_ANYBODY: ("POST", f"{ROOM}/people/nobody/mute", {"muted": True}),
    Action.MUTE_SELF: ("POST", f"{ROOM}/people/ME/mute", {"muted": True}),
    Action.MUTE_ALL: ("POST", f"{ROOM}/mute-all", None),
    Action.REMOVE: ("DELETE", f"{ROOM}/people/nobody", None),
    Action.BLOCK: ("GET", f"{ROOM}/blocks", None),
    Action.GIVE_ROLE: ("POST", f"{ROOM}/people/nobody/role", {"role": "speaker"}),
    Action.RENAME_SELF: ("PUT", f"{ROOM}/people/ME/name", {"name": "x"}),
    Action.ANNOUNCE: ("PUT", f"{ROOM}/announcement", {"text": "x"}),
    Action.SET_DELIVERY: ("PUT", f"{ROOM}/delivery", {"block_steps": 2}),
    Action.TURN_DIALS: ("PUT", f"{ROOM}/door", {"cap": 10}),
    Action.RUN_INSTALLATION: ("GET", "/api/v1/installation", None),
    Action.RAISE_HAND: ("PUT", f"{ROOM}/hands/me", None),
    Action.CALL_HANDS: ("DELETE", f"{ROOM}/hands/nobody", None),
    Action.SPEAK: ("POST", "/r/demo/whip", None),
    Action.DELETE_ROOM: ("DELETE", ROOM, None),
}


async def test_every_role_and_action_over_the_api(desk: Desk) -> None:
    await desk.room("demo", "open")
    people: dict[Role, tuple[str, str]] = {
        role: await joined(desk, str(role)) for role in Role if role is not Role.OPERATOR
    }
    people[Role.OPERATOR] = (desk.operator, str((await desk.ok("GET", "/api/v1/me", desk.operator))["person"]))
    for role, (session, person) in people.items():
        for action, (method, path, body) in CALLS.items():
            answer = await desk.call(method, path.replace("ME", person), session, json=body)
            if allowed(role, action):
                assert answer.status_code != 403, (role, action, answer.text)
            else:
                assert answer.status_code == 403, (role, action, answer.text)
                assert answer.json()["detail"] == f"As {role} you may not {action}."


async def test_a_link_of_another_room_is_refused_everywhere(desk: Desk) -> None:
    await desk.room("other")
    await desk.room()
    host = await desk.session((await desk.invite("host", room="other"))["url"])
    for action, (method, path, body) in CALLS.items():
        if not path.startswith((ROOM, "/r/")):
            continue
        answer = await desk.call(method, path, host, json=body)
        assert answer.status_code == 403, action
        assert answer.json()["detail"] == "Your link is for another room. Open the link that belongs to this one."
