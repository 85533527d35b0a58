"""Permits at an edge: whom they let in, what they bound, and that who comes with one is no audience."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import connect

from stentor.clock import NS_PER_S
from stentor.room.documents import Role
from stentor.room.grants import Grant, GrantKind, sign
from stentor.room.installation import KEY, InstallationDocument
from stentor.room.keys import raw_public
from stentor.room.permits import HEADER, Permit, sign_permit
from tests.fakes.wav_room import WavRoom, wav_room

SIGNER = Ed25519PrivateKey.generate()


@pytest.fixture
async def room() -> AsyncIterator[WavRoom]:
    async with wav_room() as running:
        yield running


def permit(where: WavRoom, **changes: Any) -> Permit:
    now_s = where.clock.wall_ns() // NS_PER_S
    values = {"id": "0123456789abcdef", "room": "demo", "listeners": 50, "per_second": 1_000.0}
    return Permit.model_validate({**values, "begins_s": now_s - 1, "expires_s": now_s + 600, **changes})


async def install(room: WavRoom, *permits: Permit) -> None:
    document = InstallationDocument(grants_key=raw_public(SIGNER.public_key()).hex(), permits=permits)
    await room.bus.put("installation", KEY, document.to_bytes())
    await room.until(lambda: room.edge.installation.document == document, "the edge follows the installation")


async def ask(room: WavRoom, token: str | None) -> httpx.Response:
    headers = {} if token is None else {HEADER: token}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{room.url}/ticket", json={}, headers=headers)


async def acceptance(room: WavRoom, token: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"{room.url}/rehearsal", headers={HEADER: token})


async def test_a_permit_in_force_is_accepted_and_its_listeners_are_no_audience(room: WavRoom) -> None:
    given = permit(room)
    await install(room, given)
    token = sign_permit(given, SIGNER)
    said = (await acceptance(room, token)).json()
    assert (said["accepted"], said["room"], said["listeners"], said["per_second"]) == (True, "demo", 50, 1_000.0)
    ticket = (await ask(room, token)).json()["ticket"]
    here = room.edge.rooms.get("demo")
    async with (
        connect(f"ws://127.0.0.1:{room.port}/r/demo/push?ticket={ticket}", compression=None, proxy=None) as push,
        httpx.AsyncClient() as client,
    ):
        await push.recv()
        other = (await ask(room, token)).json()["ticket"]
        assert (await client.get(f"{room.url}/live.m3u8?ticket={other}")).status_code == 200
        assert (here.listeners(), here.rehearsal(), here.sent_to()) == (0, 2, 1)
        assert json.loads(here.state_bytes())["audience"] == {"listeners": 0, "by_beacon": 0, "rehearsal": 2}
        beacon = {"player": "0" * 16, "ticket": ticket, "transport": "push", "stalls": 9}
        for _ in range(400):  # more than an address may send
            answer = await client.post(f"{room.url}/beacon", json=beacon, headers={HEADER: token})
            assert answer.status_code == 204
    await room.until(lambda: here.rehearsal() == 1, "the push has gone")
    report = here.audience.report(here.by_transport(), 1, here.rehearsal())
    assert (report.listeners, report.joins, report.leaves, report.players) == (0, {}, {}, {})


async def test_what_is_no_permit_of_ours_lets_nobody_in(room: WavRoom) -> None:
    good = permit(room)
    now_s = room.clock.wall_ns() // NS_PER_S
    await install(
        room,
        good,
        permit(room, id="late-late-late", expires_s=now_s - 1),
        permit(room, id="soon-soon", begins_s=now_s + 60),
    )
    grant = sign(Grant(GrantKind.OPERATOR, None, Role.OPERATOR, "p", "p", now_s + 60), SIGNER)
    for token in (
        "",
        "garbled",
        grant,
        sign_permit(good, Ed25519PrivateKey.generate()),
        sign_permit(permit(room, room="other"), SIGNER),
        sign_permit(permit(room, id="never-listed"), SIGNER),
        sign_permit(permit(room, id="late-late-late", expires_s=now_s - 1), SIGNER),
        sign_permit(permit(room, id="soon-soon", begins_s=now_s + 60), SIGNER),
    ):
        assert (await ask(room, token)).status_code == 403, token
        assert (await acceptance(room, token)).status_code == 403
    assert (await ask(room, None)).status_code == 200
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{room.url}/rehearsal")).status_code == 403


async def test_a_permit_that_is_taken_back_is_good_for_nothing(room: WavRoom) -> None:
    given = permit(room)
    await install(room, given)
    token = sign_permit(given, SIGNER)
    assert (await ask(room, token)).status_code == 200
    await install(room)
    assert (await ask(room, token)).json()["type"] == "urn:stentor:problem:permit-over"


async def test_more_listeners_than_permitted_are_refused(room: WavRoom) -> None:
    given = permit(room, listeners=10)
    await install(room, given)
    token = sign_permit(given, SIGNER)
    answers = [(await ask(room, token)).status_code for _ in range(10 + 64 + 5)]
    assert answers.count(200) == 11 + 64
    assert answers[-1] == 429


async def test_faster_than_permitted_is_refused(room: WavRoom) -> None:
    given = permit(room, listeners=10_000, per_second=1.0)
    await install(room, given)
    token = sign_permit(given, SIGNER)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(room, token)) for _ in range(100)]
    codes = [task.result().status_code for task in asked]
    assert 429 in codes
    assert codes.count(200) <= 64 + 10
