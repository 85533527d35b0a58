"""Blocking: a browser that may not come back to a room, by any link, until it is let in again."""

from stentor.errors import NotFound
from tests.fakes.staff import DEVICE, OFFER, OTHER_DEVICE, Desk, running_origin
from tests.unit.control.test_people import ROOM


async def opened(desk: Desk, role: str, name: str, device: str) -> tuple[str, dict[str, str]]:
    """Return the session and the link of somebody in a browser."""
    link = await desk.invite(role, name)
    return await desk.session(link["url"], device), link


async def test_a_blocked_browser_opens_no_link_of_this_room(desk: Desk) -> None:
    await desk.room("other", "open")
    elsewhere = await desk.session((await desk.invite("speaker", "Amal", "other"))["url"], OTHER_DEVICE)
    await desk.room("demo", "open")
    moderator, _ = await opened(desk, "moderator", "Noor", DEVICE)
    amal, link = await opened(desk, "speaker", "Amal", OTHER_DEVICE)
    second, _ = await opened(desk, "speaker", "Amal again", OTHER_DEVICE)
    fresh = await desk.invite("speaker", "A friend of Amal")
    async with running_origin(desk.bus) as origin:
        origin.refusal = NotFound("This person is not on stage.")
        for _ in range(2):
            answer = await desk.call("DELETE", f"{ROOM}/people/{link['link']}?block=true", moderator)
            assert answer.status_code == 204
    for session in (amal, second):
        assert (await desk.call("GET", "/api/v1/me", session)).status_code == 401
    refused = await desk.open(fresh["url"], OTHER_DEVICE)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:stentor:problem:blocked"
    assert refused.json()["detail"].startswith("Somebody who runs this room has blocked this browser.")
    assert (await desk.open(fresh["url"], DEVICE)).status_code == 200
    # They are no stranger to other rooms, and cannot have themself asked for, either.
    assert (await desk.call("GET", "/api/v1/me", elsewhere)).status_code == 200
    assert (await desk.open(fresh["url"], OTHER_DEVICE)).status_code == 403
    listed = (await desk.ok("GET", f"{ROOM}/links", desk.operator))["links"]
    assert "asked" not in {each["state"] for each in listed}
    assert [entry.action for entry in await desk.catalogue.audit("demo")].count(
        "block"
    ) == 3  # two links, and the second press


async def test_who_is_blocked_can_be_seen_and_let_in_again(desk: Desk) -> None:
    await desk.room("demo", "open")
    _, link = await opened(desk, "speaker", "Amal", OTHER_DEVICE)
    never = await desk.invite("speaker", "Bea")
    async with running_origin(desk.bus):
        for each in (link, never):
            await desk.call("DELETE", f"{ROOM}/people/{each['link']}?block=true", desk.operator)
    blocks = (await desk.ok("GET", f"{ROOM}/blocks", desk.operator))["blocks"]
    assert sorted((block["name"], block["by"]) for block in blocks) == [("Amal", "operator"), ("Bea", "operator")]
    assert (await desk.call("DELETE", f"{ROOM}/blocks/{link['link']}", desk.operator)).status_code == 204
    fresh = await desk.invite("speaker", "Amal")
    assert (await desk.open(fresh["url"], OTHER_DEVICE)).status_code == 200
    assert (await desk.open(link["url"], OTHER_DEVICE)).status_code == 401
    again = await desk.call("DELETE", f"{ROOM}/blocks/{link['link']}", desk.operator)
    assert again.json()["type"] == "urn:stentor:problem:no-such-block"


async def test_nobody_blocks_themself_or_above_by_a_shared_browser(desk: Desk) -> None:
    await desk.room("demo", "open")
    host, _ = await opened(desk, "host", "Noor", DEVICE)
    _, tried = await opened(desk, "speaker", "A try-out", DEVICE)
    cohost, _ = await opened(desk, "cohost", "Bea", OTHER_DEVICE)
    for who in (host, cohost):
        refused = await desk.call("DELETE", f"{ROOM}/people/{tried['link']}?block=true", who)
        assert refused.status_code == 403
        assert refused.json()["detail"] == (
            "The link of Noor (host) is open in the same browser. Remove without blocking."
        )
    own = (await desk.ok("GET", "/api/v1/me", host))["person"]
    refused = await desk.call("DELETE", f"{ROOM}/people/{own}?block=true", host)
    assert refused.json()["detail"] == "Nobody blocks themself."
    assert (await desk.ok("GET", f"{ROOM}/blocks", host))["blocks"] == []
    async with running_origin(desk.bus):
        assert (await desk.call("DELETE", f"{ROOM}/people/{tried['link']}", host)).status_code == 204
    assert (await desk.ok("GET", "/api/v1/me", host))["name"] == "Noor"


async def test_an_encoder_is_blocked_by_its_link_alone(desk: Desk) -> None:
    await desk.room("demo", "open")
    links = [await desk.invite("speaker", name) for name in ("One", "Two")]
    tokens = [link["url"].partition("#t=")[2] for link in links]
    headers = {"Content-Type": "application/sdp"}
    async with running_origin(desk.bus):
        for token in tokens:
            assert (await desk.call("POST", "/r/demo/whip", token, content=OFFER, headers=headers)).status_code == 201
        await desk.call("DELETE", f"{ROOM}/people/{links[0]['link']}?block=true", desk.operator)
        answers = [await desk.call("POST", "/r/demo/whip", token, content=OFFER, headers=headers) for token in tokens]
    assert [answer.status_code for answer in answers] == [401, 201]
