"""The rules of the line, whatever is lost, late, doubled or out of order: properties over virtual time."""

import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stentor.room.documents import Dials
from stentor.room.door import EARLY, NS_PER_S, Because, Ticket, Verdict, permutation
from tests.fakes.door_world import START_NS, Client, Weather, World

WEATHER = st.builds(
    Weather,
    lost=st.sampled_from([0.0, 0.05, 0.2]),
    doubled=st.sampled_from([0.0, 0.1]),
    delay_s=st.sampled_from([(0.001, 0.01), (0.001, 0.5), (0.05, 0.8)]),
)
EVENTS = st.lists(st.tuples(st.floats(3, 70), st.sampled_from(["drop", "kill", "depose", "deaf", "crowd"])), max_size=4)


def happen(world: World, what: str, chance: random.Random) -> None:
    if what == "drop":
        world.drop(chance.random())
    elif what == "depose" and world.leaders is not None:
        world.depose()
    elif what == "kill" and len(world.edges) > 1:
        edge = chance.choice(list(world.edges))
        for client in world.kill(edge):
            world.after(chance.random() * 10, lambda client=client: world.come(client))
        world.after(chance.uniform(1, 30), lambda: edge in world.edges or world.start(edge))
    elif what == "deaf" and len(world.edges) > 1:
        edge = chance.choice(list(world.edges))
        world.deaf.add(edge)
        world.after(chance.choice([1, 4, 20, 90]), lambda: world.deaf.discard(edge))
    elif what == "crowd":
        world.crowd(world.dials.cap or 20, 5, lambda: world.rng.expovariate(1 / 10))


def worse(client: Client) -> list[str]:
    """Return what one was told that was worse than before, and for which no reason was given."""
    found = []
    position = high = None
    for at_ns, answer in client.answers:
        if answer.admitted or answer.because is Because.MISSED:
            position = high = None
        elif answer.position is not None:
            when = f"at {(at_ns - START_NS) / NS_PER_S:.1f} s"
            if position is not None and answer.position > position:
                found.append(f"{when} position {answer.position} after {position}")
            now = answer.wait_s[1] if answer.wait_s else None
            if high is not None and (now is None or now > high + 1e-6) and answer.because is None:
                found.append(f"{when} wait {now} after {high}")
            position, high = answer.position, now
    return found


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    weather=WEATHER,
    events=EVENTS,
    edges=st.integers(1, 4),
    cap=st.sampled_from([2, 5, 20, 60]),
    per_second=st.sampled_from([None, None, 5.0, 50.0]),
    is_open=st.booleans(),
)
def test_the_line_keeps_its_promises(
    seed: int,
    weather: Weather,
    events: list[tuple[float, str]],
    edges: int,
    cap: int,
    per_second: float | None,
    is_open: bool,
) -> None:
    world = World(edges, seed=seed, weather=weather, dials=Dials(cap=cap, per_second=per_second), is_open=is_open)
    chance = random.Random(seed)
    world.after(10, lambda: setattr(world, "is_open", True))
    world.crowd(2 * cap, 15, lambda: world.rng.expovariate(1 / 15))
    for when_s, what in events:
        world.after(when_s, lambda what=what: happen(world, what, chance))
    world.run(330)

    assert world.over_cap == 0, f"{world.most} listened at a cap of {cap}"
    assert [each for client in world.clients for each in worse(client)] == []
    assert [client.name for client in world.clients if not client.entered_ns] == [], "nobody waits for ever"
    marks = [(word.term, word.watermark) for word in world.words]
    assert all(before <= after for (_, before), (_, after) in pairwise(marks)), "nobody is called and sent back"


def test_who_comes_first_enters_first() -> None:
    world = World(4, dials=Dials(per_second=40))
    world.crowd(1_200, 20)
    world.run(70)
    told = sorted(world.clients, key=lambda client: client.told_ns)
    arrived = [client.answers[0][1].place.slot for client in told]
    assert all(client.told_ns for client in told)
    latest = 0
    for slot in arrived:
        # Who is called at once asks within the shortest time between two questions.
        assert latest - slot <= 6
        latest = max(latest, slot)


def test_the_early_are_shuffled_and_come_before_all_others() -> None:
    world = World(3, dials=Dials(per_second=50), is_open=False)
    world.crowd(600, 10)
    world.run(12)
    assert {client.answers[-1][1].because for client in world.clients} == {Because.DOORS_CLOSED}
    world.is_open = True
    world.run(4)
    world.crowd(300, 5)
    world.run(60)
    ranks = permutation(world.words[-1].salt)
    assert all(client.told_ns for client in world.clients)
    early = [client for client in world.clients if client.answers[0][1].place.slot == EARLY]
    assert len(early) == 600
    assert [client.name for client in early] == list(range(600)), "who came later stands behind"
    early.sort(key=lambda client: ranks[client.answers[0][1].place.group])
    assert 110 <= sum(client.name < 300 for client in early[:300]) <= 190, "nobody is ahead for having come first"
    told = [client.told_ns for client in early]
    assert sum(told[:300]) < sum(told[300:]), "and so they are let in"
    done = [word.at_ns for word in world.words if word.watermark.slot > EARLY]
    assert done[0] >= START_NS + (12 + 600 / 50 - 2) * NS_PER_S


def test_the_rate_is_kept() -> None:
    world = World(3, dials=Dials(per_second=20))
    world.crowd(1_400, 5)
    world.run(15)
    before = world.words[-1]
    world.run(45)
    after = world.words[-1]
    called = after.admitted + after.called - before.admitted - before.called
    assert called == pytest.approx(20 * (after.at_ns - before.at_ns) / NS_PER_S, rel=0.01)


