"""Players of LL-HLS at a door: who asks goes on, who is silent goes, and a seal tells other edges who was let in."""

from stentor.clock import NS_PER_S
from stentor.edge.asking import SEEN_NS
from stentor.edge.door_players import Player, Players

HOLDER, OTHER = b"h" * 8, b"o" * 8
HOME, AWAY = b"a" * 8, b"b" * 8


def test_a_player_holds_its_place_while_it_asks_from_where_it_came() -> None:
    players = Players("demo", b"k" * 32)
    players.add(Player(HOLDER, 1, HOME, 0))
    assert players.asks(HOLDER, HOME, 3 * NS_PER_S)
    assert not players.asks(HOLDER, AWAY, 3 * NS_PER_S), "the same ticket at another address"
    assert not players.asks(OTHER, HOME, 3 * NS_PER_S)
    assert players.silent(SEEN_NS) == []
    assert [player.entry for player in players.silent(3 * NS_PER_S + SEEN_NS)] == [1]
    assert HOLDER not in players


def test_listen_here_moves_the_place_to_the_other_address() -> None:
    players = Players("demo", b"k" * 32)
    players.add(Player(HOLDER, 1, HOME, 0))
    assert players.asks(HOLDER, AWAY, 1, here=True)
    assert not players.asks(HOLDER, HOME, 2)


def test_one_that_listened_before_there_was_a_door_is_whoever_asks_first_by_its_key() -> None:
    players = Players("demo", b"k" * 32)
    players.add(Player(HOLDER, 1, b"", 0))
    assert players.asks(HOLDER, HOME, 1)
    assert not players.asks(HOLDER, AWAY, 2)


def test_a_place_that_is_held_elsewhere_is_remembered_for_as_long_as_a_player_may_be_silent() -> None:
    players = Players("demo", b"k" * 32)
    player = Player(HOLDER, 1, HOME, 0)
    players.add(player)
    players.held_elsewhere(player, 0)
    assert HOLDER not in players
    assert players.is_elsewhere(HOLDER, SEEN_NS - 1)
    assert not players.is_elsewhere(HOLDER, SEEN_NS)
    players.silent(SEEN_NS)
    assert not players._elsewhere


def test_a_seal_is_good_for_its_room_holder_and_address_at_every_edge_with_the_secret() -> None:
    seal = Players("demo", b"k" * 32).seal(HOLDER, HOME)
    assert Players("demo", b"k" * 32).is_sealed(seal, HOLDER, HOME)
    assert not Players("demo", b"k" * 32).is_sealed(seal, HOLDER, AWAY)
    assert not Players("demo", b"k" * 32).is_sealed(seal, OTHER, HOME)
    assert not Players("other", b"k" * 32).is_sealed(seal, HOLDER, HOME)
    assert not Players("demo", b"x" * 32).is_sealed(seal, HOLDER, HOME)
    for none in (None, "", "é" * 12, "A" * 12):
        assert not Players("demo", b"k" * 32).is_sealed(none, HOLDER, HOME)
