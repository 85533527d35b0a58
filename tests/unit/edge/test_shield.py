"""Who is admitted, told to wait, or asked for a proof of work."""

import json
from typing import Any

import altcha
import pytest

from stentor.clock import SystemClock
from stentor.edge.addresses import MAX_CHARS, client_address, networks
from stentor.edge.buckets import BURST_S, Rates, Visit
from stentor.edge.challenge import LIFETIME_S, Challenges
from stentor.edge.http import Request, Response, problem
from stentor.edge.reactor import Line
from stentor.edge.shield import TIGHTEST, DeniedError, Shield, ShieldSettings, TooManyRequestsError
from stentor.room.installation import Challenge, InstallationDocument
from tests.fakes.clock import VirtualClock

KEY = b"k" * 32
FREE = 10_000


class At(SystemClock):
    """The real clock, some seconds later."""

    def __init__(self) -> None:
        self.later_s = 0.0

    def wall_ns(self) -> Any:  # type: ignore[explicit-override]  # typing has it from 3.12
        return super().wall_ns() + int(self.later_s * 1e9)


class Client:
    """A connection of an address as the shield sees it."""

    def __init__(self, shield: Shield, address: str, headers: dict[str, str] | None = None) -> None:
        self.shield = shield
        self.address = address
        self.headers = headers or {}
        self.visit = shield.admit(address, FREE, tls=False)
        self.line = Line.__new__(Line)
        self.line.visit = self.visit

    def get(self, path: str = "/r/demo/state.json", client: str | None = None) -> int:
        """Ask, and return the status: 0 where the shield lets it pass."""
        self.request = Request("GET", path, {}, self.headers, client or self.address, keep_alive=True)
        refusal = self.shield.request(self.line, self.request)
        self.said = refusal or Response(200, {})
        return 0 if refusal is None else refusal.status


def shield(clock: Any = None, **settings: Any) -> Shield:
    return Shield("edge-1", clock or VirtualClock(), ShieldSettings(**settings), KEY)


def asks(by: str) -> Request:
    return Request("POST", "/r/demo/ticket", {}, {}, by, keep_alive=True)


def solve(challenge: dict[str, Any]) -> str:
    made = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(made)
    assert solution is not None
    return str(altcha.Payload(made, solution).to_base64())


async def test_over_budget_is_429_with_a_time_and_then_the_connection_and_arrivals_are_cut() -> None:
    clock = VirtualClock()
    made = shield(clock, rates=Rates(requests=1, insists=1))
    client = Client(made, "192.0.2.1")
    assert [client.get() for _ in range(BURST_S + 1)] == [0] * (BURST_S + 1)
    assert client.get() == 429
    assert client.request.keep_alive
    assert b"Retry-After: 1" in client.said.head
    while client.request.keep_alive:
        assert client.get() == 429
    assert made.admit("192.0.2.1", FREE, tls=False) is None
    assert Client(made, "192.0.2.2").get() == 0, "a neighbour is not touched"
    await clock.advance(60)
    assert Client(made, "192.0.2.1").get() == 0, "it calms down"


def test_a_page_over_budget_says_why_to_a_person() -> None:
    made = shield(rates=Rates(pages=1))
    client = Client(made, "192.0.2.1")
    said = [client.get("/r/demo") for _ in range(BURST_S + 2)]
    assert said[-1] == 429
    assert b'http-equiv="refresh"' in client.said.body
    assert client.get("/r/demo/state.json") == 0, "what a page asks for has its own budget"


def test_connections_and_half_sent_heads_of_an_address_are_bounded() -> None:
    made = shield(rates=Rates(open=100, heads=10))
    heads = [made.admit("192.0.2.1", FREE, tls=False) for _ in range(12)]
    assert sum(visit is not None for visit in heads) == 10
    for visit in heads[:10]:
        assert isinstance(visit, Visit)
        visit.asked()
    assert made.admit("192.0.2.1", FREE, tls=False) is not None
    assert made.admit("192.0.2.3", 0, tls=False) is not None, "to the last descriptor a few may come"


def test_an_address_never_gets_more_than_a_quarter_of_what_is_left() -> None:
    made = shield(rates=Rates(open=100_000, heads=100_000, connections=100_000))
    free = 4_000
    while (visit := made.admit("192.0.2.1", free, tls=False)) is not None:
        assert isinstance(visit, Visit)
        visit.asked()
        free -= 1
    assert 3_100 < free < 3_300
    assert made.admit("192.0.2.2", free, tls=False) is not None


def test_handshakes_have_a_budget_of_their_own() -> None:
    made = shield(rates=Rates(handshakes=1, heads=1_000))
    admitted = [made.admit("192.0.2.1", FREE, tls=True) is not None for _ in range(BURST_S + 5)]
    assert sum(admitted) == BURST_S + 1
    assert made.admit("192.0.2.1", FREE, tls=False) is not None


