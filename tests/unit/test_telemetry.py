"""Log lines: one an event, bounded, escaped, without secrets; floods as one line a second."""

import json
import logging

import pytest
from prometheus_client import Counter

from stentor import telemetry
from stentor.telemetry import MAX_VALUE_CHARS, RateLimitedLog, configure, dump_rate_limited, logger, render_metrics
from tests.fakes.clock import VirtualClock


@pytest.fixture(autouse=True)
def _json_lines():
    configure("info", "json", process="edge-1")
    yield
    configure()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_line(capsys):
    logger("edge").info("listener_joined", room="demo", name="a\nb\x1b[31m\u202e")
    (line,) = lines(capsys)
    assert line["event"] == "listener_joined"
    assert line["part"] == "edge"
    assert line["process"] == "edge-1"
    assert line["level"] == "info"
    assert str(line["time"]).endswith("Z")
    assert line["name"] == "a\\u000ab\\u001b[31m\\u202e"


def test_values_are_bounded(capsys):
    logger("edge").info("x" * 10_000, body="y" * 1_000_000, raw=b"\xff" * 5_000, many=list(range(10_000)))
    (line,) = lines(capsys)
    for key in ("event", "body", "raw", "many"):
        assert len(str(line[key])) == MAX_VALUE_CHARS


def test_secrets_are_left_out(capsys):
    logger("control").warning(
        "refused",
        token="abcdef",
        nats_password="abcdef",
        Authorization="Bearer abcdef",
        link="https://stage/r/demo#t=abcdef",
        url="nats://origin:abcdef@127.0.0.1:4222",
        header="Bearer abcdef",
        address="/r/demo/push?after=3&t=abcdef",
    )
    text = capsys.readouterr().err
    assert "abcdef" not in text
    assert "https://stage/r/demo#t=***" in text


def test_an_exception_stays_on_its_line(capsys):
    try:
        raise ValueError("token=#t=abcdef")
    except ValueError:
        logger("edge").exception("failed")
    (line,) = lines(capsys)
    assert "ValueError" in str(line["exception"])
    assert "Traceback" in str(line["exception"])
    assert "abcdef" not in str(line["exception"])


def test_the_console_is_for_people(capsys):
    configure("debug", "console")
    logger("edge").debug("hello", name="سلام\n")
    text = capsys.readouterr().err
    assert "hello" in text
    assert "سلام\\u000a" in text
    assert text.count("\n") == 1


def test_the_level_holds(capsys):
    configure("warning", "json")
    logger("edge").info("unheard")
    logger("edge").warning("heard")
    assert [line["event"] for line in lines(capsys)] == ["heard"]


def test_libraries_speak_through_the_same_log(capsys):
    logging.getLogger("uvicorn.error").warning("port %d", 8000)
    logging.getLogger("uvicorn.error").info("chatter")
    broken = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "broken %d", ("x",), None)
    telemetry._Bridge().emit(broken)
    (line,) = lines(capsys)
    assert (line["part"], line["event"]) == ("uvicorn.error", "port 8000")


def test_metrics_are_the_default_registry():
    counter = Counter("stentor_telemetry_test_total", "Only this test counts here.")
    counter.inc(3)
    assert b"stentor_telemetry_test_total 3.0" in render_metrics()


async def test_a_flood_is_one_line_a_second(capsys):
    clock = VirtualClock()
    flood = RateLimitedLog(logger("origin"), "bad_packet", clock)
    for number in range(1_000):
        flood.note(ValueError(f"packet {number}"), person="p1")
    await clock.advance(0.999)
    dump_rate_limited()
    first = lines(capsys)
    await clock.advance(0.001)
    dump_rate_limited()
    dump_rate_limited()
    second = lines(capsys)
    assert [(line["times"], line["last"], line["person"]) for line in first] == [(1, "ValueError: packet 0", "p1")]
    assert [(line["times"], line["total"], line["last"]) for line in second] == [(999, 1_000, "ValueError: packet 999")]


async def test_a_quiet_log_says_nothing(capsys):
    clock = VirtualClock()
    quiet = RateLimitedLog(logger("origin"), "bad_packet", clock)
    await clock.advance(5)
    dump_rate_limited()
    assert lines(capsys) == []
    assert quiet.total == 0


def test_a_forgotten_flood_is_collected():
    before = len(telemetry._rate_limited)
    RateLimitedLog(logger("origin"), "bad_packet", VirtualClock())
    assert len(telemetry._rate_limited) == before
