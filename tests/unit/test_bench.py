"""The benches' instruments must be able to see what they look for."""

import socket
from contextlib import suppress

import numpy as np
import pytest

from bench.crowd import Said
from bench.isolation import added, late_ms
from bench.report import percentile
from bench.rooms import stalls
from bench.sockets import sockets
from bench.speech import BrowserEncoder, decoded, digits, missing_or_repeated, numbered, read_digits
from bench.tape import Numbers, Tape
from bench.tones import ToneFinder, latencies, tone

FRAMES = 200


@pytest.mark.parametrize(
    ("harm", "edits"),
    [
        (lambda packets: packets, 0),
        (lambda packets: packets[:90] + packets[91:], 1),
        (lambda packets: packets[:90] + packets[89:], 1),
        (lambda packets: packets[:50] + packets[52:90] + packets[89:], 3),
    ],
)
def test_missing_and_repeated_frames_are_counted(harm, edits):
    packets = harm(BrowserEncoder(64_000).encode(numbered(FRAMES)))
    heard = read_digits(decoded([*packets, packets[-1]]))
    # The decoder's delay cuts the last frame; what comes after the last number is not asked.
    found, differences = missing_or_repeated(digits(FRAMES)[: FRAMES - 5], heard)
    assert found == edits
    assert differences <= 2 * edits


def test_markers_are_found_where_they_are():
    sound = np.zeros(5 * 48_000, np.float32)
    for second in range(5):
        sound[48_000 * second + 4_800 :][:5_760] = tone(second)
    finder = ToneFinder()
    finder.feed(sound, 100.0)
    left = [(second, 100.0 + second) for second in range(5)]
    assert latencies(left, finder.heard) == pytest.approx([0.1] * 5, abs=0.006)


def test_percentiles_are_values_that_occurred():
    values = [float(value) for value in range(1, 21)]
    assert percentile(values, 0.5) == 10
    assert percentile(values, 0.95) == 19
    assert percentile(values, 0.99) == 20


def test_lateness_is_the_bound_that_the_share_kept():
    one = {0.001: 900, 0.005: 989, 0.02: 1_000, float("inf"): 1_000}
    assert late_ms(one, 0.9) == 1
    assert late_ms(one, 0.99) == 20
    assert late_ms(added([one, one]), 0.98) == 5
    assert late_ms({0.001: 0, float("inf"): 3}, 0.5) == float("inf")


def _window(lags: dict[int, int], *, least_bytes: int = 40_000, still_open: int = 2) -> Said:
    total = sum(lags.values())
    lag = {"count": total, "min": min(lags), "max": max(lags), "sum": 0, "histogram": list(lags.items())}
    got = {"count": 2, "min": least_bytes, "max": least_bytes, "sum": 0, "histogram": []}
    return Said([{"seconds": 10.0, "open": still_open, "lag_us": lag, "bytes": got}])


def test_stalls_are_late_blocks_lost_listeners_and_missing_sound():
    assert stalls(_window({20_000: 50, 400_000: 1}), 2) == 0
    assert stalls(_window({20_000: 50, 430_000: 2}), 2) == 2
    assert stalls(_window({20_000: 50}, still_open=1), 2) == 1
    assert stalls(_window({20_000: 50}, least_bytes=20_000), 2) == 1


@pytest.mark.parametrize("lost", [(), (7,)])
async def test_a_step_that_is_missing_on_the_bus_is_a_glitch(lost):
    numbers, tape = Numbers(4.0), Tape("room")
    packets = numbers.material.packets
    for step in range(len(packets) // 12):
        if step not in lost:
            tape.units[step] = tuple(packets[12 * step : 12 * step + 12])
    tape.units[len(packets) // 12] = (packets[-1],) * 12
    glitches = await tape.glitches(numbers.material)
    assert glitches >= 12 if lost else glitches == 0


def test_who_does_not_read_is_seen_in_the_kernel():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, peer = server.accept()
            with accepted:
                assert sockets(port) == (1, set())
                accepted.setblocking(False)
                with suppress(BlockingIOError):
                    while accepted.send(bytes(65_536)):
                        pass
                held, unread = sockets(port)
                assert held == 1
                assert len(unread) == 1
                assert next(iter(unread)).endswith(f":{peer[1]:04X}")
