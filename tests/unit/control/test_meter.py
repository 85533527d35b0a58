"""The crowd-or-attack meter as control merges and shows it."""

import csv
import io

from stentor.bus.port import meter_subject
from stentor.clock import NS_PER_S
from stentor.control.meter import CrowdMeters
from stentor.room.crowd_meter import MINUTE_S, MeterReport, MinuteSums, RoomMeter
from stentor.room.installation import Challenge
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk


def minute(clock: VirtualClock, ago: int = 0, **counts: int) -> MinuteSums:
    at_s = clock.wall_ns() // NS_PER_S // MINUTE_S * MINUTE_S - ago * MINUTE_S
    return MinuteSums(at_s=at_s, arrivals=sum(counts.values()), **counts)


def report(clock: VirtualClock, edge: str, *minutes: MinuteSums, room: str = "demo", **more: object) -> MeterReport:
    rooms = {room: RoomMeter(minutes=minutes, agents={"Firefox": 2})}
    return MeterReport.model_validate({"edge": edge, "at_ns": clock.wall_ns(), "rooms": rooms, **more})


async def test_edges_are_added_up_and_a_minute_that_is_said_again_replaces_itself(clock: VirtualClock) -> None:
    meters = CrowdMeters(clock)
    meters.take(report(clock, "a", minute(clock, 1, people=50), minute(clock, early=9)))
    minutes = minute(clock, 1, people=50, not_people=5), minute(clock, early=9)
    meters.take(report(clock, "a", *minutes, refused_per_s=2.5))
    meters.take(report(clock, "b", minute(clock, people=42, not_people=3), challenged=True, refused_per_s=1.5))
    meters.take(report(clock, "b", minute(clock, not_people=7), room=""))
    meters.take(report(clock, "c", minute(clock, not_people=500), room="other"))
    shown = meters.shown("demo", Challenge.AUTO)
    # What edge b says of no room replaced nothing: its word on the room stays.
    assert (shown.lately.people, shown.lately.not_people, shown.lately.early) == (92, 15, 9)
    assert shown.people_percent == 86
    assert [(each.people, each.not_people) for each in shown.history] == [(50, 5), (42, 10)]
    assert (shown.challenged, shown.refused_per_s) == (False, 2.5)


async def test_edges_that_are_silent_and_old_minutes_are_forgotten(clock: VirtualClock) -> None:
    meters = CrowdMeters(clock)
    meters.take(report(clock, "a", minute(clock, people=5), networks=[["10.0.0.0/24", 50, 5]]))
    assert meters.shown("demo", Challenge.AUTO).networks[0].requests_per_s == 10
    await clock.advance(30)
    assert meters.shown("demo", Challenge.AUTO).networks == []
    await clock.advance(4 * 3600)
    meters.take(report(clock, "b", minute(clock, people=1)))
    assert [each.people for each in meters.minutes("demo")] == [1]


async def test_whoever_runs_the_room_sees_the_meter_and_keeps_it_as_a_table(desk: Desk, clock: VirtualClock) -> None:
    links = await desk.room()
    host, speaker = await desk.session(links["host"]), await desk.session(links["speaker"])
    nothing = await desk.ok("GET", "/api/v1/rooms/demo/crowd", host)
    assert nothing["people_percent"] is None
    said = report(clock, "edge-1", minute(clock, people=9, not_people=1), networks=[["10.0.0.0/24", 50, 5]])
    await desk.bus.publish(meter_subject("edge-1"), said.to_bytes())
    await desk.bus.publish(meter_subject("edge-2"), b"garbled")
    await clock.advance(0)
    shown = await desk.ok("GET", "/api/v1/rooms/demo/crowd", host)
    assert shown["people_percent"] == 90
    assert shown["networks"] == [{"network": "10.0.0.0/24", "requests_per_s": 10.0, "refused_per_s": 1.0}]
    assert shown["agents"] == {"Firefox": 2}
    assert shown["challenge"] == "auto"
    table = await desk.call("GET", "/api/v1/rooms/demo/crowd?format=csv", host)
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [(row["arrivals"], row["people"], row["not_people"]) for row in rows] == [("10", "9", "1")]
    assert (await desk.call("GET", "/api/v1/rooms/demo/crowd", speaker)).status_code == 403
    assert (await desk.call("GET", "/api/v1/rooms/none/crowd", desk.operator)).status_code == 404
