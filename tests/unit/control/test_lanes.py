"""A crowd at the staff port: strangers wait or are cut, and whoever has a session never notices."""

import pytest

from stentor.control.lanes import OF_AN_ADDRESS, UNKNOWN, Lanes
from stentor.control.limits import TooManyRequestsError
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import OFFER, Desk, running_origin

waits: list[object] = []


class Wire:
    def __init__(self) -> None:
        self.closed = False

    def cut(self) -> None:
        self.closed = True


def asked(lanes: Lanes, address: str, token: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            lanes.ask(None, address, token)
        except TooManyRequestsError as error:
            waits.append(error.problem()["retry_after_s"])
            return count
        count += 1
    return count


async def test_an_address_without_a_session_waits_and_one_with_it_does_not() -> None:
    clock = VirtualClock()
    lanes = Lanes(clock)
    lanes.know("good")
    assert asked(lanes, "192.0.2.1", "", 1_000) == 400
    assert waits == [1]
    assert asked(lanes, "192.0.2.1", "made up", 10) == 0
    assert asked(lanes, "192.0.2.1", "good", 1_000) == 200
    assert asked(lanes, "192.0.2.2", "", 1) == 1
    lanes.forget("good")
    await clock.advance(1)
    assert asked(lanes, "192.0.2.1", "good", 1_000) == 40


def test_strangers_together_have_a_bound_and_sessions_go_on() -> None:
    lanes = Lanes(VirtualClock())
    lanes.know("good")
    assert sum(asked(lanes, f"10.0.{number}.1", "", 100) for number in range(100)) == 2_000
    assert asked(lanes, "10.0.0.1", "good", 10) == 10


def test_an_address_has_so_many_connections_and_those_with_a_session_do_not_count() -> None:
    lanes = Lanes(VirtualClock())
    lanes.know("good")
    wires = [Wire() for _ in range(OF_AN_ADDRESS)]
    assert all(lanes.connected(wire, "192.0.2.1") for wire in wires)
    assert not lanes.connected(Wire(), "192.0.2.1")
    lanes.ask(wires[0], "192.0.2.1", "good")
    assert lanes.connected(Wire(), "192.0.2.1")
    lanes.gone(wires[0])
    assert not lanes.connected(Wire(), "192.0.2.1")
    lanes.gone(wires[1])
    assert lanes.connected(Wire(), "192.0.2.1")


def test_the_most_silent_stranger_makes_room_for_whoever_comes() -> None:
    lanes = Lanes(VirtualClock())
    lanes.know("good")
    wires = [Wire() for _ in range(UNKNOWN)]
    for number, wire in enumerate(wires):
        lanes.connected(wire, f"10.0.{number // 100}.1")
    lanes.ask(wires[0], "10.0.0.1", "good")
    lanes.ask(wires[1], "10.0.0.1", "")
    assert lanes.connected(Wire(), "192.0.2.1")
    assert lanes.connected(Wire(), "192.0.2.1")
    assert [wire.closed for wire in wires[:4]] == [False, False, True, False]


def test_offers_are_counted_by_person() -> None:
    lanes = Lanes(VirtualClock())
    for _ in range(30):
        lanes.offer("ana")
    with pytest.raises(TooManyRequestsError):
        lanes.offer("ana")
    lanes.offer("ben")


async def test_the_api_answers_strangers_who_ask_too_much_and_still_serves_the_host(desk: Desk) -> None:
    links = await desk.room()
    host = await desk.session(links["host"])
    statuses = [(await desk.call("GET", "/api/v1/me", "made up")).status_code for _ in range(420)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    answer = await desk.call("GET", "/nowhere")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    await desk.ok("PUT", "/api/v1/rooms/demo/announcement", host, json={"text": "We go on."})
    await desk.ok("GET", "/api/v1/rooms", desk.operator)


async def test_offers_of_one_person_are_bounded_over_the_api(desk: Desk) -> None:
    links = await desk.room("demo", "open")
    speaker = await desk.session(links["speaker"])
    async with running_origin(desk.bus):
        headers = {"Content-Type": "application/sdp"}
        said = [await desk.call("POST", "/r/demo/whip", speaker, content=OFFER, headers=headers) for _ in range(31)]
    assert [each.status_code for each in said] == [201] * 30 + [429]
