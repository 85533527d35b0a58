"""A jitter buffer in virtual time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stentor.media.decoder import OpusDecoder
from stentor.media.encoder import OpusEncoder
from stentor.media.playout import Playout
from tests.fakes.virtual_line import on_time, through

TICK_NS = 20_000_000


@pytest.fixture(scope="module")
def packets():
    """Return 1,000 packets of a voice-like sound: a hum with harmonics whose pitch and loudness go up and down."""
    at = np.arange(1000 * 960) / 48_000
    pitch = np.cumsum(130 + 30 * np.sin(2 * np.pi * 0.7 * at)) / 48_000
    hum = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 8))
    loud = 0.08 * (1.2 + np.sin(2 * np.pi * 1.3 * at))
    encoder = OpusEncoder(64_000, packet_loss_percent=10)
    return [encoder.encode(tick.astype(np.float32)[None]) for tick in np.split(hum * loud, 1000)]


@pytest.fixture(scope="module")
def quiet_packets():
    encoder = OpusEncoder(32_000)
    noise = np.random.default_rng(3).normal(0, 0.001, (100, 1, 960)).astype(np.float32)
    return [encoder.encode(tick) for tick in noise]


def reference(packets):
    """Return what a decoder makes of the packets alone."""
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(payload)[0].copy() for payload in packets])


def delay_samples(pcm, packets, begin, end):
    """Return how far ``pcm`` is behind the sound of the packets, by correlation between two ticks."""
    piece = reference(packets[:end])[begin * 960 :]
    places = range(begin * 960, len(pcm) - len(piece))
    found = max(places, key=lambda at: float(np.dot(pcm[at : at + len(piece)], piece)))
    return found - begin * 960


def rms(pcm):
    return float(np.sqrt(np.mean(pcm**2)))


def counted(playout):
    stats = playout.stats
    return stats.lost, stats.recovered, stats.concealed, stats.late


def test_a_steady_stream_is_played_as_it_was_decoded(packets):
    heard = through(packets[:100], on_time(100))
    sound = reference(packets[:100])
    start = 5 * 48 + 960 + 768 + 8  # comes after 5 ms, waits a tick and 16 ms; 8 samples in the resampler
    assert np.array_equal(heard.pcm[start : start + 90 * 960], sound[: 90 * 960])
    assert counted(heard.playout) == (0, 0, 0, 0)
    assert heard.playout.stats.played == 98  # the turn of the last has not come


def test_a_steady_stream_waits_less_than_40_ms(packets):
    heard = through(packets[:100], on_time(100, after_ms=19.0))
    arrived = 19 * 48
    assert delay_samples(heard.pcm, packets, 20, 40) - arrived <= 40 * 48


def test_a_packet_that_is_10_ms_late_now_and_then_is_not_heard(packets):
    heard = through(packets[:300], on_time(300, **{f"p{n}": n * 20 + 15.0 for n in (50, 120, 121, 260)}))
    assert counted(heard.playout) == (0, 0, 0, 0)


def test_reordered_packets_make_no_difference(packets):
    moved = on_time(100, p10=10 * 20 + 15.0, p11=11 * 20 - 6.0, p30=30 * 20 + 15.0, p31=31 * 20 - 6.0)
    heard = through(packets[:100], moved)
    assert counted(heard.playout) == (0, 0, 0, 0)
    assert heard.playout.stats.played >= 98


def test_a_packet_that_comes_twice_is_a_duplicate(packets):
    playout = Playout()
    for _ in range(2):
        playout.push(0, 0, packets[0], 0)
    assert playout.stats.duplicate == 1


def test_in_silence_the_delay_comes_down_at_once():
    silence = OpusEncoder(32_000).encode(np.zeros((1, 960), np.float32))
    late = on_time(500, p100=100 * 20 + 35.0)  # 30 ms later than the others
    assert through([silence] * 300, late[:300]).playout.stats.held_samples >= 50 * 48
    assert through([silence] * 500, late).playout.stats.held_samples <= 42 * 48


def sixty_ms_later(packets, *, again):
    """Return the counters after 6 s in which each tenth packet comes 60 ms late: once more, or as it was asked for."""
    playout = Playout()
    for n in range(300):
        if again or n % 10:
            playout.push(n, n * 960, packets[n], n * TICK_NS)
        if n % 10 == 3:
            playout.push(n - 3, (n - 3) * 960, packets[n - 3], n * TICK_NS if again else None)
        playout.pull(n * TICK_NS)
    return playout.stats


def test_what_comes_twice_is_not_waited_for(packets):
    stats = sixty_ms_later(packets, again=True)
    assert (stats.duplicate, stats.late, stats.lost) == (30, 0, 0)
    assert stats.held_samples <= 37 * 48


def test_what_was_asked_for_makes_it_wait_for_no_more_than_fec(packets):
    stats = sixty_ms_later(packets, again=False)
    assert stats.late == 30
    assert stats.held_samples <= 57 * 48


def test_after_the_first_loss_there_is_time_for_fec(packets):
    lost = on_time(400, **{f"p{n}": None for n in range(50, 390, 10)})
    heard = through(packets[:400], lost)
    stats = heard.playout.stats
    assert stats.lost == 34
    assert stats.recovered >= 32
    assert stats.late == 0


def test_a_burst_of_losses_keeps_its_time(packets):
    heard = through(packets[:200], on_time(200, p50=None, p51=None, p52=None))
    assert heard.playout.stats.lost == 3
    clean = through(packets[:200], on_time(200))
    waited = delay_samples(heard.pcm, packets, 150, 170) - delay_samples(clean.pcm, packets, 150, 170)
    assert -96 <= waited <= 960 + 480  # at most the frame that FEC wants, and what is not worth mending


def test_a_line_that_stands_still_loses_nothing_and_catches_up(packets):
    stood = {f"p{n}": 65 * 20.0 for n in range(50, 65)}
    heard = through(packets[:600], on_time(600, **stood))
    assert counted(heard.playout)[0] == 0
    assert heard.playout.stats.shortened >= 250 * 48
    assert delay_samples(heard.pcm, packets, 565, 585) <= 60 * 48


def test_jitter_makes_it_wait_longer_and_calm_makes_it_wait_less(packets):
    random = np.random.default_rng(5)
    jittery = [n * 20 + (float(random.uniform(0, 80)) if n < 400 else 0.0) for n in range(1000)]
    heard = through(packets, jittery)
    assert 80 * 48 <= delay_samples(heard.pcm, packets, 350, 365) <= 130 * 48
    assert (
        delay_samples(heard.pcm, packets, 970, 985) <= (36 + 20) * 48
    )  # 20 ms too late are left alone while somebody speaks
    assert heard.playout.stats.lost <= 8


@pytest.mark.parametrize("ppm", [300, -300])
def test_clocks_that_run_apart_are_followed_without_a_gap(packets, ppm):
    loop = [*packets] * 3
    drifting = [n * 20 * (1 + ppm / 1e6) + 5.0 for n in range(len(loop))]
    heard = through(loop, drifting)
    stats = heard.playout.stats
    assert counted(heard.playout) == (0, 0, 0, 0)
    assert (stats.shortened, stats.lengthened) == (0, 0)
    assert abs(stats.off_samples) < 200


def test_a_packet_after_its_turn_is_late(packets):
    heard = through(packets[:100], on_time(100, p50=60 * 20.0))
    assert (heard.playout.stats.late, heard.playout.stats.lost) == (1, 1)


@pytest.mark.parametrize("first", [2**32 - 960 * 30, 2**32 - 1, 2**31 - 960 * 20])
def test_timestamps_wrap(packets, first):
    heard = through(packets[:100], on_time(100), first_timestamp=first)
    assert np.array_equal(heard.pcm, through(packets[:100], on_time(100)).pcm)


def dtx(quiet_packets, packets, pause):
    """Return sound and arrivals of speech, background, a pause in which nothing is sent, and speech again."""
    playout = Playout()
    sent = [(n, packets[n]) for n in range(50)] + [(50 + n, quiet_packets[n]) for n in range(50)]
    sent += [(100 + pause + n, packets[100 + n]) for n in range(50)]
    out = []
    position = 0
    for tick in range(100 + pause + 50):
        if position < len(sent) and sent[position][0] <= tick:
            place, payload = sent[position]
            playout.push(position, place * 960, payload, place * TICK_NS)
            position += 1
        out.append(playout.pull(tick * TICK_NS)[0].copy())
    return playout, np.concatenate(out)


@pytest.mark.parametrize("pause", [20, 200])
def test_a_pause_with_dtx_is_background_and_no_loss(packets, quiet_packets, pause):
    playout, pcm = dtx(quiet_packets, packets, pause)
    assert counted(playout) == (0, 0, 0, 0)
    before = rms(pcm[80 * 960 : 98 * 960])
    during = rms(pcm[106 * 960 : (98 + pause) * 960])
    assert before / 3 < during < before * 3
    assert playout.stats.played == 149
    assert abs(playout.stats.off_samples) < 20
    assert rms(pcm[-20 * 960 :]) > 0.03


def test_packets_out_of_order_around_pauses_are_not_lost(packets, quiet_packets):
    random = np.random.default_rng(8)
    playout = Playout()
    places = [turn * 120 + n for turn in range(6) for n in range(70)]  # 70 packets, then a second of nothing
    said = [packets[n] if n % 70 < 40 else quiet_packets[n % 70] for n in range(len(places))]
    sent = sorted((place * 20 + float(random.uniform(0, 80)), n, place) for n, place in enumerate(places))
    position = 0
    for tick in range(places[-1]):
        while position < len(sent) and sent[position][0] <= tick * 20:
            at, number, place = sent[position]
            playout.push(number, place * 960, said[number], int(at * 1e6))
            position += 1
        playout.pull(tick * TICK_NS)
        if tick == 100:
            learnt = playout.stats.late + playout.stats.lost
    assert playout.stats.late + playout.stats.lost - learnt <= 1


def test_a_broken_line_fades_to_the_background(packets):
    heard = through(packets[:60], on_time(60), ticks=120)
    assert heard.playout.stats.concealed in (5, 6)
    assert rms(heard.pcm[63 * 960 : 64 * 960]) > 0.01
    assert rms(heard.pcm[75 * 960 :]) < 0.003


def test_a_new_stream_takes_over_at_once(packets):
    playout = through(packets[:50], on_time(50), ticks=50).playout
    out = []
    for n in range(50):
        playout.push(n, (3_000_000_000 + n * 960) % 2**32, packets[n], (50 + n) * TICK_NS)
        out.append(playout.pull((50 + n) * TICK_NS).copy())
    assert playout.stats.resets == 1
    assert rms(np.concatenate(out, axis=1)[:, 9600:]) > 0.03


def test_a_stream_that_steps_back_a_little_is_taken_up_again(packets):
    playout = through(packets[:100], on_time(100), ticks=100).playout
    last = np.zeros(1)
    for n in range(60):
        playout.push(n, n * 960, packets[n], (100 + n) * TICK_NS)
        last = playout.pull((100 + n) * TICK_NS)
    assert rms(last) > 0.01


def test_a_packet_of_120_ms_gives_six_ticks():
    encoder = OpusEncoder(speech=False)
    frames = [encoder.encode(np.full((1, 960), 0.1, np.float32)) for _ in range(12)]

    def long_packet(six):
        lengths = b"".join(bytes((len(f) - 1,)) for f in six[:-1])
        return bytes((six[0][0] | 3, 0x86)) + lengths + b"".join(f[1:] for f in six)

    playout = Playout()
    playout.push(0, 0, long_packet(frames[:6]), 0)
    playout.push(1, 5760, long_packet(frames[6:]), 0)
    assert all(playout.pull(tick * TICK_NS).shape == (1, 960) for tick in range(14))
    assert (playout.stats.concealed, playout.stats.lost, playout.stats.played) == (0, 0, 2)


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
    tick = 0
    for sequence, timestamp, payload, pulls in arrivals:
        playout.push(sequence, timestamp, payload, timestamp)
        for _ in range(pulls):
            pcm = playout.pull(tick * TICK_NS)
            tick += 1
            assert pcm.shape == (1, 960)
            assert np.all(np.isfinite(pcm))
    assert playout._ready_samples <= 2 * 5760 + stretch_room()


def stretch_room():
    """Return what a period put in once more may add."""
    return 720
