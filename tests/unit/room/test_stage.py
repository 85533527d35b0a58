"""Every (role, action): the table as it is meant, written a second time; everything else is refused."""

import itertools

import pytest

from stentor.errors import Forbidden
from stentor.room.documents import Role
from stentor.room.stage import MANAGES, SPEAKING_ROLES, Action, allowed, require, require_manages

OPERATOR, HOST, COHOST, SPEAKER, MODERATOR = Role.OPERATOR, Role.HOST, Role.COHOST, Role.SPEAKER, Role.MODERATOR
WHO_MAY = {
    Action.CREATE_ROOM: {OPERATOR},
    Action.LIST_ROOMS: {OPERATOR},
    Action.DELETE_ROOM: {OPERATOR},
    Action.READ_ROOM: {OPERATOR, HOST, COHOST, SPEAKER, MODERATOR},
    Action.EDIT_ROOM: {OPERATOR, HOST, COHOST},
    Action.CHANGE_STATE: {OPERATOR, HOST, COHOST},
    Action.READ_LINKS: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.MAKE_LINK: {OPERATOR, HOST, COHOST},
    Action.END_LINK: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.MOVE_LINK: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.READ_ROSTER: {OPERATOR, HOST, COHOST, SPEAKER, MODERATOR},
    Action.WATCH: {OPERATOR, HOST, COHOST, SPEAKER, MODERATOR},
    Action.MUTE_ANYBODY: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.MOVE_OWN_LINK: {HOST, COHOST, SPEAKER, MODERATOR},
    Action.MUTE_ALL: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.BLOCK: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.GIVE_ROLE: {OPERATOR, HOST},
    Action.MUTE_SELF: {HOST, COHOST, SPEAKER},
    Action.REMOVE: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.RENAME_SELF: {HOST, COHOST, SPEAKER, MODERATOR},
    Action.ANNOUNCE: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.SET_DELIVERY: {OPERATOR, HOST},
    Action.TURN_DIALS: {OPERATOR, HOST, COHOST},
    Action.RUN_INSTALLATION: {OPERATOR},
    Action.RAISE_HAND: {HOST, COHOST, SPEAKER},
    Action.CALL_HANDS: {OPERATOR, HOST, COHOST, MODERATOR},
    Action.SPEAK: {HOST, COHOST, SPEAKER},
}
WHO_MANAGES = {
    OPERATOR: {HOST, COHOST, SPEAKER, MODERATOR},
    HOST: {HOST, COHOST, SPEAKER, MODERATOR},
    COHOST: {SPEAKER, MODERATOR},
    MODERATOR: {SPEAKER},
    SPEAKER: set(),
}


@pytest.mark.parametrize(("role", "action"), list(itertools.product(Role, Action)))
def test_every_pair(role: Role, action: Action) -> None:
    if role in WHO_MAY[action]:
        assert allowed(role, action)
        require(role, action)
        return
    assert not allowed(role, action)
    with pytest.raises(Forbidden, match=f"As {role} you may not {action}.") as refused:
        require(role, action)
    assert refused.value.problem()["action"] == action.name.lower()


@pytest.mark.parametrize(("role", "target"), list(itertools.product(Role, Role)))
def test_who_manages_whom(role: Role, target: Role) -> None:
    if target in WHO_MANAGES[role]:
        require_manages(role, target)
        return
    with pytest.raises(Forbidden, match=f"you may not do this to a {target}"):
        require_manages(role, target)


def test_nobody_manages_operators() -> None:
    assert not any(Role.OPERATOR in targets for targets in MANAGES.values())


def test_who_speaks() -> None:
    assert {HOST, COHOST, SPEAKER} == SPEAKING_ROLES


def test_what_is_not_in_the_table_is_refused() -> None:
    assert not allowed("stranger", Action.READ_ROOM)  # type: ignore[arg-type]
    assert not allowed(Role.HOST, "fly")  # type: ignore[arg-type]
