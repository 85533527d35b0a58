"""What is true of every address: problems, limits, foreign pages, pages, the description, the access log."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from stentor.control.guard import truncated
from stentor.control.limits import FailureLimit, TooManyRequestsError
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import STAFF_URL, Desk


async def test_every_error_is_a_problem(desk: Desk) -> None:
    cases = [
        ("GET", "/nowhere", None, 404, "not found", "There is nothing at this address."),
        ("PUT", "/api/v1/session", None, 405, "method not allowed", "does not take that method"),
        ("POST", "/api/v1/session", b"{", 400, "bad request", "The request is not understood."),
        ("POST", "/api/v1/session", b"[]", 400, "bad request", "The request is not understood."),
        ("POST", "/api/v1/session", b"x" * 65_537, 413, "too large", "This is too large: 64 kB is the most."),
    ]
    for method, path, body, status, title, says in cases:
        answer = await desk.call(method, path, content=body, headers={"Content-Type": "application/json"})
        problem = answer.json()
        assert (answer.status_code, problem["status"], problem["title"]) == (status, status, title)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert says in problem["detail"]


async def test_body_that_hides_its_length_is_cut(desk: Desk) -> None:
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b"x" * 1024

    answer = await desk.call("POST", "/api/v1/session", content=flood())
    assert answer.status_code == 413
    assert sent <= 66


async def test_validation_names_each_field(desk: Desk) -> None:
    answer = await desk.call("POST", "/api/v1/session", json={"token": "", "colour": 1})
    fields = {fault["field"] for fault in answer.json()["errors"]}
    assert fields == {"token", "device", "colour"}


async def test_pages_of_other_sites_are_refused(desk: Desk) -> None:
    body = {"room": "demo", "title": "x"}
    for origin in ("https://evil.example", "null", "https://staff.example.evil.example"):
        answer = await desk.call("POST", "/api/v1/rooms", desk.operator, json=body, headers={"Origin": origin})
        assert answer.status_code == 403
        assert answer.json()["detail"] == "This request came from a page of another site; it is refused."
        seen = await desk.call("GET", "/api/v1/rooms", desk.operator, headers={"Origin": origin})
        assert seen.status_code == 200
        assert "access-control-allow-origin" not in seen.headers
    answer = await desk.call("POST", "/api/v1/rooms", desk.operator, json=body, headers={"Origin": STAFF_URL})
    assert answer.status_code == 201


async def test_nothing_changes_on_get(desk: Desk) -> None:
    await desk.room()
    schema = await desk.ok("GET", "/api/v1/openapi.json")
    before = await desk.catalogue.audit("demo"), await desk.catalogue.room("demo"), await desk.catalogue.links("demo")
    for path in schema["paths"]:
        if "events" not in path:
            await desk.call("GET", re.sub(r"\{\w+\}", "demo", path), desk.operator)
    assert before == (
        await desk.catalogue.audit("demo"),
        await desk.catalogue.room("demo"),
        await desk.catalogue.links("demo"),
    )


async def test_pages_are_strict_and_the_same_for_everybody(desk: Desk, tmp_path: Path) -> None:
    unbuilt = await desk.call("GET", "/")
    assert unbuilt.status_code == 503
    assert "make setup" in unbuilt.text
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "dist" / "stage.html").write_text("<!doctype html><p>stage")
    (assets / "stage-1.js").write_text("1")
    await desk.room()
    for path, status in (("/", 200), ("/r/demo", 200), ("/r/nowhere", 404)):
        page = await desk.call("GET", path)
        assert page.status_code == status
        assert page.text == "<!doctype html><p>stage"
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "connect-src 'self' https://audience.example wss://audience.example" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["x-content-type-options"] == "nosniff"
    script = await desk.call("GET", "/assets/stage-1.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/assets/none.js", "/assets/../stage.html", "/assets/%2e%2e/%2e%2e/catalogue.db"):
        assert (await desk.call("GET", path)).status_code == 404


async def test_description_is_complete_and_loads_nothing(desk: Desk) -> None:
    schema = await desk.ok("GET", "/api/v1/openapi.json")
    operations = [op for path in schema["paths"].values() for op in path.values()]
    assert len(operations) >= 25
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert "422" not in operation["responses"]
    assert "Problem" in schema["components"]["schemas"]
    page = await desk.call("GET", "/api/docs")
    assert page.status_code == 200
    assert "POST /api/v1/rooms/{room}/start" in page.text
    assert "speakers-not-ready" in page.text
    assert not re.search(r"(?:src|href)=['\"]?(?:https?:)?//", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_log_and_metrics_hold_no_secrets(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    links = await desk.room()
    token = links["speaker"].partition("#t=")[2]
    session = await desk.session(links["speaker"])
    await desk.call("GET", f"/r/demo?t={token}", session)
    await desk.call("DELETE", "/r/demo/whip/unguessable", session)
    logged = capfd.readouterr().err
    requests = [json.loads(line) for line in logged.splitlines() if '"event": "request"' in line]
    assert requests[-1].items() >= {"method": "DELETE", "route": "leave", "room": "demo", "status": 404}.items()
    assert {request["client"] for request in requests} == {"192.0.2.0/24"}
    for secret in (token, session, "unguessable", "192.0.2.77"):
        assert secret not in logged
    labels = {"method": "DELETE", "route": "leave", "status": "404"}
    assert REGISTRY.get_sample_value("stentor_control_requests_total", labels)


async def test_something_unexpected_is_still_a_problem(desk: Desk) -> None:
    async def break_down(_token: str) -> None:
        raise RuntimeError("planted")

    desk.control.rules.staff.authenticate = break_down  # type: ignore[method-assign,assignment]
    desk.http._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
    answer = await desk.call("GET", "/api/v1/me", "x")
    assert answer.status_code == 500
    assert answer.json()["detail"] == "Something broke here; it is in the log. Try again in a moment."
    assert "planted" not in answer.text


@pytest.mark.parametrize(
    ("address", "kept"),
    [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("", ""), ("testclient", "")],
)
def test_addresses_are_truncated(address: str, kept: str) -> None:
    assert truncated(address) == kept


async def test_failures_are_limited_per_address_and_forgotten(clock: VirtualClock) -> None:
    limit = FailureLimit(clock, burst=2, refill_s=10)
    limit.fail("a")
    limit.fail("a")
    with pytest.raises(TooManyRequestsError, match="Wait 10 s"):
        limit.fail("a")
    limit.fail("b")
    await clock.advance(10)
    limit.fail("a")
    for number in range(10_001):
        limit.fail(f"flood {number}")
    limit.fail("a")
    limit.fail("a")


async def test_page_that_does_not_read_is_cut(desk: Desk) -> None:
    from stentor.control.hub import Follower
    from stentor.room.documents import Role

    page = Follower("demo", Role.SPEAKER, "p", "s")
    desk.control.rules.parts.hub.follow(page)
    for _ in range(200):
        desk.control.rules.parts.hub.tell_room("demo", "room", "{}")
    async with asyncio.timeout(5):
        frames = [frame async for frame in page.frames()]
    assert len(frames) == 128
    desk.control.rules.parts.hub.leave(page)
