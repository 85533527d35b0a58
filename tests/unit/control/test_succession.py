"""A room whose host is absent: the co-host who has been on stage longest becomes host, and the room goes on."""

import asyncio

from stentor.control.access import make_rules
from stentor.control.hub import Follower
from stentor.control.parts import make_parts
from stentor.room.documents import Role, StagePerson
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk, running_origin
from tests.unit.control.test_people import ROOM, joined
from tests.unit.control.test_session import told

HOST, COHOST, SPEAKER = Role.HOST, Role.COHOST, Role.SPEAKER


class Evening:
    """A room whose origin says each second who is there."""

    def __init__(self, desk: Desk, clock: VirtualClock) -> None:
        self.desk, self.clock = desk, clock
        self.people: dict[str, tuple[str, Role]] = {}

    async def begin(self) -> Follower:
        """Open the room with a host, two co-hosts and a speaker; return an operator's page."""
        await self.desk.room("demo", "open")
        for name, role in (("Noor", HOST), ("Amal", SPEAKER), ("Bea", COHOST), ("Cleo", COHOST)):
            self.people[name] = ((await joined(self.desk, str(role), name))[1], role)
        page = Follower("demo", Role.OPERATOR, "op", "s")
        self.desk.control.rules.parts.hub.follow(page)
        return page

    async def go_on(self, seconds: int, *there: str) -> None:
        """Let time pass with these people connected, in this order."""
        for _ in range(seconds):
            links = {name: await self.desk.catalogue.link(person) for name, (person, _) in self.people.items()}
            shown = [
                StagePerson(person=link.link, name=name, role=link.role, connected=name in there)
                for name, link in ((name, links[name]) for name in (*there, *sorted(set(links) - set(there))))
                if link is not None
            ]
            await self.desk.stage(*shown)
            await self.clock.advance(1)

    async def role(self, name: str) -> Role:
        link = await self.desk.catalogue.link(self.people[name][0])
        assert link is not None
        return link.role


async def told_of_role(page: Follower) -> dict[str, object]:
    """Return the next change of a role that a page is told."""
    async with asyncio.timeout(5):
        while True:
            frame = await page.backlog.get()
            if frame.startswith(b"event: role\n"):
                page.backlog.put(frame, len(frame))
                return (await told(page, "role"))[0]


async def test_the_cohost_who_came_first_becomes_host_after_20_s(desk: Desk, clock: VirtualClock) -> None:
    evening = Evening(desk, clock)
    page = await evening.begin()
    await evening.go_on(5, "Noor", "Cleo", "Bea", "Amal")
    async with running_origin(desk.bus) as origin:
        await evening.go_on(19, "Cleo", "Bea", "Amal")
        assert await evening.role("Cleo") is COHOST
        await evening.go_on(3, "Cleo", "Bea", "Amal")
        said = await told_of_role(page)
        assert (said["name"], said["role"], said["why"], said["by"]) == ("Cleo", "host", "host-absent", None)
        await evening.go_on(60, "Cleo", "Bea", "Amal")
        assert origin.asked == [("role", {"person": evening.people["Cleo"][0], "role": "host"})]
    assert [await evening.role(name) for name in ("Noor", "Cleo", "Bea", "Amal")] == [HOST, HOST, COHOST, SPEAKER]
    (entry,) = [entry for entry in await desk.catalogue.audit("demo") if entry.action == "promote"]
    assert (entry.name, entry.person) == ("the clock", "clock")
    assert evening.people["Cleo"][0] in entry.detail


async def test_a_host_who_is_back_in_time_changes_nothing(desk: Desk, clock: VirtualClock) -> None:
    evening = Evening(desk, clock)
    await evening.begin()
    for _ in range(3):
        await evening.go_on(18, "Bea")
        await evening.go_on(1, "Bea", "Noor")
    await asyncio.sleep(0)
    assert await evening.role("Bea") is COHOST


async def test_a_host_with_the_page_open_is_there(desk: Desk, clock: VirtualClock) -> None:
    evening = Evening(desk, clock)
    page = await evening.begin()
    hub = desk.control.rules.parts.hub
    theirs = Follower("demo", HOST, evening.people["Noor"][0], "s")
    hub.follow(theirs)
    await evening.go_on(30, "Bea")
    assert await evening.role("Bea") is COHOST
    hub.leave(theirs)
    await evening.go_on(22, "Bea")
    assert (await told_of_role(page))["name"] == "Bea"


async def test_speakers_are_never_promoted_and_a_late_cohost_is_at_once(desk: Desk, clock: VirtualClock) -> None:
    evening = Evening(desk, clock)
    page = await evening.begin()
    await evening.go_on(60, "Amal")
    await evening.go_on(2, "Amal", "Bea")
    assert (await told_of_role(page))["name"] == "Bea"
    assert await evening.role("Amal") is SPEAKER


async def test_an_origin_that_is_away_promotes_nobody(desk: Desk, clock: VirtualClock) -> None:
    evening = Evening(desk, clock)
    await evening.begin()
    await evening.go_on(15, "Bea")
    await clock.advance(10)
    await evening.go_on(15, "Bea")
    assert await evening.role("Bea") is COHOST


async def test_a_room_that_is_over_promotes_nobody(desk: Desk, clock: VirtualClock) -> None:
    evening = Evening(desk, clock)
    await evening.begin()
    await desk.ok("POST", f"{ROOM}/end", desk.operator)
    await evening.go_on(30, "Bea")
    assert await evening.role("Bea") is COHOST


async def test_a_control_that_has_just_begun_promotes_too_and_two_promote_once(desk: Desk, clock: VirtualClock) -> None:
    evening = Evening(desk, clock)
    page = await evening.begin()
    parts = desk.control.rules.parts
    again = make_rules(
        make_parts(bus=desk.bus, catalogue=desk.catalogue, clock=clock, keys=parts.keys, settings=parts.settings)
    )
    other = Follower("demo", Role.OPERATOR, "op", "s")
    again.parts.hub.follow(other)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(again.parts.hub.run(desk.bus)), group.create_task(again.succession.run())]
        await evening.go_on(22, "Bea", "Cleo")
        told_by = await asyncio.wait(
            [asyncio.ensure_future(told_of_role(each)) for each in (page, other)], return_when=asyncio.FIRST_COMPLETED
        )
        for task in (*tasks, *told_by[1]):
            task.cancel()
    assert [await evening.role(name) for name in ("Bea", "Cleo")] == [HOST, COHOST]
    assert [entry.action for entry in await desk.catalogue.audit("demo")].count("promote") == 1
