"""What a generator is made of: distributions, a player's ear, responses, frames, shares of a plan."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import BadRequest, MediaError
from stentor.rehearsal.histogram import Histogram
from stentor.rehearsal.plan import Plan, place_of
from stentor.rehearsal.sound import MS, Ear
from stentor.rehearsal.tally import Counts, Tally, merged
from stentor.rehearsal.wire import BINARY, PING, PONG, AnswerReader, client_frame, frames, request

STEP_NS = 240 * MS


def plan(**changes: object) -> Plan:
    values = {"id": "r1", "url": "http://127.0.0.1:8000", "room": "demo", "listeners": 1_000, "per_second": 100.0}
    return Plan.model_validate(values | changes)


@given(st.lists(st.floats(0.01, 1e7), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_exact_to_a_bucket(values: list[float], share: float) -> None:
    spread = Histogram()
    for value in values:
        spread.add(value)
    exact = sorted(values)[max(0, -(-int(share * 100) * len(values) // 100) - 1)]
    assert spread.at(share) == pytest.approx(exact, rel=0.026)


def test_distributions_survive_the_way_and_add_up() -> None:
    one, other = Histogram(), Histogram()
    for value in (0.0, 1.0, 10.0):
        one.add(value)
    other.add(1_000.0)
    one.merge(Histogram(json.loads(json.dumps(other.to_json()))))
    assert len(one) == 4
    assert one.at(0.25) == 0.0
    assert one.at(1.0) == pytest.approx(1_000, rel=0.026)
    assert one.share_above(100.0) == 0.25
    assert Histogram().at(0.5) is None


def test_tallies_of_workers_add_up() -> None:
    tally = Tally()
    tally.sums["arrived"] += 3
    tally.sums["status.503"] += 1
    tally.gauges["playing"] += 2
    tally.spreads["join_ms"].add(50.0)
    told = Counts.model_validate_json(tally.counts().model_dump_json())
    both = merged([told, told])
    assert (both.sums["arrived"], both.gauges["playing"], len(both.spreads["join_ms"])) == (6, 4, 2)
    assert both.named("status.") == {"503": 2}


@given(st.integers(1, 5_000), st.integers(1, 16))
def test_shares_of_a_plan_add_up(listeners: int, workers: int) -> None:
    shares = [plan(listeners=listeners).share(number, workers) for number in range(min(workers, listeners))]
    if workers <= listeners:
        assert sum(share.listeners for share in shares) == listeners
        assert sum(share.per_second for share in shares) == pytest.approx(100.0)


def test_addresses_that_are_no_installation_are_refused() -> None:
    assert place_of("https://radio.example.org") == ("radio.example.org", 443, True)
    assert place_of("http://[::1]:8000/") == ("::1", 8000, False)
    for url in ("radio.example.org", "ftp://radio.example.org", "http://radio.example.org/r/demo"):
        with pytest.raises(BadRequest):
            place_of(url)


def test_an_ear_hears_what_it_has_and_then_nothing() -> None:
    ear = Ear()
    ear.take(0 + 1, 4 * STEP_NS)
    ear.listen(1 + 2 * STEP_NS)
    assert (ear.played_ns, ear.stall_ns, ear.stalls) == (2 * STEP_NS, 0, 0)
    ear.listen(1 + 5 * STEP_NS)
    ear.listen(1 + 6 * STEP_NS)
    assert (ear.played_ns, ear.stall_ns, ear.stalls) == (4 * STEP_NS, 2 * STEP_NS, 1)
    ear.take(1 + 6 * STEP_NS, STEP_NS)
    ear.listen(1 + 7 * STEP_NS)
    assert (ear.played_ns, ear.stall_ns, ear.stalls) == (5 * STEP_NS, 2 * STEP_NS, 1)


@pytest.mark.parametrize(("away", "came", "left"), [(1, 1, 4), (3, 3, 4), (10, 10, 6)])
def test_who_was_cut_goes_on_with_what_was_left(away: int, came: int, left: int) -> None:
    ear = Ear()
    ear.take(1, 4 * STEP_NS, most_ns=6 * STEP_NS)
    ear.stop()
    now = 1 + away * STEP_NS
    ear.take(now, came * STEP_NS, most_ns=6 * STEP_NS)
    ear.listen(now + left * STEP_NS)
    assert ear.stalls == 0
    ear.listen(now + (left + 1) * STEP_NS)
    assert ear.stalls == 1


def test_larger_blocks_that_were_announced_are_no_stall() -> None:
    ear = Ear()
    ear.take(1, 4 * STEP_NS)
    ear.brace(3 * STEP_NS)
    ear.listen(1 + 7 * STEP_NS)
    assert ear.stalls == 0
    assert ear.behind_ns(1, 10 * STEP_NS, 9 * STEP_NS) == STEP_NS + 7 * STEP_NS


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_response_is_read_however_it_is_cut(cuts: list[int]) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world"
    reader, answers, at = AnswerReader(), [], 0
    for cut in [*cuts, len(whole)]:
        answers.append(reader.feed(whole[at : at + cut]))
        at += cut
    found = [answer for answer in answers if answer is not None]
    assert [(answer.status, answer.body, answer.keeps) for answer in found] == [(200, b"hello world", False)]


def test_what_is_no_response_is_an_error() -> None:
    for garbage in (b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 40_000):
        with pytest.raises(MediaError):
            AnswerReader().feed(garbage)


def test_frames_after_the_handshake_are_kept() -> None:
    reader = AnswerReader()
    answer = reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x89\x00")
    assert answer is not None
    assert answer.status == 101
    assert frames(reader.rest) == ([(PING, 2, 2)], 2)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_all_lengths_are_found_and_the_rest_is_left(size: int) -> None:
    length = (
        bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65_536 else b"\x7f" + size.to_bytes(8)
    )
    whole = b"\x82" + length + bytes(size)
    found, at = frames(whole + whole[:-1] if size else whole)
    assert (found[0][0], found[0][2] - found[0][1], at) == (BINARY, size, len(whole))
    assert len(found) == 1
    with pytest.raises(MediaError):
        frames(b"\x82\x80abcd")


def test_a_pong_is_masked_and_a_request_says_its_length() -> None:
    pong = client_frame(PONG, b"hi")
    assert pong[:2] == bytes((0x8A, 0x82))
    assert bytes(byte ^ pong[2 + at % 4] for at, byte in enumerate(pong[6:])) == b"hi"
    assert b"Content-Length: 2\r\n" in request("POST", "/r/demo/ticket", "localhost", {}, b"{}")
