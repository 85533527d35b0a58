"""The light beside a name, and why."""

from dataclasses import replace

import pytest

from stentor.media.playout import PlayoutStats
from stentor.origin.session import SessionStats
from stentor.origin.sound import SoundMeter, verdict
from stentor.room.documents import SoundReport

FINE = {"held_ms": 30.0, "silent_ms": 10.0, "speech_dbfs": -25.0}


@pytest.mark.parametrize(
    ("numbers", "besides", "light", "cause"),
    [
        ({}, {}, "good", None),
        ({"loss": 0.03}, {}, "fair", "uplink-loss"),
        ({"loss": 0.12}, {}, "poor", "uplink-loss"),
        ({"concealed": 0.02}, {}, "fair", "uplink-loss"),
        ({}, {"held_ms": 150.0}, "fair", "uplink-jitter"),
        ({}, {"held_ms": 300.0}, "poor", "uplink-jitter"),
        ({"loss_there": 0.2}, {}, "poor", "downlink-loss"),
        ({"loss": 0.03, "loss_there": 0.2}, {}, "poor", "downlink-loss"),
        ({"loss": 0.2, "loss_there": 0.2}, {}, "poor", "uplink-loss"),
        ({"echo_db": 40.0}, {}, "good", None),
        ({"echo_db": 30.0}, {}, "fair", "echo"),
        ({"echo_db": 10.0}, {}, "poor", "echo"),
        ({}, {"speech_dbfs": -50.0}, "fair", "quiet"),
        ({}, {"speech_dbfs": None}, "good", None),
        ({"loss": 0.2}, {"silent_ms": 2_000.0}, "poor", "uplink-silence"),
    ],
)
def test_the_light_says_what_to_mend_first(numbers, besides, light, cause):
    assert verdict(SoundReport(**numbers), **{**FINE, **besides}) == (light, cause)


SESSION = SessionStats(
    packets_received=0,
    packets_lost=0,
    loss=0.0,
    jitter_ms=3.21,
    packets_sent=0,
    loss_there=0.0,
    round_trip_ms=41.26,
    level_dbov=None,
    silent_ms=5.0,
)


def looks(meter, count, *, lost_each=0, concealed_each=0, start=0):
    report = None
    for number in range(start, start + count):
        session = replace(SESSION, packets_received=(50 - lost_each) * number, packets_lost=lost_each * number)
        playout = PlayoutStats(played=(50 - lost_each) * number, concealed=concealed_each * number, depth_samples=960)
        report = meter.look(session, playout)
    return report


def test_shares_are_those_of_the_last_5_s():
    meter = SoundMeter()
    assert looks(meter, 60, lost_each=5, concealed_each=2).loss == 0.1
    calm = SoundMeter()
    looks(calm, 60)
    report = looks(calm, 8, start=60)
    assert (report.loss, report.light, report.jitter_ms, report.depth_ms) == (0.0, "good", 3.2, 20.0)
    assert report.round_trip_ms == 41.3


def test_a_new_session_begins_to_count_anew():
    meter = SoundMeter()
    looks(meter, 20, lost_each=10)
    assert looks(meter, 3).loss == 0.0
