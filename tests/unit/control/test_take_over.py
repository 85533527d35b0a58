"""A link goes over to another device of its person: with leave, or when the old device is gone."""

import pytest

from stentor.control.hub import Follower
from stentor.room.documents import Role, StagePerson
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import DEVICE, OFFER, OTHER_DEVICE, Desk, running_origin
from tests.unit.control.test_people import ROOM
from tests.unit.control.test_session import told

THIRD_DEVICE = "a secret of a third one"


class Amal:
    """A speaker with a laptop on stage."""

    def __init__(self, desk: Desk, clock: VirtualClock) -> None:
        self.desk, self.clock = desk, clock

    async def on_laptop(self, *verbs: str) -> None:
        await self.desk.room("demo", *verbs)
        link = await self.desk.invite("speaker", "Amal")
        self.url, self.person = link["url"], link["link"]
        self.laptop = await self.desk.session(self.url, DEVICE)

    async def there(self, seconds: int, *, connected: bool = True) -> None:
        """Let time pass while the origin says whether she is heard."""
        for _ in range(seconds):
            person = StagePerson(person=self.person, name="Amal", role=Role.SPEAKER, connected=connected)
            await self.desk.stage(person)
            await self.clock.advance(1)

    async def phone(self, *, take_over: bool = False, device: str = OTHER_DEVICE) -> tuple[int, dict[str, object]]:
        answer = await self.desk.open(self.url, device, take_over=take_over)
        return answer.status_code, answer.json()

    async def allow(self, code: object) -> tuple[int, str]:
        answer = await self.desk.call("POST", f"{ROOM}/links/{self.person}/move", self.laptop, json={"code": code})
        return answer.status_code, str(answer.json().get("type", "")).rpartition(":")[2]


@pytest.fixture
async def amal(desk: Desk, clock: VirtualClock) -> Amal:
    return Amal(desk, clock)


async def test_the_old_device_is_asked_and_lets_the_new_one_have_the_link(desk: Desk, amal: Amal) -> None:
    await amal.on_laptop("open")
    await amal.there(3)
    page = Follower("demo", Role.SPEAKER, amal.person, "laptop")
    desk.control.rules.parts.hub.follow(page)
    status, asked = await amal.phone()
    assert (status, asked["may_take_over"]) == (409, False)
    shown = await told(page, "link")
    assert [(link["state"], link["asked_code"], link["url"]) for link in shown] == [("asked", asked["code"], None)]
    async with running_origin(desk.bus) as origin:
        assert await amal.allow(asked["code"]) == (200, "")
        # What the laptop says ends before the phone is heard, and the seat waits for it.
        assert origin.asked == [("remove", {"person": amal.person, "keep_seat": True})]
    assert await told(page, "session") == [{"replaced": True}]
    status, session = await amal.phone()
    assert (status, session["person"]) == (200, amal.person)
    assert (await desk.call("GET", "/api/v1/me", amal.laptop)).status_code == 401


async def test_only_the_device_with_the_digits_gets_the_link(desk: Desk, amal: Amal) -> None:
    await amal.on_laptop("open")
    assert await amal.allow("0000") == (409, "nobody-asked")
    _, mine = await amal.phone()
    _, foreign = await amal.phone(device=THIRD_DEVICE)
    assert mine["code"] != foreign["code"]
    assert await amal.allow(mine["code"]) == (409, "other-device-asked")
    assert await amal.allow(None) == (409, "other-device-asked")
    await amal.phone()
    assert await amal.allow(mine["code"]) == (200, "")
    assert (await amal.phone(device=THIRD_DEVICE))[0] == 409
    assert (await amal.phone())[0] == 200


async def test_a_device_that_died_on_stage_is_replaced_without_anybodys_leave(desk: Desk, amal: Amal) -> None:
    await amal.on_laptop("open", "start")
    await amal.there(3)
    await amal.there(9, connected=False)
    status, problem = await amal.phone(take_over=True)
    assert (status, problem["may_take_over"]) == (409, False)
    await amal.there(2, connected=False)
    assert (await amal.phone())[1]["may_take_over"] is True
    async with running_origin(desk.bus) as origin:
        assert (await amal.phone(take_over=True))[0] == 200
        assert origin.asked == [("remove", {"person": amal.person, "keep_seat": True})]
    assert (await desk.open(amal.url, DEVICE)).status_code == 409
    assert "take-over" in [entry.action for entry in await desk.catalogue.audit("demo")]


async def test_a_page_that_is_open_is_not_gone(desk: Desk, amal: Amal) -> None:
    await amal.on_laptop("open")
    page = Follower("demo", Role.SPEAKER, amal.person, "laptop")
    desk.control.rules.parts.hub.follow(page)
    await amal.clock.advance(60)
    assert (await amal.phone(take_over=True))[0] == 409
    desk.control.rules.parts.hub.leave(page)
    await amal.clock.advance(11)
    assert (await amal.phone(take_over=True))[0] == 200


@pytest.mark.parametrize("case", ["never there", "long ago", "the room is over"])
async def test_other_links_are_moved_by_whoever_runs_the_room(desk: Desk, amal: Amal, case: str) -> None:
    await amal.on_laptop("open", "start")
    if case != "never there":
        await amal.there(2)
    await amal.clock.leap(2_000 if case == "long ago" else 60)
    if case == "the room is over":
        await desk.ok("POST", f"{ROOM}/end", desk.operator)
    status, problem = await amal.phone(take_over=True)
    assert (status, problem["may_take_over"]) == (409, False)
    moved = await desk.call("POST", f"{ROOM}/links/{amal.person}/move", desk.operator, json={"code": problem["code"]})
    assert moved.status_code == 200
    assert (await amal.phone())[0] == 200


async def test_offer_that_was_on_its_way_when_the_link_moved_is_ended(desk: Desk, amal: Amal) -> None:
    await amal.on_laptop("open")
    _, asked = await amal.phone()
    async with running_origin(desk.bus) as origin:

        async def move() -> None:
            assert await amal.allow(asked["code"]) == (200, "")

        origin.before_offer = move
        headers = {"Content-Type": "application/sdp"}
        answer = await desk.call("POST", "/r/demo/whip", amal.laptop, content=OFFER, headers=headers)
        assert answer.status_code == 401
        assert origin.verbs() == ["offer", "remove", "leave"]
