"""The audience as control shows it: merged over edges, by what happened lately."""

import pytest

from stentor.bus.port import live_audience_subject
from stentor.clock import NS_PER_S
from stentor.control.crowd import WINDOW_S, Crowd, quantile
from stentor.room.documents import AudienceReport, PlayersReport
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk

BOUNDS = (100, 200, 400)


@pytest.fixture
def crowd(clock: VirtualClock) -> Crowd:
    return Crowd(clock)


async def pass_time(crowd: Crowd, clock: VirtualClock, seconds: int) -> None:
    for _ in range(seconds):
        await clock.advance(1)
        crowd.tick()


def report(edge: str, listeners: int = 0, **more: object) -> AudienceReport:
    return AudienceReport.model_validate({"edge": edge, "listeners": listeners, **more})


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ([0, 0, 0, 0], 0.5, None),
        ([10, 0, 0, 0], 0.5, 50),
        ([0, 10, 10, 0], 0.5, 200),
        ([0, 10, 10, 0], 0.95, 380),
        ([0, 0, 0, 7], 0.5, 400),
    ],
)
def test_quantiles_of_a_histogram(counts: list[int], share: float, value: int | None) -> None:
    assert quantile(counts, BOUNDS, share) == value


async def test_edges_are_added_up_and_forgotten_after_seven_seconds(crowd: Crowd, clock: VirtualClock) -> None:
    for edge, listeners in (("a", 5), ("b", 7), ("a", 6), ("c", -3)):
        crowd.take("demo", report(edge, listeners, by_transport={"push": listeners}, by_beacon=4))
    shown = crowd.shown("demo")
    assert (shown.listeners, shown.by_beacon, shown.transports["push"].listeners) == (13, 4, 13)
    assert [edge.edge for edge in shown.edges] == ["a", "b", "c"]
    await pass_time(crowd, clock, 5)
    crowd.take("demo", report("b", 8, by_transport={"push": 8}))
    await pass_time(crowd, clock, 3)
    shown = crowd.shown("demo")
    assert (shown.listeners, shown.by_beacon, [edge.edge for edge in shown.edges]) == (8, 0, ["b"])
    assert crowd.shown("other").listeners == 0


async def test_only_what_happened_lately_is_shown(crowd: Crowd, clock: VirtualClock) -> None:
    crowd.take("demo", report("a", joins={"push": 1_000}))  # Control has only begun: these are old.
    crowd.take("demo", report("a", joins={"push": 1_003}, leaves={"push": {"left": 2}}, cuts={"push": {"too-slow": 1}}))
    shown = crowd.shown("demo")
    assert (shown.joins, shown.leaves, shown.cuts) == (3, {"left": 2}, {"too-slow": 1})
    await pass_time(crowd, clock, 20)
    crowd.take("demo", report("b", joins={"hls": 4}))  # A new edge: all of it is new.
    shown = crowd.shown("demo")
    assert (shown.joins, shown.transports["hls"].joins, shown.edges[0].transports["hls"].joins) == (7, 4, 4)
    await pass_time(crowd, clock, WINDOW_S + 20)
    assert (crowd.shown("demo").joins, crowd.shown("demo").cuts) == (0, {})


async def test_a_control_that_has_only_begun_counts_all_of_a_young_edge(crowd: Crowd, clock: VirtualClock) -> None:
    for age_s, joins in ((WINDOW_S - 1, 9), (WINDOW_S + 1, 0)):
        started_ns = clock.wall_ns() - age_s * NS_PER_S
        crowd.take(f"room-{joins}", report("a", started_ns=started_ns, joins={"push": 9}))
        assert crowd.shown(f"room-{joins}").joins == joins


async def test_sums_go_on_when_an_edge_begins_anew(crowd: Crowd, clock: VirtualClock) -> None:
    await pass_time(crowd, clock, 20)
    crowd.take("demo", report("a", started_ns=1, joins={"push": 10}))
    crowd.take("demo", report("a", started_ns=2, joins={"push": 3}))
    crowd.take("demo", report("a", started_ns=2, joins={"push": 4}))
    assert crowd.shown("demo").joins == 14


def test_what_players_say_is_merged(crowd: Crowd) -> None:
    silent = PlayersReport()
    for edge in ("a", "b"):
        crowd.take("demo", report(edge, players={"push": silent, "hls": silent}))
        join = (0, 0, 0, 8, 0, 0, 0, 0, 0, 2, 0, 0)
        players = PlayersReport(beacons=10, join=join, latency=(0, 0, 10, *[0] * 10), stall_ms=500, played_ms=99_500)
        crowd.take("demo", report(edge, players={"push": players}))
    shown = crowd.shown("demo")
    assert (shown.stall_ratio, shown.transports["push"].stall_ratio) == (0.005, 0.005)
    assert (shown.join_ms_p50, shown.join_ms_p95, shown.latency_ms_p50) == (444, 4_500, 750)
    assert "hls" not in shown.transports


@pytest.mark.parametrize("join", [(1,), (1,) * 40, (-5, 3)])
def test_odd_histograms_do_no_harm(crowd: Crowd, join: tuple[int, ...]) -> None:
    crowd.take("demo", report("a"))
    crowd.take("demo", report("a", players={"push": {"join": join}}))
    assert crowd.shown("demo").join_ms_p50 is not None


async def test_history_is_a_number_each_ten_seconds(crowd: Crowd, clock: VirtualClock) -> None:
    for number in range(65):
        crowd.take("demo", report("a", number, by_beacon=1))
        await pass_time(crowd, clock, 10)
        crowd.take("demo", report("a", number, by_beacon=1))
    history = crowd.shown("demo").history
    assert len(history) == 60
    crowd.take("quiet", report("a"))
    await pass_time(crowd, clock, 4_000)
    assert crowd.shown("demo").history == []


async def test_the_api_shows_it_to_whoever_is_in_the_room(desk: Desk) -> None:
    links = await desk.room()
    await desk.bus.publish(live_audience_subject("demo"), report("a", 6, by_transport={"push": 6}).to_bytes())
    await desk.bus.publish(live_audience_subject("demo"), b"garbled")
    host = await desk.session(links["host"])
    answer = await desk.call("GET", "/api/v1/rooms/demo/audience", host)
    assert (answer.status_code, answer.json()["listeners"]) == (200, 6)
    assert (await desk.call("GET", "/api/v1/rooms/other/audience", host)).status_code == 403
    assert (await desk.call("GET", "/api/v1/rooms/none/audience", desk.operator)).status_code == 404
