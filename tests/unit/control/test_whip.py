"""WHIP on the staff port: everything that is refused, and what happens to what is not."""

from hashlib import sha256

import pytest

from stentor.errors import BadRequest, NotAcceptable, Unprocessable
from tests.fakes.staff import ANSWER, DEVICE, OFFER, OTHER_DEVICE, RESTARTED, Desk, running_origin

WHIP = "/r/demo/whip"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


async def speaker(desk: Desk, *verbs: str) -> tuple[str, str]:
    """Return a speaker's session and link in a room that was led through ``verbs``."""
    links = await desk.room("demo", *verbs)
    return await desk.session(links["speaker"]), links["speaker"]


async def test_offer_is_answered_by_the_origin(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    me = await desk.ok("GET", "/api/v1/me", session)
    async with running_origin(desk.bus) as origin:
        answer = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
        said = {"person": me["person"], "name": "Speaker", "role": "speaker", "sdp": OFFER}
        assert origin.asked == [("offer", {**said, "device": sha256(DEVICE.encode()).hexdigest()})]
    assert answer.status_code == 201
    assert answer.text == ANSWER
    assert answer.headers["content-type"].startswith("application/sdp")
    assert answer.headers["location"] == "/r/demo/whip/session-1"
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Location" in answer.headers["access-control-expose-headers"]


async def test_links_own_token_is_a_bearer_for_encoders(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    token = links["speaker"].partition("#t=")[2]
    async with running_origin(desk.bus):
        answers = [await desk.call("POST", WHIP, token, content=OFFER, headers=SDP) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert (await desk.call("DELETE", answers[1].headers["location"], token)).status_code == 200
    assert (await desk.call("GET", "/api/v1/me", token)).status_code == 401


async def test_encoder_and_browser_cannot_share_a_link_behind_the_hosts_back(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    token = links["speaker"].partition("#t=")[2]
    async with running_origin(desk.bus):
        assert (await desk.call("POST", WHIP, token, content=OFFER, headers=SDP)).status_code == 201
        refused = await desk.open(links["speaker"])
        assert refused.status_code == 409
        listed = (await desk.ok("GET", "/api/v1/rooms/demo/links", desk.operator))["links"]
        (asked,) = [link["link"] for link in listed if link["state"] == "asked"]
        await desk.ok("POST", f"/api/v1/rooms/demo/links/{asked}/move", desk.operator)
        assert await desk.session(links["speaker"])
        encoder = await desk.call("POST", WHIP, token, content=OFFER, headers=SDP)
        assert encoder.status_code == 409
        assert encoder.json()["type"] == "urn:stentor:problem:link-in-use"


async def test_authentication_comes_before_everything_else(desk: Desk) -> None:
    await speaker(desk, "open")
    for token in (None, "nonsense"):
        answer = await desk.call("POST", WHIP, token, content=b"\xff", headers={"Content-Type": "x/y"})
        assert answer.status_code == 401
    moderator = await desk.session((await desk.invite("moderator"))["url"])
    for session in (moderator, desk.operator):
        answer = await desk.call("POST", WHIP, session, content=b"\xff", headers={"Content-Type": "x/y"})
        assert answer.status_code == 403
        assert "you may not speak in this room" in answer.json()["detail"]


BAD_OFFERS: list[tuple[str | bytes, int, str]] = [
    (b"", 400, "no SDP offer"),
    (b"hello", 400, "no SDP offer"),
    (b"\xff\xfe", 400, "not text"),
    (b'{"sdp": "v=0"}', 400, "no SDP offer"),
    ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n", 400, "no SDP offer"),
    (OFFER + "garbage\r\n", 400, "no SDP offer"),
    (OFFER.replace("a=ice-ufrag:wxyz\r\n", ""), 400, "no `ice-ufrag`"),
    (OFFER.replace("a=fingerprint:sha-256 AA:BB\r\n", ""), 400, "no `fingerprint`"),
    (OFFER.replace("m=audio", "m=video").replace("opus/48000/2", "VP8/90000"), 406, "add a microphone"),
    (OFFER.replace("opus/48000/2", "PCMU/8000"), 406, "no Opus at 48 kHz"),
    (OFFER + "a=x:" + "y" * 65_536, 413, "64 kB is the most"),
]


async def test_bad_offers(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    async with running_origin(desk.bus) as origin:
        for body, status, says in BAD_OFFERS:
            answer = await desk.call("POST", WHIP, session, content=body, headers=SDP)
            assert answer.status_code == status, body
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["access-control-allow-origin"] == "*"
            assert says in answer.json()["detail"]
        assert origin.asked == []


async def test_wrong_content_type(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    answer = await desk.call("POST", WHIP, session, json={"sdp": OFFER})
    assert answer.status_code == 415
    assert answer.json()["detail"] == "Send this with `Content-Type: application/sdp`."


@pytest.mark.parametrize("verbs", [(), ("open", "end")])
async def test_room_that_is_not_open(desk: Desk, verbs: tuple[str, ...]) -> None:
    session, _ = await speaker(desk, *verbs)
    answer = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:stentor:problem:room-not-open"


async def test_origin_that_is_away(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    answer = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"].startswith("Nobody runs this room at the moment. It comes back by itself")


@pytest.mark.parametrize("refusal", [BadRequest("No fingerprint.", slug="bad-sdp"), NotAcceptable("No codec.")])
async def test_refusal_of_the_origin_is_passed_on(desk: Desk, refusal: BadRequest) -> None:
    session, _ = await speaker(desk, "open")
    async with running_origin(desk.bus) as origin:
        origin.refusal = refusal
        answer = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
    assert answer.status_code == refusal.status
    assert answer.json() == refusal.problem()


async def test_host_muted_speaker_comes_back_muted(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    person = (await desk.ok("GET", "/api/v1/me", session))["person"]
    async with running_origin(desk.bus) as origin:
        await desk.ok("POST", f"/api/v1/rooms/demo/people/{person}/mute", desk.operator, json={"muted": True})
        await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
        assert origin.verbs() == ["mute", "offer", "mute"]
        assert origin.asked[-1][1] == {"person": person, "muted": True, "by": "host"}


async def test_trickle(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    async with running_origin(desk.bus) as origin:
        made = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
        where, etag = made.headers["location"], made.headers["etag"]
        for match in ({}, {"If-Match": etag}):
            answer = await desk.call("PATCH", where, session, content="a=x:1\r\n", headers={**FRAGMENT, **match})
            assert answer.status_code == 204
        assert origin.asked[-1] == ("candidates", {"session": "session-1", "fragment": "a=x:1\r\n"})
        stale = await desk.call("PATCH", where, session, content="", headers={**FRAGMENT, "If-Match": '"old"'})
        assert stale.status_code == 412
        assert (await desk.call("PATCH", where, session, content="", headers=SDP)).status_code == 415
        assert origin.verbs() == ["offer", "candidates", "candidates"]


async def test_ice_restart(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    again = "a=ice-ufrag:new1\r\na=ice-pwd:9123456789012345678901\r\n"
    async with running_origin(desk.bus) as origin:
        made = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
        where = made.headers["location"]
        headers = {**FRAGMENT, "If-Match": '"*"'}
        answer = await desk.call("PATCH", where, session, content=again, headers=headers)
        assert (answer.status_code, answer.text) == (200, RESTARTED)
        assert answer.headers["content-type"] == "application/trickle-ice-sdpfrag"
        assert answer.headers["etag"] != made.headers["etag"]
        assert origin.asked[-1] == ("restart", {"session": "session-1", "fragment": again})
        # From now on the old generation is over, and the new one may be trickled.
        for etag, status in ((made.headers["etag"], 412), (answer.headers["etag"], 204)):
            more = await desk.call("PATCH", where, session, content="", headers={**FRAGMENT, "If-Match": etag})
            assert more.status_code == status
        origin.refusal = Unprocessable("There is no connection yet.", slug="not-connected")
        refused = await desk.call("PATCH", where, session, content=again, headers=headers)
        assert (refused.status_code, refused.json()) == (422, origin.refusal.problem())


async def test_only_the_same_person_ends_a_session(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    other = await desk.session((await desk.invite("speaker"))["url"])
    async with running_origin(desk.bus) as origin:
        where = (await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)).headers["location"]
        assert (await desk.call("DELETE", where)).status_code == 401
        stolen = await desk.call("DELETE", where, other)
        assert stolen.status_code == 403
        assert stolen.json()["detail"] == "This WHIP session is somebody else's."
        assert (await desk.call("DELETE", f"{WHIP}/unknown", session)).status_code == 404
        assert (await desk.call("DELETE", where, session)).status_code == 200
        assert (await desk.call("DELETE", where, session)).status_code == 404
        assert origin.verbs() == ["offer", "leave"]


async def test_newer_offer_replaces_the_older(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    async with running_origin(desk.bus):
        first, second = [await desk.call("POST", WHIP, session, content=OFFER, headers=SDP) for _ in range(2)]
        assert (await desk.call("DELETE", first.headers["location"], session)).status_code == 404
        assert (await desk.call("DELETE", second.headers["location"], session)).status_code == 200


async def test_leave_when_the_origin_is_gone(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    async with running_origin(desk.bus):
        where = (await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)).headers["location"]
    assert (await desk.call("DELETE", where, session)).status_code == 200


async def test_revoked_while_the_origin_answered(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    person = str((await desk.ok("GET", "/api/v1/me", session))["person"])
    async with running_origin(desk.bus) as origin:
        origin.before_offer = lambda: desk.catalogue.update_link(person, {"revoked_ns": 1})
        answer = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
        assert answer.status_code == 401
        assert origin.verbs() == ["offer", "remove"]


async def test_preflight_and_other_methods(desk: Desk) -> None:
    for path in (WHIP, f"{WHIP}/session"):
        answer = await desk.call("OPTIONS", path, headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 204
        assert answer.headers["accept-post"] == "application/sdp"
        assert "Authorization" in answer.headers["access-control-allow-headers"]
    wrong = await desk.call("GET", WHIP)
    assert wrong.status_code == 405
    assert wrong.json()["detail"] == "This address does not take that method. The API is described at /api/docs."


async def test_page_of_another_site_may_speak_with_a_token(desk: Desk) -> None:
    session, _ = await speaker(desk, "open")
    async with running_origin(desk.bus):
        headers = {**SDP, "Origin": "https://elsewhere.example"}
        assert (await desk.call("POST", WHIP, session, content=OFFER, headers=headers)).status_code == 201


async def test_moved_link_cannot_be_used_by_the_old_browser(desk: Desk) -> None:
    session, link = await speaker(desk, "open")
    person = (await desk.ok("GET", "/api/v1/me", session))["person"]
    async with running_origin(desk.bus) as origin:
        await desk.open(link, OTHER_DEVICE)
        await desk.ok("POST", f"/api/v1/rooms/demo/links/{person}/move", desk.operator)
        answer = await desk.call("POST", WHIP, session, content=OFFER, headers=SDP)
        assert answer.status_code == 401
        assert origin.verbs() == ["remove"]
