"""Roles: who gives which to whom, handing over, what a new role changes at once, and muting all."""

import asyncio
import itertools

from stentor.control.hub import Follower
from stentor.errors import NotFound
from stentor.room.documents import Role
from tests.fakes.staff import OFFER, Desk, running_origin
from tests.unit.control.test_people import ROOM, joined
from tests.unit.control.test_session import told

GIVEN = (Role.HOST, Role.COHOST, Role.SPEAKER, Role.MODERATOR)
GIVERS = {Role.OPERATOR, Role.HOST}


async def role_of(desk: Desk, person: str) -> Role:
    link = await desk.catalogue.link(person)
    assert link is not None
    return link.role


async def set_role(desk: Desk, person: str, role: Role) -> None:
    await desk.catalogue.give_roles({person: (await role_of(desk, person), role)})


async def actions(desk: Desk) -> list[str]:
    return [entry.action for entry in await desk.catalogue.audit("demo")]


async def test_every_giver_of_every_role_to_everybody(desk: Desk) -> None:
    await desk.room()
    people = {role: await joined(desk, str(role)) for role in GIVEN}
    people[Role.OPERATOR] = (desk.operator, "")
    others = {role: (await joined(desk, str(role)))[1] for role in GIVEN}
    for giver, was, now in itertools.product(Role, GIVEN, GIVEN):
        session, own = people[giver]
        answer = await desk.call("POST", f"{ROOM}/people/{others[was]}/role", session, json={"role": now})
        seen = await role_of(desk, others[was])
        if giver in GIVERS:
            assert answer.status_code == 200, (giver, was, now, answer.text)
            assert seen is now
            stepped_back = giver is Role.HOST and now is Role.HOST and was is not Role.HOST
            assert len(answer.json()["people"]) == 1 + stepped_back
            if own:
                assert await role_of(desk, own) is (Role.COHOST if stepped_back else giver)
                await set_role(desk, own, giver)
        else:
            assert answer.status_code == 403, (giver, was, now, answer.text)
            assert answer.json()["detail"] == f"As {giver} you may not give people another role."
            assert seen is was
        await set_role(desk, others[was], was)


async def test_nobody_changes_their_own_role_or_makes_operators(desk: Desk) -> None:
    await desk.room("demo", "open")
    host, person = await joined(desk, "host")
    own = await desk.call("POST", f"{ROOM}/people/{person}/role", host, json={"role": "speaker"})
    assert own.status_code == 403
    assert own.json()["detail"] == "Your role is given by others. To step back, make somebody else host."
    operator = await desk.call("POST", f"{ROOM}/people/{person}/role", desk.operator, json={"role": "operator"})
    assert operator.status_code == 400
    nobody = await desk.call("POST", f"{ROOM}/people/nobody/role", host, json={"role": "speaker"})
    assert nobody.status_code == 404


async def test_a_host_hands_over_and_the_pages_are_told(desk: Desk) -> None:
    await desk.room("demo", "open")
    host, host_id = await joined(desk, "host", "Noor")
    speaker, speaker_id = await joined(desk, "speaker", "Amal")
    page = Follower("demo", Role.SPEAKER, speaker_id, "s")
    desk.control.rules.parts.hub.follow(page)
    async with running_origin(desk.bus) as origin:
        answer = await desk.ok("POST", f"{ROOM}/people/{speaker_id}/role", host, json={"role": "host"})
        asked = origin.asked
    assert {(who["name"], who["role"]) for who in answer["people"]} == {("Amal", "host"), ("Noor", "cohost")}
    assert sorted((verb, detail["person"], detail["role"]) for verb, detail in asked) == sorted(
        [("role", speaker_id, "host"), ("role", host_id, "cohost")]
    )
    assert {(said["name"], said["role"], said["why"], said["by"]) for said in await told(page, "role")} == {
        ("Amal", "host", "handed-over", "Noor"), ("Noor", "cohost", "handed-over", "Noor"),
    }  # fmt: skip
    assert page.role is Role.HOST
    # Both sessions go on, and may do what the new role may.
    assert (await desk.ok("GET", "/api/v1/me", host))["role"] == "cohost"
    late = await desk.call("POST", f"{ROOM}/people/{speaker_id}/role", host, json={"role": "speaker"})
    assert late.status_code == 403
    assert (await desk.ok("GET", "/api/v1/me", speaker))["role"] == "host"
    back = await desk.call("POST", f"{ROOM}/people/{host_id}/role", speaker, json={"role": "host"})
    assert back.status_code == 200
    assert (await actions(desk))[-2:] == ["hand-over", "hand-over"]


async def test_of_two_hosts_who_give_and_take_at_once_one_wins(desk: Desk) -> None:
    await desk.room("demo", "open")
    host, _ = await joined(desk, "host")
    _, speaker = await joined(desk, "speaker")
    given = [(host, "cohost"), (desk.operator, "moderator")]
    answers = await asyncio.gather(
        *(desk.call("POST", f"{ROOM}/people/{speaker}/role", who, json={"role": role}) for who, role in given)
    )
    lost = [answer.json() for answer in answers if answer.status_code == 409]
    assert all(problem["type"] == "urn:stentor:problem:role-changed" for problem in lost)
    assert (await actions(desk)).count("give-role") == 2 - len(lost)