def test_those_who_do_not_come_cost_no_rate() -> None:
    world = World(2, dials=Dials(cap=1_000, per_second=20))
    world.crowd(1_500, 5)
    world.run(8)
    for client in world.clients[::2]:
        client.gone = True
    world.run(95)
    admitted = sum(client.told_ns > 0 for client in world.clients)
    assert admitted == pytest.approx(20 * 72, rel=0.5)
    assert world.words[-1].waiting + world.words[-1].called < 500


def test_the_estimate_is_honest() -> None:
    world = World(2, dials=Dials(cap=400, per_second=80))
    world.crowd(1_200, 5, lambda: world.rng.expovariate(1 / 40))
    world.run(200)
    errors = []
    for client in world.clients:
        for at_ns, answer in client.answers:
            if answer.wait_s is not None and client.told_ns and answer.position and answer.position > 50:
                took_s = (client.told_ns - at_ns) / NS_PER_S
                errors.append(abs(sum(answer.wait_s) / 2 - took_s) / took_s)
    assert len(errors) > 500
    assert sorted(errors)[len(errors) // 2] <= 0.2


def test_lowering_the_cap_throws_nobody_out_and_lets_nobody_in() -> None:
    world = World(3, dials=Dials(cap=60))
    world.crowd(200, 5)
    world.run(40)
    inside = len(world.listeners)
    assert inside == 60
    world.turn(Dials(cap=20))
    world.run(30)
    assert len(world.listeners) == inside
    assert world.words[-1].because is Because.CAP_LOWERED
    for client in list(world.listeners.values())[:30]:
        world.go(client, client.entry)
    world.run(30)
    assert len(world.listeners) == 30
    world.turn(Dials(cap=70))
    world.run(40)
    assert len(world.listeners) == 70


def test_an_edge_dies_and_its_people_come_back_without_waiting() -> None:
    world = World(3, dials=Dials(cap=90))
    world.crowd(300, 5)
    world.run(40)
    assert len(world.listeners) == 90
    fallen = world.kill("edge-3")
    assert fallen
    for client in fallen:
        client.answers.clear()
        world.after(3 * world.rng.random(), lambda client=client: world.come(client))
    world.run(15)
    assert all(client.inside for client in fallen)
    assert world.over_cap == 0
    assert not any(answer.because is Because.MISSED for client in fallen for _, answer in client.answers)
    assert world.words[-1].held <= 9, "their places at the edge that is gone are kept no longer"


def test_a_second_use_is_cut_at_any_edge() -> None:
    world = World(3, dials=Dials(cap=10))
    first = world.arrive()
    world.run(10)
    assert first.inside
    thief = Client(99, 1e9, ticket=first.ticket)
    for edge in list(world.edges):
        entrance = world.edges[edge].enter(thief.ticket, world.now)
        if entrance.verdict is Verdict.IN:
            world.listeners[edge, entrance.entry] = thief
            thief.inside = True
    world.run(2)
    assert not thief.inside
    assert first.inside
    assert world.edges[first.edge].enter(thief.ticket, world.now).verdict is Verdict.ELSEWHERE


def test_a_place_is_not_given_away_while_an_edge_would_let_its_ticket_in() -> None:
    world = World(2, dials=Dials(cap=1))
    first = world.arrive()
    world.run(40)
    there = next(edge for edge in world.edges if edge != first.edge)
    waiting = world.arrive()
    world.run(10)
    assert first.inside
    assert not waiting.inside
    world.broken.add((first.edge, there))
    thief = Client(99, 1e9, ticket=first.ticket)
    world.go(first, first.entry)
    world.run(5)
    entrance = world.edges[there].enter(thief.ticket, world.now)
    assert not waiting.inside, "the other edge has not heard that the first has left"
    if entrance.verdict is Verdict.IN:
        world.listeners[there, entrance.entry] = thief
    for _ in range(20):
        world.run(1)
        assert len(world.listeners) <= 1
    world.broken.clear()
    world.run(70)
    assert len(world.listeners) == 1


def test_who_is_sent_away_by_an_edge_that_is_cut_off_still_has_one_place() -> None:
    world = World(2, dials=Dials(cap=1), skew_s=0.0)
    world.run(3)
    client = world.arrive()
    while not client.inside:
        world.run(0.1)
    edge = client.edge
    world.deaf.add(edge)
    other = world.arrive()
    for _ in range(150):
        world.run(1)
        assert len(world.listeners) <= 1
        if world.now - START_NS > 60 * NS_PER_S:
            world.deaf.clear()
    assert client.inside or other.inside


def test_a_person_may_move_here() -> None:
    world = World(2, dials=Dials(cap=10))
    client = world.arrive()
    world.run(10)
    there = next(edge for edge in world.edges if edge != client.edge)
    entrance = world.edges[there].enter(client.ticket, world.now, here=True)
    assert entrance.verdict is Verdict.IN
    world.run(2)
    assert world.edges[there].inside == 1
    assert sum(door.inside for door in world.edges.values()) == 1
    assert world.words[-1].inside + world.words[-1].held == 1


def test_two_rooms_of_places_for_one_installation() -> None:
    world = World(2, dials=Dials(cap=500), installation=Dials(cap=25))
    world.crowd(60, 5)
    world.run(40)
    assert len(world.listeners) == 25


def test_a_ticket_that_nobody_gave_a_place_to_goes_to_the_end() -> None:
    world = World(2, dials=Dials(cap=1))
    world.arrive()
    world.run(30)
    made = Ticket(world.clients[0].ticket.place, b"somebody", START_NS // NS_PER_S, admitted=True)
    answer = world.edges["edge-1"].ask(made, world.now)
    assert answer.because is Because.MISSED
    assert answer.make
    assert world.edges["edge-1"].enter(made, world.now).verdict is Verdict.DOOR