def test_allowed_addresses_are_never_limited_and_denied_ones_never_answered() -> None:
    made = shield(rates=Rates(requests=1), allow=networks(["10.0.0.0/8"]), deny=networks(["192.0.2.0/24"]))
    inside = Client(made, "10.1.1.1")
    assert {inside.get() for _ in range(500)} == {0}
    assert made.admit("192.0.2.9", FREE, tls=False) is None
    made.follow(InstallationDocument(deny=("198.51.100.7", "nonsense"), allow=("2001:db8::/32",)))
    assert made.admit("198.51.100.7", FREE, tls=False) is None
    assert made.admit("192.0.2.9", FREE, tls=False) is None, "what was set at the start goes on"
    outside = Client(made, "2001:db8::5")
    assert {outside.get() for _ in range(500)} == {0}
    made.follow(InstallationDocument())
    assert made.admit("198.51.100.7", FREE, tls=False) is not None


def test_behind_a_front_the_client_counts_and_never_the_front() -> None:
    made = shield(rates=Rates(requests=1, connections=1, open=1), fronts=networks(["127.0.0.1"]))
    lines = [Client(made, "127.0.0.1") for _ in range(100)]
    one = [lines[0].get(client="192.0.2.1") for _ in range(50)]
    assert one[-1] == 429
    assert lines[0].get(client="192.0.2.2") == 0, "the next client of the same connection"
    assert lines[1].get(client="192.0.2.1") == 429, "the same client by another one"


def test_forged_words_of_a_header_change_nobodys_budget() -> None:
    fronts = networks(["127.0.0.1"])
    made = shield(rates=Rates(requests=1), fronts=fronts)
    stranger = Client(made, "198.51.100.9")
    said = []
    for number in range(BURST_S + 2):
        forged = f"10.0.0.{number}"[-MAX_CHARS:]
        said.append(stranger.get(client=client_address("198.51.100.9", forged, fronts)))
    assert said[-1] == 429, "who is no front is who connected"
    front = Client(made, "127.0.0.1")
    said = []
    for number in range(BURST_S + 2):
        forged = f"10.0.0.{number}, 198.51.100.10"
        said.append(front.get(client=client_address("127.0.0.1", forged, fronts)))
    assert said[-1] == 429, "what the client wrote before the front's word does not count"


def test_denied_behind_a_front_is_an_answer() -> None:
    made = shield(deny=networks(["192.0.2.0/24"]), fronts=networks(["127.0.0.1"]))
    assert Client(made, "127.0.0.1").get(client="192.0.2.1") == 403
    with pytest.raises(DeniedError):
        made.challenge(asks("192.0.2.1"), "demo", None)


async def test_many_new_tickets_from_an_address_cost_a_proof_of_work() -> None:
    made = shield(SystemClock(), rates=Rates(tickets=1))
    asked = [made.challenge(asks("192.0.2.1"), "demo", None) for _ in range(BURST_S + 2)]
    assert asked[0] is None
    challenge = asked[-1]
    assert challenge is not None
    assert made.challenge(asks("192.0.2.2"), "demo", None) is None
    wrong = made.challenge(asks("192.0.2.1"), "demo", "bm9uc2Vuc2U=")
    assert wrong is not None
    assert wrong != challenge
    solution = solve(challenge)
    assert made.challenge(asks("192.0.2.1"), "demo", solution) is None
    assert made.challenge(asks("192.0.2.1"), "demo", solution) is not None, "once"


def test_the_work_grows_with_the_excess() -> None:
    challenges = Challenges(KEY, SystemClock())
    tries = [challenges.make("demo", "192.0.2.0/24", excess)["parameters"]["data"]["tries"] for excess in (0, 1, 99)]
    assert tries[1] == 2 * tries[0]
    assert tries[2] == 16 * tries[0]


def test_a_solution_is_for_its_room_network_and_time_and_good_at_every_edge() -> None:
    clock = At()
    here, there = Challenges(KEY, clock), Challenges(KEY, clock)
    solution = solve(here.make("demo", "192.0.2.0/24", 0.0))
    assert not here.solved("other", "192.0.2.0/24", solution)
    assert not here.solved("demo", "198.51.100.0/24", solution)
    assert not Challenges(b"x" * 32, clock).solved("demo", "192.0.2.0/24", solution)
    clock.later_s = LIFETIME_S + 5
    assert not here.solved("demo", "192.0.2.0/24", solution)
    clock.later_s = 0
    assert there.solved("demo", "192.0.2.0/24", solution)
    assert here.solved("demo", "192.0.2.0/24", solution)
    assert not here.solved("demo", "192.0.2.0/24", solution)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "!",
        "bnVsbA==",
        "W10=",
        "e30=",
        "eyJjaGFsbGVuZ2UiOiB7fX0=",
        "eyJjaGFsbGVuZ2UiOiB7InBhcmFtZXRlcnMiOiAxfSwgInNvbHV0aW9uIjogMX0=",
        "W" * 3_000,
        "\udcff",
    ],
)
def test_what_is_no_solution_is_no_fault(forged: str) -> None:
    assert not Challenges(KEY, SystemClock()).solved("demo", "192.0.2.0/24", forged)