async def test_an_old_link_and_session_carry_the_new_role(desk: Desk) -> None:
    await desk.room("demo", "open")
    link = await desk.invite("speaker", "Amal")
    session = await desk.session(link["url"])
    await desk.ok("POST", f"{ROOM}/people/{link['link']}/role", desk.operator, json={"role": "cohost"})
    assert (await desk.ok("GET", "/api/v1/me", session))["role"] == "cohost"
    again = await desk.session(link["url"])
    assert (await desk.ok("GET", "/api/v1/me", again))["role"] == "cohost"
    await desk.ok("POST", f"{ROOM}/people/{link['link']}/role", desk.operator, json={"role": "speaker"})
    assert (await desk.call("GET", f"{ROOM}/links", again)).status_code == 403


async def test_who_becomes_moderator_is_silent_at_once(desk: Desk) -> None:
    await desk.room("demo", "open")
    session, person = await joined(desk, "speaker")
    path = f"{ROOM}/people/{person}/role"
    away = await desk.call("POST", path, desk.operator, json={"role": "moderator"})
    assert away.status_code == 503
    assert "ask again to end the sound" in away.json()["detail"]
    await desk.ok("POST", path, desk.operator, json={"role": "speaker"})
    async with running_origin(desk.bus) as origin:
        await desk.ok("POST", path, desk.operator, json={"role": "moderator"})
        assert origin.asked == [("remove", {"person": person, "keep_seat": False})]
    offer = await desk.call("POST", "/r/demo/whip", session, content=OFFER)
    assert offer.json()["detail"] == "As moderator you may not speak in this room."


async def test_a_role_holds_though_nobody_on_stage_hears_of_it(desk: Desk) -> None:
    await desk.room("demo", "open")
    _, person = await joined(desk, "speaker")
    path = f"{ROOM}/people/{person}/role"
    await desk.ok("POST", path, desk.operator, json={"role": "cohost"})
    async with running_origin(desk.bus) as origin:
        origin.refusal = NotFound("This person is not on stage.")
        await desk.ok("POST", path, desk.operator, json={"role": "host"})
        asked = len(origin.asked)
        await desk.ok("POST", path, desk.operator, json={"role": "host"})
        assert len(origin.asked) == asked
    assert await role_of(desk, person) is Role.HOST
    await desk.call("DELETE", f"{ROOM}/people/{person}", desk.operator)
    revoked = await desk.call("POST", path, desk.operator, json={"role": "speaker"})
    assert revoked.json()["type"] == "urn:stentor:problem:link-revoked"


async def test_role_that_changes_while_the_offer_is_answered(desk: Desk) -> None:
    await desk.room("demo", "open")
    for now, verb, status in (("cohost", "role", 201), ("moderator", "remove", 403)):
        session, person = await joined(desk, "speaker")

        async def change(person: str = person, now: str = now) -> None:
            await set_role(desk, person, Role(now))

        async with running_origin(desk.bus) as origin:
            origin.before_offer = change
            headers = {"Content-Type": "application/sdp"}
            answer = await desk.call("POST", "/r/demo/whip", session, content=OFFER, headers=headers)
            assert answer.status_code == status
            assert origin.verbs() == ["offer", verb]


async def test_mute_all_spares_hosts_and_is_remembered(desk: Desk) -> None:
    await desk.room("demo", "open")
    moderator, _ = await joined(desk, "moderator")
    speakers = [await joined(desk, "speaker", name) for name in ("Amal", "Bea", "Cleo")]
    async with running_origin(desk.bus) as origin:
        origin.on_stage = [person for _, person in speakers[:2]]
        answer = await desk.ok("POST", f"{ROOM}/mute-all", moderator)
        assert origin.asked == [("mute-all", {"spared": ["host", "cohost"]})]
        assert [who["name"] for who in answer["people"]] == ["Amal", "Bea"]
        for (session, person), status in zip(speakers, (403, 403, 204), strict=True):
            unmute = await desk.call("POST", f"{ROOM}/people/{person}/mute", session, json={"muted": False})
            assert unmute.status_code == status
    assert (await actions(desk))[-1] == "mute-all"


async def test_mute_all_without_origin_or_open_room(desk: Desk) -> None:
    await desk.room()
    closed = await desk.call("POST", f"{ROOM}/mute-all", desk.operator)
    assert closed.json()["detail"] == "This room is not open, so nobody can be heard in it."
    await desk.ok("POST", f"{ROOM}/open", desk.operator)
    assert (await desk.call("POST", f"{ROOM}/mute-all", desk.operator)).status_code == 503


async def test_seats_and_noise_gate_change_at_any_time_and_reach_the_origin(desk: Desk) -> None:
    await desk.room("demo", "open")
    cohost, _ = await joined(desk, "cohost")
    room = await desk.ok("GET", ROOM, cohost)
    assert (room["seats"], room["noise_gate"]) == (13, False)
    room = await desk.ok("PATCH", ROOM, cohost, json={"seats": 2, "noise_gate": True})
    assert (room["seats"], room["noise_gate"]) == (2, True)
    document = await desk.document()
    assert document is not None
    assert (document["seats"], document["noise_gate"]) == (2, True)
    for seats in (0, 51, "many"):
        assert (await desk.call("PATCH", ROOM, cohost, json={"seats": seats})).status_code == 400
    speaker, _ = await joined(desk, "speaker")
    refused = await desk.call("PATCH", ROOM, speaker, json={"seats": 50})
    assert refused.status_code == 403
