"""A door in virtual time: edges, a leader, and a bus that loses, delays, doubles and reorders what they say."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from stentor.room.documents import Dials
from stentor.room.door import NS_PER_S, Answer, Ticket, Verdict
from stentor.room.door_edge import EdgeDoor
from stentor.room.door_share import Leaders
from stentor.room.door_words import DoorReport, DoorWord

ROOM = "demo"
START_NS = 1_790_000_000 * NS_PER_S
TICK_NS = NS_PER_S // 2


@dataclass
class Weather:
    """What becomes of messages: the share lost and doubled, and between which delays, in seconds."""

    lost: float = 0.0
    doubled: float = 0.0
    delay_s: tuple[float, float] = (0.001, 0.01)


@dataclass
class Client:
    """One who comes: asks, waits, listens for ``stay_s``. ``asked``: each answer, with its time and edge."""

    name: int
    stay_s: float
    edge: str = ""
    ticket: Ticket | None = None
    entry: int = 0
    inside: bool = False
    entered_ns: int = 0
    told_ns: int = 0
    gone: bool = False
    answers: list[tuple[int, Answer]] = field(default_factory=list)


class World:
    """Edges of one installation with one room. Everything happens in ``run``; nothing waits for real."""

    def __init__(
        self,
        edges: int = 3,
        *,
        seed: int = 1,
        weather: Weather | None = None,
        dials: Dials | None = None,
        installation: Dials | None = None,
        is_open: bool = True,
        skew_s: float = 0.3,
    ) -> None:
        self.rng = random.Random(seed)
        self.weather = weather or Weather()
        self.dials = dials or Dials(cap=100)
        self.installation = installation or Dials()
        self.now = START_NS
        self.is_open = is_open
        self.keep_answers = True
        self.edges: dict[str, EdgeDoor] = {}
        self.deaf: set[str] = set()
        self.broken: set[tuple[str, str]] = set()
        self.skew_ns: dict[str, int] = {}
        self.stored: DoorWord | None = None
        self.leaders: Leaders | None = None
        self.leader_at = ""
        self.term = 0
        self.clients: list[Client] = []
        self.listeners: dict[tuple[str, int], Client] = {}
        self.most = 0
        self.over_cap = 0
        self.words: list[DoorWord] = []
        self.on_tick: Callable[[], None] | None = None
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        for index in range(edges):
            edge = f"edge-{index + 1}"
            self.skew_ns[edge] = int(self.rng.uniform(-skew_s, skew_s) * NS_PER_S)
            self.start(edge)
        self.lead("edge-1")

    def clock(self, edge: str) -> int:
        """Return what an edge takes for the time."""
        return self.now + self.skew_ns.get(edge, 0)

    def at(self, when_ns: int, what: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when_ns, self._count, what))

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        self.at(self.now + int(seconds * NS_PER_S), what)

    def run(self, seconds: float) -> None:
        end = self.now + int(seconds * NS_PER_S)
        while self._events and self._events[0][0] <= end:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = end

    # Edges and leader

    def start(self, edge: str) -> None:
        door = EdgeDoor(ROOM, edge, self.clock(edge), draw=self.rng.randrange, alive=lambda entry: True)
        self.edges[edge] = door
        self.after(self.rng.random() / 2, lambda: self._report(edge, door))

    def kill(self, edge: str) -> list[Client]:
        """Kill an edge; its listeners fall out, and are returned."""
        del self.edges[edge]
        fallen = [client for (at, _), client in self.listeners.items() if at == edge]
        self.listeners = {key: client for key, client in self.listeners.items() if key[0] != edge}
        for client in fallen:
            client.inside = False
        if self.leader_at == edge:
            self.leaders = None
            rest = [name for name in self.edges if name not in self.deaf]
            self.after(2.0 + self.rng.random() / 2, lambda: self.lead(self.rng.choice(rest)))
        return fallen

    def depose(self) -> None:
        """Kill the leader alone; another edge takes over after 2 s."""
        self.leaders = None
        self.after(2.0, lambda: self.lead(self.rng.choice(list(self.edges))))

    def lead(self, edge: str) -> None:
        if edge not in self.edges:
            edge = next(iter(self.edges))
        self.term += 1
        self.leader_at = edge
        leaders = self.leaders = Leaders(edge, self.term, draw_salt=lambda: f"{self.rng.getrandbits(128):032x}")
        leaders.installation(self.installation)
        leaders.follow(ROOM, self.dials, is_open=self.is_open, now_ns=self.now, stored=self.stored)
        self._lead(leaders)

    def turn(self, dials: Dials) -> None:
        self.dials = dials

    def _lead(self, leaders: Leaders) -> None:
        if self.leaders is not leaders:
            return
        leaders.follow(ROOM, self.dials, is_open=self.is_open, now_ns=self.now)
        for word, must_store in leaders.tick(self.now):
            if must_store or self.stored is None or word.at_ns - self.stored.at_ns >= NS_PER_S:
                self.stored = word
                leaders.stored(word)
            self.words.append(word)
            for edge in list(self.edges):
                self._send(edge, lambda edge=edge, word=word: self._take_word(edge, word))
        self.after(0.5, lambda: self._lead(leaders))
        if self.on_tick:
            self.on_tick()

    def _send(self, edge: str, what: Callable[[], object]) -> None:
        for _ in range(1 + (self.rng.random() < self.weather.doubled)):
            if self.rng.random() >= self.weather.lost:
                self.after(self.rng.uniform(*self.weather.delay_s), what)

    def _take_word(self, edge: str, word: DoorWord) -> None:
        if edge in self.edges and edge not in self.deaf:
            self.edges[edge].take_word(DoorWord.model_validate_json(word.to_bytes()), self.clock(edge))
            self._cut(edge)

    def _report(self, edge: str, door: EdgeDoor) -> None:
        if self.edges.get(edge) is not door:
            return
        report = door.report(self.clock(edge))
        self._cut(edge)
        if report is not None and edge not in self.deaf:
            again = DoorReport.model_validate_json(report.to_bytes())
            for other in [other for other in self.edges if (edge, other) not in self.broken]:
                self._send(other, lambda other=other: self._take_report(other, again))
            self._send("", lambda: self._hear(again))
        self.after(0.5, lambda: self._report(edge, door))

    def _take_report(self, edge: str, report: DoorReport) -> None:
        if edge in self.edges and edge not in self.deaf:
            self.edges[edge].take_report(report, self.clock(edge))
            self._cut(edge)

    def _hear(self, report: DoorReport) -> None:
        if self.leaders is not None and report.edge not in self.deaf:
            self.leaders.take_report(report, self.now)

    def _cut(self, edge: str) -> None:
        for cut in self.edges[edge].cuts(self.clock(edge)):
            client = self.listeners.pop((edge, cut.entry), None)
            if client is not None:
                client.inside = False
                if not cut.elsewhere:
                    self.after(1 + 2 * self.rng.random(), lambda client=client: self.come(client))

    # Clients

    def arrive(self, stay_s: float = 1e9) -> Client:
        client = Client(len(self.clients), stay_s)
        self.clients.append(client)
        self.come(client)
        return client

    def crowd(self, many: int, seconds: float, stay_s: Callable[[], float] = lambda: 1e9) -> None:
        for _ in range(many):
            self.after(self.rng.random() * seconds, lambda: self.arrive(stay_s()))

    def come(self, client: Client) -> None:
        """Ask with what one has, at any edge."""
        if client.gone or client.inside:
            return
        if client.edge not in self.edges or self.rng.random() < 0.3:
            client.edge = self.rng.choice(list(self.edges))
        answer = self.edges[client.edge].ask(client.ticket, self.clock(client.edge))
        if self.keep_answers:
            client.answers.append((self.now, answer))
        if answer.make:
            client.ticket = Ticket(answer.place, answer.holder, self.clock(client.edge) // NS_PER_S, answer.admitted)
        if answer.admitted:
            client.told_ns = client.told_ns or self.now
            self.after(0.05 + self.rng.random() / 2, lambda: self.enter(client))
        else:
            assert 0.5 < answer.retry_after_s < 24, answer
            self.after(answer.retry_after_s + 0.05 * self.rng.random(), lambda: self.come(client))

    def enter(self, client: Client, *, here: bool = False) -> Verdict:
        """Come in at any edge."""
        edge = self.rng.choice(list(self.edges))
        entrance = self.edges[edge].enter(client.ticket, self.clock(edge), here=here)
        if entrance.verdict is Verdict.IN:
            if entrance.cut is not None:
                self.listeners.pop((edge, entrance.cut), None)
            client.edge, client.entry, client.inside = edge, entrance.entry, True
            client.entered_ns = client.entered_ns or self.now
            self.listeners[edge, entrance.entry] = client
            self.check()
            self.after(client.stay_s, lambda: self.go(client, entrance.entry))
        elif entrance.verdict is Verdict.DOOR:
            self.after(entrance.retry_after_s, lambda: self.come(client))
        return entrance.verdict

    def go(self, client: Client, entry: int, *, dropped: bool = False) -> None:
        """Leave for good, or drop out and come back after a while."""
        if not client.inside or client.entry != entry:
            return
        self.listeners.pop((client.edge, entry), None)
        client.inside = False
        self.edges[client.edge].leave(entry, self.clock(client.edge), dropped=dropped)
        if dropped:
            self.after(self.rng.random() * 10, lambda: self.come(client))
        else:
            client.gone = True

    def drop(self, share: float) -> None:
        """Break the connections of a share of all listeners."""
        for client in list(self.listeners.values()):
            if self.rng.random() < share:
                self.go(client, client.entry, dropped=True)

    def check(self) -> None:
        """Count who listens, each ticket once."""
        inside = len({client.name for client in self.listeners.values()})
        self.most = max(self.most, inside)
        if self.dials.cap is not None and inside > self.dials.cap:
            self.over_cap += 1
