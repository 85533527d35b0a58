"""The bad networks of bench.loss are as bad as they say, and the same for everybody."""

from itertools import groupby, islice

import pytest

from bench.clips import place
from bench.impair import NETWORKS, Network, Proxy
from bench.speech import numbered


@pytest.mark.parametrize(("name", "share"), [("1", 0.01), ("5", 0.05), ("10", 0.1), ("20", 0.2), ("burst", 0.05)])
def test_so_many_packets_are_lost(name: str, share: float) -> None:
    """As many as the row is named for."""
    delays = list(islice(NETWORKS[name].delays_ms(1), 100_000))
    assert delays.count(None) / len(delays) == pytest.approx(share, rel=0.1)


def test_bursts_are_of_three() -> None:
    """Runs have three packets, or where one follows the other a multiple of it."""
    delays = islice(NETWORKS["burst"].delays_ms(1), 10_000)
    runs = [len(list(run)) for lost, run in groupby(delays, key=lambda late: late is None) if lost]
    assert {run % 3 for run in runs[:-1]} == {0}


def test_jitter_is_even_and_loses_nothing() -> None:
    """Delays fill 80 ms."""
    delays = [late for late in islice(NETWORKS["jitter"].delays_ms(1), 10_000) if late is not None]
    assert len(delays) == 10_000
    assert max(delays) - min(delays) == pytest.approx(80, abs=1)


def test_who_rests_loses_the_same_frames() -> None:
    """The network decides frame by frame, so who sends nothing in pauses (DTX) loses what the others lose there."""
    network = Network(loss=0.2)
    every, some = Proxy(network, 3), Proxy(network, 3)
    all_frames = [every.delay_ms(number * 960 & 0xFFFFFFFF) for number in range(500)]
    sent = [number for number in range(500) if number % 7 < 4]
    assert [some.delay_ms(number * 960) for number in sent] == [all_frames[number] for number in sent]


def test_a_clip_is_found_again() -> None:
    """Where it begins, to the sample."""
    sound = numbered(200)
    assert place(sound, sound[40_000:60_000], 38_000, 0.2) == 40_000


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_loses_what_its_row_says(name: str) -> None:
    """The seed of a run is one with which chance was fair."""
    network = NETWORKS[name]
    lost = list(islice(network.delays_ms(network.seed(5_000)), 5_000)).count(None)
    assert lost / 5_000 == pytest.approx(network.loss, rel=0.03)
