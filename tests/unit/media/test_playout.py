"""A jitter buffer in virtual time: one pull is 20 ms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.media.decoder import OpusDecoder
from stentor.media.encoder import OpusEncoder
from stentor.media.playout import MAX_TARGET_SAMPLES, Playout

TICK_NS = 20_000_000


@pytest.fixture(scope="module")
def packets():
    """Return 200 packets, each a tone of its own pitch, so that a decoded frame says which it is."""
    encoder = OpusEncoder(64_000, speech=False)
    made = []
    for n in range(200):
        frequency = 300 + 100 * (n % 20)
        phase = 2 * np.pi * frequency * (np.arange(960) + n * 960) / 48_000
        made.append(encoder.encode((0.3 * np.sin(phase)).astype(np.float32)[None]))
    return made


def play(arrivals, pulls, playout=None, first_timestamp=0):
    """Feed packets by the tick of their arrival: ``arrivals[tick]`` lists (number, payload)."""
    playout = playout or Playout()
    out = []
    for tick in range(pulls):
        for number, payload in arrivals.get(tick, ()):
            timestamp = (first_timestamp + number * 960) % 2**32
            playout.push(number % 2**16, timestamp, payload, tick * TICK_NS)
        out.append(playout.pull()[0].copy())
    return playout, np.concatenate(out)


def steady(packets, count=100, **moved):
    """Return one packet a tick; ``moved`` gives other ticks, None for lost: p7=9, p8=None."""
    arrivals = {}
    for number in range(count):
        tick = moved.get(f"p{number}", number)
        if tick is not None:
            arrivals.setdefault(tick, []).append((number, packets[number]))
    return arrivals


def reference(packets, count=100):
    """Return what a decoder makes of the packets alone."""
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(payload)[0].copy() for payload in packets[:count]])


def delay_ticks(pcm):
    """Return how many ticks of silence stand at the start."""
    return int(np.argmax(np.abs(pcm) > 0.01)) // 960


def test_a_steady_stream_is_played_whole_after_40_ms(packets):
    playout, pcm = play(steady(packets), 100)
    assert delay_ticks(pcm) == 1  # with the second packet there are 40 ms
    assert (playout.stats.lost, playout.stats.concealed, playout.stats.late, playout.stats.trimmed) == (0, 0, 0, 0)
    assert np.array_equal(pcm[960:], reference(packets)[: len(pcm) - 960])


def test_reordered_and_repeated_packets_make_no_difference(packets):
    arrivals = steady(packets, p10=11, p30=31)
    arrivals[40].append((40, packets[40]))
    playout, pcm = play(arrivals, 100)
    assert np.array_equal(pcm, play(steady(packets), 100)[1])
    assert (playout.stats.duplicate, playout.stats.lost) == (1, 0)


def test_one_lost_packet_is_recovered_from_the_next(packets):
    playout, pcm = play(steady(packets, p50=None), 100)
    assert (playout.stats.lost, playout.stats.recovered) == (1, 1)
    clean = play(steady(packets), 100)[1]
    assert np.array_equal(pcm[: 51 * 960], clean[: 51 * 960])
    assert np.sqrt(np.mean(pcm[51 * 960 : 52 * 960] ** 2)) > 0.05  # not a hole
    assert np.allclose(pcm[60 * 960 :], clean[60 * 960 :], atol=0.05)  # and not shifted


def test_several_lost_packets_keep_their_time(packets):
    playout, pcm = play(steady(packets, p50=None, p51=None, p52=None), 100)
    assert playout.stats.lost == 3
    assert np.allclose(pcm[65 * 960 :], play(steady(packets), 100)[1][65 * 960 :], atol=0.05)


def test_late_packets_are_heard_with_more_delay_which_then_shrinks(packets):
    late = {f"p{n}": 56 for n in range(50, 56)}
    playout, _ = play(steady(packets, 80, **late), 80)
    assert (playout.stats.lost, playout.stats.late, playout.stats.concealed) == (0, 0, 5)
    assert playout.stats.depth_samples >= 5 * 960
    encoder = OpusEncoder()
    for n in range(80, 280):  # a pause in speech: nobody hears a frame less
        playout.push(n, n * 960, encoder.encode(np.zeros((1, 960), np.float32)), n * TICK_NS)
        playout.pull()
    assert 4 <= playout.stats.trimmed <= 5
    assert playout.stats.depth_samples <= MAX_TARGET_SAMPLES


def test_a_packet_after_its_turn_is_late(packets):
    playout, _ = play(steady(packets, p50=60), 100)
    assert (playout.stats.late, playout.stats.lost) == (1, 1)


@pytest.mark.parametrize("first", [2**32 - 960 * 30, 2**32 - 1, 2**31 - 960 * 20])
def test_timestamps_wrap(packets, first):
    _, pcm = play(steady(packets), 100, first_timestamp=first)
    assert np.array_equal(pcm, play(steady(packets), 100)[1])


def test_a_pause_with_dtx_starts_again_without_old_delay(packets):
    arrivals = {n: [(n, packets[n])] for n in range(20)}
    playout = Playout()
    play(arrivals, 30, playout)
    # 400 ms later a lone packet, then speech again; sequence numbers go on without a loss
    sequence = 20
    depths = []
    for tick in range(40, 120):
        if tick == 40 or tick >= 60:
            playout.push(sequence, tick * 960, packets[sequence], tick * TICK_NS)
            sequence += 1
        playout.pull()
        depths.append(playout.stats.depth_samples)
    assert playout.stats.lost == 0
    assert max(depths[30:]) <= MAX_TARGET_SAMPLES


def test_a_new_stream_takes_over_at_once(packets):
    playout = Playout()
    play(steady(packets, 50), 50, playout)
    out = []
    for n in range(50):
        playout.push(n, (3_000_000_000 + n * 960) % 2**32, packets[n], (50 + n) * TICK_NS)
        out.append(playout.pull().copy())
    assert playout.stats.resets == 1
    assert np.sqrt(np.mean(np.concatenate(out, axis=1)[:, 9600:] ** 2)) > 0.1


def test_a_stream_that_steps_back_a_little_is_taken_up_again(packets):
    playout = Playout()
    play(steady(packets, 100), 100, playout)
    for n in range(60):
        playout.push(n, n * 960, packets[n], (100 + n) * TICK_NS)
        last = playout.pull()
    assert np.max(np.abs(last)) > 0.1


def test_a_packet_of_120_ms_gives_six_ticks():
    encoder = OpusEncoder(speech=False)
    frames = [encoder.encode(np.full((1, 960), 0.1, np.float32)) for _ in range(12)]

    def long_packet(six):
        lengths = b"".join(bytes((len(f) - 1,)) for f in six[:-1])
        return bytes((six[0][0] | 3, 0x86)) + lengths + b"".join(f[1:] for f in six)

    playout = Playout()
    playout.push(0, 0, long_packet(frames[:6]), 0)
    playout.push(1, 5760, long_packet(frames[6:]), 0)
    assert all(playout.pull().shape == (1, 960) for _ in range(12))
    assert (playout.stats.concealed, playout.stats.lost) == (0, 0)


def test_a_flood_is_bounded(packets):
    playout = Playout()
    for n in range(200):
        playout.push(n, n * 960, packets[n], 0)
    assert len(playout._packets) <= 100
    assert playout._depth() <= 48_000


TIMESTAMPS = st.integers(0, 2**32 - 1) | st.integers(0, 9600)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 65_535), TIMESTAMPS, st.binary(max_size=40), st.integers(0, 3)), max_size=60))
def test_whatever_comes_a_tick_comes_out(arrivals):
    playout = Playout()
    for sequence, timestamp, payload, pulls in arrivals:
        playout.push(sequence, timestamp, payload, timestamp)
        for _ in range(pulls):
            pcm = playout.pull()
            assert pcm.shape == (1, 960)
            assert np.all(np.isfinite(pcm))
    assert playout._ready_samples <= 2 * 5760
