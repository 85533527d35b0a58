"""The offset that is aimed at, from arrivals alone."""

import numpy as np
import pytest

from stentor.media.delay import MAX_WAIT_SAMPLES, MIN_WAIT_SAMPLES, TargetDelay

SPARE = 960 + 192


def fed(delays_ms, start_ms=1000.0):
    target = TargetDelay()
    for number, delay in enumerate(delays_ms):
        target.add((start_ms + number * 20 + delay) * 48, number * 960, 960)
    return target


def wait(target):
    return target.offset - target.quickest


def test_a_calm_line_waits_a_tick_and_16_ms():
    assert wait(fed([0.0] * 300)) == MIN_WAIT_SAMPLES


def test_what_is_12_ms_late_now_and_then_changes_nothing():
    delays = [0.0] * 300
    delays[200] = delays[250] = 12.0
    assert wait(fed(delays)) == MIN_WAIT_SAMPLES


def test_jitter_is_waited_for_to_its_end():
    random = np.random.default_rng(1)
    target = fed(random.uniform(0, 80, 500))
    assert 78 * 48 <= wait(target) - SPARE <= 80 * 48
    assert target.jitter_samples > 500


def test_one_stop_of_the_line_is_forgotten():
    stop = [0.0] * 300
    stop[200:215] = [300.0 - 20 * n for n in range(15)]
    assert wait(fed(stop)) <= MIN_WAIT_SAMPLES + 1


def test_stops_again_and_again_are_waited_for():
    stops = []
    for _ in range(30):
        stops += [100.0, 80.0, 60.0, 40.0, 20.0] + [0.0] * 5
    assert wait(fed(stops)) == pytest.approx(SPARE + 100 * 48, abs=1)


def test_losses_make_it_wait_for_the_next_packet():
    target = fed([0.0] * 300)
    target.lost()
    assert wait(target) == MIN_WAIT_SAMPLES + 960
    for number in range(300, 900):
        target.add((1000 + number * 20) * 48, number * 960, 960)
    assert wait(target) == MIN_WAIT_SAMPLES


def test_there_is_an_end_to_waiting():
    assert wait(fed([0.0, 5000.0] * 100)) == MAX_WAIT_SAMPLES
