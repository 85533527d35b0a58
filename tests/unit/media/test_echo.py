"""Echo or not, from levels."""

import numpy as np
import pytest

from stentor.media.echo import EchoMeter


def turns(seed, ticks=900):
    """Return mean squares of somebody who talks and pauses."""
    random = np.random.default_rng(seed)
    level = np.full(ticks, -75.0)
    at = 0
    while at < ticks:
        length = int(random.integers(10, 60))
        level[at : at + length] = random.uniform(-30, -15) + random.normal(0, 4, len(level[at : at + length]))
        at += length + int(random.integers(10, 60))
    return 10 ** (level / 10)


def watched(sent, came):
    meter = EchoMeter()
    for heard, said in zip(sent, came, strict=True):
        meter.add(float(heard), float(said))
    return meter.echo_db()


@pytest.mark.parametrize("lag", [4, 15, 35])
def test_an_echo_is_found_wherever_it_is(lag):
    sent = turns(1)
    came = np.concatenate([np.zeros(lag), sent[:-lag]]) * 10**-2.0 + 1e-8
    assert watched(sent, came) == pytest.approx(20, abs=2)


def test_a_voice_in_the_pauses_is_no_echo():
    assert watched(turns(1), turns(2)) is None


def test_a_quiet_room_is_no_echo():
    noise = 1e-7 * np.random.default_rng(5).uniform(0.5, 2, 900)
    assert watched(turns(1), noise) is None


def test_nothing_is_said_before_there_is_enough_to_go_by():
    sent = turns(1, 100)
    assert watched(sent, sent) is None


def test_who_hears_nothing_gives_nothing_back():
    assert watched(np.zeros(900), turns(3)) is None
