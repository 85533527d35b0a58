"""Counting listeners over several edges: nobody twice, nobody for ever."""

from dataclasses import dataclass, field

import pytest

from stentor.clock import NS_PER_S, MonotonicNs
from stentor.edge.asking import SLICES
from stentor.edge.audience import Audience
from stentor.edge.beacons import Beacon, BeaconTransport
from stentor.edge.metrics import Leave
from stentor.room.documents import AudienceNews, AudienceReport


def holder(number: int) -> bytes:
    return number.to_bytes(9, "little")


def beacon(transport: BeaconTransport = BeaconTransport.HLS, **said: int | bool | None) -> Beacon:
    return Beacon.model_validate({"player": "0" * 16, "transport": transport, "played_ms": 30_000, **said})


@dataclass
class Edges:
    """Edges ``a``, ``b``, … of one room that report each second, over time that a test moves."""

    count: int = 2
    second: int = 0
    audiences: dict[str, Audience] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.audiences = {name: Audience(name) for name in "abcdef"[: self.count]}

    def __getitem__(self, name: str) -> Audience:
        return self.audiences[name]

    @property
    def now(self) -> MonotonicNs:
        return MonotonicNs(self.second * NS_PER_S)

    def ask(self, edge: str, who: int) -> None:
        self[edge].note_player(holder(who), "192.0.2.1", "agent", self.now)

    def beacon(self, edge: str, who: int, said: Beacon | None = None, address: str = "192.0.2.9") -> None:
        self[edge].note_beacon(said or beacon(), holder(who), address, "phone", self.now)

    def run(self, seconds: int, *, asking: dict[int, str] | None = None) -> None:
        """Let time pass; ``asking``: players who go on asking, each at these edges in turn."""
        for _ in range(seconds):
            self.second += 1
            for who, where in (asking or {}).items():
                self.ask(where[self.second % len(where)], who)
            for audience in self.audiences.values():
                audience.forget(self.now)
            for name, audience in self.audiences.items():
                report = audience.report({"hls": audience.players()}, 1)
                told = AudienceReport.model_validate_json(report.to_bytes())
                for other in self.audiences:
                    if other != name:
                        self[other].note_report(told, self.now)

    def hls(self) -> list[int]:
        return [audience.players() for audience in self.audiences.values()]

    def by_beacon(self) -> set[int]:
        return {audience.by_beacon() for audience in self.audiences.values()}


def test_a_player_whose_requests_reach_two_edges_counts_once() -> None:
    edges = Edges()
    edges.run(3, asking={1: "ab", 2: "a", 3: "b"})
    assert edges.hls() == [2, 1]
    edges.run(3, asking={1: "b", 2: "a", 3: "b"})
    edges.run(5, asking={1: "b", 2: "a", 3: "b"})
    assert edges.hls() == [1, 2]
    edges.run(10)
    assert edges.hls() == [0, 0]


def test_a_killed_edges_players_are_the_others_at_last() -> None:
    edges = Edges()
    edges.run(3, asking={1: "ab", 2: "a"})
    del edges.audiences["a"]
    edges.run(8, asking={1: "b"})
    assert (edges.hls(), edges["b"].elsewhere()) == ([1], 0)


def test_an_edge_that_begins_anew_no_longer_sees_whom_it_saw() -> None:
    edges = Edges()
    edges.run(3, asking={1: "ab"})
    assert edges.hls() == [1, 0]
    edges.audiences["a"] = Audience("a", started_ns=9)
    edges.run(1, asking={1: "b"})
    assert edges.hls() == [0, 1]


def test_what_news_got_lost_is_mended_by_the_slices() -> None:
    edges = Edges()
    edges.ask("a", 1)
    edges.ask("b", 1)
    edges["a"].report({}, 1)  # Lost on the way.
    edges.run(SLICES, asking={1: "ab"})
    assert sum(edges.hls()) == 1


def test_players_behind_a_cache_count_by_their_beacons_at_whatever_edge() -> None:
    edges = Edges(3)
    for who, edge in [(1, "a"), (2, "b"), (2, "b"), (3, "c")]:
        edges.beacon(edge, who)
    edges.run(2)
    assert edges.by_beacon() == {0}  # Not before every edge has said whom it sees.
    edges.run(5)
    assert edges.by_beacon() == {3}
    edges.run(25)
    for who, edge in [(1, "b"), (2, "c"), (3, "a")]:  # Each at another edge than before.
        edges.beacon(edge, who)
    for _ in range(60):
        edges.run(1)
        assert edges.by_beacon() == {3}
    edges.run(12)
    assert edges.by_beacon() == {0}