def test_easier_work_than_was_asked_for_is_not_taken() -> None:
    challenges = Challenges(KEY, SystemClock())
    challenge = challenges.make("demo", "192.0.2.0/24", 0.0)
    challenge["parameters"]["keyPrefix"] = "00"
    assert not challenges.solved("demo", "192.0.2.0/24", solve(challenge))


def test_an_operator_switches_the_challenge_on_for_everybody_and_off() -> None:
    made = shield(SystemClock(), rates=Rates(tickets=1))
    made.follow(InstallationDocument(challenge=Challenge.ON))
    assert made.challenge(asks("192.0.2.1"), "demo", None) is not None
    made.follow(InstallationDocument(challenge=Challenge.OFF))
    assert all(made.challenge(asks("192.0.2.1"), "demo", None) is None for _ in range(100))


async def test_the_meter_switches_it_on_while_arrivals_are_no_people() -> None:
    clock = VirtualClock()
    made = shield(clock)
    for number in range(200):
        client = Client(made, f"10.{number}.0.1")
        for _ in range(40):
            client.get("/r/demo/live.mp4")
    said = None
    for _ in range(30):
        await clock.advance(1)
        said = made.tick(busy=False) or said
    assert said is not None
    assert sum(minute.not_people for minute in said.rooms["demo"].minutes) == 200
    assert said.networks or said.requests_per_s == 0
    assert made.challenges_all
    assert made.challenge(asks("192.0.2.1"), "demo", None) is not None
    made.follow(InstallationDocument(challenge=Challenge.OFF))
    assert made.challenge(asks("192.0.2.1"), "demo", None) is None


async def test_while_an_edge_is_busy_with_requests_budgets_shrink_and_come_back() -> None:
    clock = VirtualClock()
    made = shield(clock, rates=Rates(requests=1_000, tickets=1))
    client = Client(made, "192.0.2.1")
    for _ in range(6):
        for _ in range(1_001):
            client.get()
        made.tick(busy=True)
    assert made.tightness == TIGHTEST
    for _ in range(BURST_S * 5):
        made.challenge(asks("192.0.2.1"), "demo", None)
    with pytest.raises(TooManyRequestsError):
        made.challenge(asks("192.0.2.1"), "demo", None)
    for _ in range(40):
        made.tick(busy=True)
    assert made.tightness == 1, "busy with something else than requests"


async def test_players_of_hls_behind_one_address_go_on_while_an_edge_is_busy() -> None:
    clock = VirtualClock()
    edge = shield(clock)
    carrier = Client(edge, "192.0.2.1")
    for _ in range(10):  # 200 players ask for a playlist and a part each half second, and others flood
        edge.meter.requests += 10_000
        edge.tick(busy=True)
        for _ in range(400):
            assert carrier.get("/r/demo/opus.m3u8") == 0
            assert carrier.get("/r/demo/opus/1/17.3.m4s") == 0
        await clock.advance(1)
    assert edge.tightness == TIGHTEST
    assert {carrier.get() for _ in range(200)} == {0, 429}
    assert carrier.get("/r/demo/opus.m3u8") == 0


async def test_who_rehearses_is_not_limited_and_is_no_arrival() -> None:
    clock = VirtualClock()
    made = shield(clock, rates=Rates(requests=1))
    client = Client(made, "192.0.2.1")
    made.vouch("192.0.2.1")
    assert {client.get() for _ in range(500)} == {0}
    said = made.meter.report(challenged=False)
    assert not said.rooms
    await clock.advance(700)
    for _ in range(60):
        made.tick(busy=False)
    assert 429 in {client.get() for _ in range(500)}


def test_the_refusal_is_a_problem_document() -> None:
    made = shield(rates=Rates(requests=1))
    client = Client(made, "192.0.2.1")
    while client.get() == 0:
        pass
    said = json.loads(client.said.body)
    assert said["type"].endswith("too-many-requests")
    assert 10 <= said["retry_after_s"] < 20


def test_problems_that_ask_to_wait_say_so_in_the_header() -> None:
    assert b"Retry-After: 10" in problem(TooManyRequestsError("Wait.", retry_after_s=10)).head
