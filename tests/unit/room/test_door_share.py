"""The dials of an installation over several rooms."""

from stentor.room.documents import Dials
from stentor.room.door import NS_PER_S, Place
from stentor.room.door_share import Leaders
from stentor.room.door_words import DoorReport, DoorWord, pack

NOW = 1_790_000_000 * NS_PER_S
ROOMS = ("a", "b", "c")


class House:
    """Three rooms, at one edge that does what it is told, half a second at a time."""

    def __init__(self, door: Dials) -> None:
        self.now = NOW
        self.leaders = Leaders("edge", 1, draw_salt=lambda: "ab" * 16)
        self.leaders.installation(door)
        self.words: dict[str, DoorWord] = {}
        self.number = 0
        self.inside = dict.fromkeys(ROOMS, 0)
        self.told = dict.fromkeys(ROOMS, 0)
        self.issued: dict[str, dict[int, list[int]]] = {room: {} for room in ROOMS}
        for room in ROOMS:
            self.leaders.follow(room, Dials(), is_open=True, now_ns=NOW)

    def arrive(self, room: str, many: int) -> None:
        slot = self.issued[room].setdefault(self.now // NS_PER_S, [0] * 64)
        for index in range(many):
            slot[Place(0, index).group % 64] += 1

    def steps(self, many: int) -> None:
        for _ in range(many):
            self.number += 1
            for room in ROOMS:
                self._report(room)
            for word, _ in self.leaders.tick(self.now):
                self.words[word.room] = word
                self.leaders.stored(word)
            self.now += NS_PER_S // 2

    def _report(self, room: str) -> None:
        word = self.words.get(room)
        told = {}
        if word is not None:
            left = word.edges["edge"].limits.places - self.told[room] if "edge" in word.edges else 0
            for batch in word.batches:
                here = min(left, batch.size - batch.told)
                told[batch.number] = batch.told + here
                left -= here
                self.told[room] += here
                self.inside[room] += here
        report = DoorReport(
            room=room, edge="edge", started_ns=NOW, made_ns=NOW, number=self.number, term=1,
            word=word.number if word else 0, slot=self.now // NS_PER_S,
            issued={slot: pack(counts) for slot, counts in self.issued[room].items()},
            inside=self.inside[room], told=told, told_total=self.told[room],
        )  # fmt: skip
        self.leaders.take_report(report, self.now)


def test_rooms_share_the_places() -> None:
    house = House(Dials(cap=90))
    house.steps(4)
    for room, many in (("a", 100), ("b", 100), ("c", 10)):
        house.arrive(room, many)
    for _ in range(40):
        house.steps(1)
        assert sum(house.inside.values()) <= 90
    assert sum(house.inside.values()) == 90
    assert house.inside["c"] == 10
    assert abs(house.inside["a"] - house.inside["b"]) <= 10


def test_a_room_that_nobody_leaves_keeps_its_places() -> None:
    house = House(Dials(cap=50))
    house.arrive("a", 80)
    house.steps(20)
    assert house.inside["a"] == 50
    house.arrive("b", 10)
    house.steps(20)
    assert (house.inside["a"], house.inside["b"]) == (50, 0)
    house.inside["a"] -= 8
    house.steps(20)
    assert sum(house.inside.values()) == 50
    assert house.inside["b"] >= 4


def test_rooms_share_the_rate() -> None:
    house = House(Dials(per_second=20))
    house.steps(4)
    for room in ("a", "b"):
        house.arrive(room, 500)
    house.steps(6)
    before = dict(house.inside)
    house.steps(20)
    came = {room: house.inside[room] - before[room] for room in ROOMS}
    assert 180 <= came["a"] + came["b"] <= 205
    assert abs(came["a"] - came["b"]) <= 15