@pytest.mark.parametrize(("asked_at", "heard_at"), [("a", "a"), ("a", "b"), ("b", "a")])
def test_whom_an_edge_sees_does_not_count_by_beacon(asked_at: str, heard_at: str) -> None:
    edges = Edges()
    edges.run(2, asking={1: asked_at})
    edges.beacon(heard_at, 1)
    for _ in range(40):
        edges.run(1, asking={1: asked_at})
        assert (sum(edges.hls()), edges.by_beacon()) == (1, {0})


def test_whoever_asks_without_its_ticket_is_known_by_address_and_agent() -> None:
    edges = Edges()
    edges["a"].note_player(None, "192.0.2.9", "phone", edges.now)
    edges.beacon("b", 1)
    edges.beacon("b", 2, address="198.51.100.7")
    edges.run(2)
    edges["a"].note_player(None, "192.0.2.9", "phone", edges.now)
    edges.run(5)
    assert edges.by_beacon() == {1}


def test_a_player_that_begins_to_ask_is_counted_as_asking_from_then_on() -> None:
    edges = Edges()
    edges.beacon("a", 1)
    edges.run(6)
    assert edges.by_beacon() == {1}
    edges.run(1, asking={1: "b"})
    assert (sum(edges.hls()), edges["b"].by_beacon()) == (1, 1)  # What the other said a moment ago.
    edges.run(1, asking={1: "b"})
    assert edges.by_beacon() == {0}


@pytest.mark.parametrize("said", [beacon(bye=True), beacon(BeaconTransport.PUSH), None])
def test_who_leaves_or_listens_by_a_connection_is_forgotten_at_once(said: Beacon | None) -> None:
    edges = Edges()
    edges.beacon("a", 1)
    edges.run(6)
    if said is None:
        edges["b"].note_connected(holder(1))
    else:
        edges.beacon("b", 1, said)
    edges.run(2)
    assert edges.by_beacon() == {0}


def test_without_a_ticket_a_beacon_is_added_up_and_counts_nobody() -> None:
    audience = Audience("a")
    audience.note_beacon(beacon(stalls=2, stall_ms=900, join_ms=420), None, "192.0.2.1", "x", MonotonicNs(0))
    audience.note_beacon(beacon(BeaconTransport.PUSH, latency_ms=70_000), None, "192.0.2.1", "x", MonotonicNs(0))
    audience.forget(MonotonicNs(20 * NS_PER_S))
    report = audience.report({}, 2)
    assert (report.by_beacon, report.block_steps) == (0, 2)
    hls = report.players["hls"]
    assert (hls.beacons, hls.stalls, hls.stall_ms, hls.played_ms) == (1, 2, 900, 30_000)
    assert hls.join == (0, 0, 0, 1, *[0] * 8)
    assert report.players["push"].latency[-1] == 1


def test_joins_leaves_and_cuts_are_sums() -> None:
    audience = Audience("a", started_ns=7)
    audience.tally.joined("push")
    audience.tally.joined("push")
    audience.tally.left("push", Leave.LEFT)
    audience.tally.left("push", Leave.TOO_SLOW)
    audience.note_player(holder(1), "192.0.2.1", "x", MonotonicNs(0))
    audience.forget(MonotonicNs(7 * NS_PER_S))
    report = audience.report({"push": 0, "hls": 0}, 1)
    assert (report.started_ns, report.joins) == (7, {"push": 2, "hls": 1})
    assert report.leaves == {"push": {"left": 1}, "hls": {"left": 1}}
    assert report.cuts == {"push": {"too-slow": 1}}


@pytest.mark.parametrize(
    "news", [AudienceNews(came="x"), AudienceNews(heard="AAAA"), AudienceNews(gone="é"), AudienceNews(slice=99)]
)
def test_garbled_news_change_nothing(news: AudienceNews) -> None:
    audience = Audience("b")
    audience.note_player(holder(1), "192.0.2.1", "x", MonotonicNs(0))
    audience.note_report(AudienceReport(edge="a", listeners=4, news=news), MonotonicNs(0))
    assert (audience.players(), audience.elsewhere(), audience.by_beacon()) == (1, 4, 0)
