"""What looks like people, what does not, and when newcomers are to be challenged."""

import pytest

from stentor.room.crowd_meter import (
    Alarm,
    Arrival,
    Behaves,
    Did,
    MeterReport,
    MinuteSums,
    RoomMeter,
    judge,
    merged,
    sums,
)

PAGE = Did.ASKED | Did.PAGE


@pytest.mark.parametrize(
    ("arrival", "behaves"),
    [
        (Arrival(2, PAGE, 1, 0), Behaves.EARLY),
        (Arrival(2, PAGE | Did.STATE, 15, 0), Behaves.PEOPLE),
        (Arrival(30, PAGE | Did.STATE | Did.TICKET, 15, 0), Behaves.PEOPLE),
        (Arrival(30, PAGE | Did.STATE, 5_000, 0), Behaves.NOT_PEOPLE),
        (Arrival(40, Did.ASKED | Did.LISTENED, 1, 0), Behaves.PEOPLE),
        (Arrival(40, PAGE | Did.BEACONED, 20_000, 500), Behaves.PEOPLE),
        (Arrival(3, PAGE, 60, 25), Behaves.NOT_PEOPLE),
        (Arrival(30, 0, 0, 0), Behaves.NOT_PEOPLE),
        (Arrival(5, 0, 0, 0), Behaves.EARLY),
        (Arrival(30, Did.ASKED | Did.TICKET, 2, 0), Behaves.NOT_PEOPLE),
        (Arrival(30, PAGE | Did.TICKET | Did.CHALLENGED, 6, 0), Behaves.NOT_PEOPLE),
        (Arrival(30, PAGE | Did.TICKET | Did.CHALLENGED | Did.SOLVED, 6, 0), Behaves.PEOPLE),
        (Arrival(30, Did.ASKED, 35, 0), Behaves.NOT_PEOPLE),
        (Arrival(90, PAGE, 3, 0), Behaves.EARLY),
    ],
)
def test_an_arrival_is_judged_by_what_it_did(arrival: Arrival, behaves: Behaves) -> None:
    assert judge(arrival) is behaves


def test_the_sums_say_what_those_lack_who_are_no_people_and_stand_for_all() -> None:
    people = [Arrival(30, PAGE | Did.STATE | Did.TICKET | Did.LISTENED, 20, 0)] * 9
    others = [Arrival(30, Did.ASKED | Did.TICKET, 100, 40)]
    made = sums(60, people + others, counted=10.0)
    assert (made.arrivals, made.people, made.not_people, made.early) == (100, 90, 10, 0)
    assert made.did["ticket"] == 100
    assert made.lacks == {"page": 10, "state": 10, "ticket": 0, "solved": 10, "listened": 10, "beaconed": 10}
    assert (made.requests, made.refused) == (2_800, 400)


def test_what_edges_say_is_added_up_minute_by_minute() -> None:
    here = [MinuteSums(at_s=60, arrivals=3, people=2, did={"page": 1}), MinuteSums(at_s=120, arrivals=1, early=1)]
    there = [MinuteSums(at_s=60, arrivals=4, not_people=4, did={"page": 2}, lacks={"page": 2})]
    made = merged([*here, *there])
    assert [(each.at_s, each.arrivals, each.people, each.not_people) for each in made] == [
        (60, 7, 2, 4),
        (120, 1, 0, 0),
    ]
    assert made[0].did["page"] == 3
    assert made[0].lacks["page"] == 2


def test_the_alarm_waits_for_many_and_ends_after_five_calm_minutes() -> None:
    alarm = Alarm()
    assert not alarm.note([MinuteSums(at_s=0, people=1, not_people=29)], 0)
    assert not alarm.note([MinuteSums(at_s=0, people=200, not_people=100)], 1)
    assert alarm.note([MinuteSums(at_s=0, people=50, not_people=60)], 2)
    calm = [MinuteSums(at_s=0, people=500, not_people=3)]
    assert alarm.note(calm, 10)
    assert alarm.note([MinuteSums(at_s=0, people=30, not_people=20)], 200), "it begins to count anew"
    assert alarm.note(calm, 210)
    assert alarm.note(calm, 500)
    assert not alarm.note(calm, 511)


def test_a_report_survives_its_way() -> None:
    said = MeterReport(
        edge="a",
        at_ns=5,
        rooms={"demo": RoomMeter(minutes=(MinuteSums(at_s=60, people=2),), agents={"x": 1})},
        networks=(("10.0.0.0/24", 5, 1),),
    )
    assert MeterReport.model_validate_json(said.to_bytes()) == said
