"""Relays and their credentials: who gets them, what they are made of, when they run out."""

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest

from stentor.clock import NS_PER_S
from stentor.control.turn import CREDENTIAL_S, password
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk

ICE = "/api/v1/rooms/demo/ice"
URLS = ("turn:relay.example:3478?transport=tcp", "turns:relay.example:443")
SECRET = "a secret that coturn knows too"


@pytest.fixture
def relayed(desk: Desk) -> Desk:
    rules = desk.control.app.state.rules
    settings = replace(rules.parts.settings, turn_urls=URLS, turn_secret=SECRET)
    desk.control.app.state.rules = replace(rules, parts=replace(rules.parts, settings=settings))
    return desk


async def test_a_speaker_gets_credentials_that_coturn_can_check(relayed: Desk, clock: VirtualClock) -> None:
    await relayed.room("demo")
    link = await relayed.invite("speaker", "Ana")
    answer = await relayed.call("GET", ICE, await relayed.session(link["url"]))
    assert answer.headers["cache-control"] == "no-store"
    (server,) = answer.json()["ice_servers"]
    until_s, _, person = server["username"].partition(":")
    assert person == link["link"]
    assert int(until_s) == clock.wall_ns() // NS_PER_S + CREDENTIAL_S
    assert server["urls"] == list(URLS)
    digest = hmac.new(SECRET.encode(), server["username"].encode(), hashlib.sha1).digest()
    assert base64.b64decode(server["credential"]) == digest


@pytest.mark.parametrize(("role", "status"), [("host", 200), ("cohost", 200), ("moderator", 403)])
async def test_only_who_may_speak_gets_them(relayed: Desk, role: str, status: int) -> None:
    await relayed.room("demo")
    session = await relayed.session((await relayed.invite(role, "Somebody"))["url"])
    assert (await relayed.call("GET", ICE, session)).status_code == status


async def test_nobody_else_gets_them(relayed: Desk) -> None:
    await relayed.room("demo")
    await relayed.room("other")
    session = await relayed.session((await relayed.invite("speaker", "Ana"))["url"])
    assert (await relayed.call("GET", "/api/v1/rooms/other/ice", session)).status_code in (403, 404)
    assert (await relayed.call("GET", ICE, "nobody")).status_code == 401


async def test_without_a_relay_the_list_is_empty(desk: Desk) -> None:
    await desk.room("demo")
    session = await desk.session((await desk.invite("speaker", "Ana"))["url"])
    assert (await desk.call("GET", ICE, session)).json() == {"ice_servers": []}


def test_the_password_is_of_the_whole_name() -> None:
    assert password("north", "1788000000:ana") != password("north", "1788000001:ana")
    assert password("north", "1788000000:ana") != password("south", "1788000000:ana")
