"""Who may do what: the one place that decides. What is not in the table is refused."""

from enum import StrEnum
from types import MappingProxyType

from stentor.errors import Forbidden
from stentor.room.documents import Role


class Action(StrEnum):
    """What a person of the staff can ask for. The value is how a refusal names it."""

    CREATE_ROOM = "create a room"
    LIST_ROOMS = "list all rooms"
    DELETE_ROOM = "delete a room"
    READ_ROOM = "look at this room"
    EDIT_ROOM = "change what this room is called, when it starts and how many it seats"
    CHANGE_STATE = "open, start, hold or end this room"
    READ_LINKS = "see this room's links"
    MAKE_LINK = "invite people"
    END_LINK = "revoke a link"
    MOVE_LINK = "move a link to a new device"
    MOVE_OWN_LINK = "move one's own link to a new device"
    READ_ROSTER = "see who is on stage"
    WATCH = "follow this room's events"
    MUTE_ANYBODY = "mute other people"
    MUTE_ALL = "mute all speakers"
    MUTE_SELF = "mute oneself"
    REMOVE = "remove a person"
    BLOCK = "block people or let them in again"
    GIVE_ROLE = "give people another role"
    RENAME_SELF = "change one's own name"
    ANNOUNCE = "announce something to the audience"
    TURN_DIALS = "turn the dials of this room's door"
    RUN_INSTALLATION = "see or change what holds for the whole installation"
    SET_DELIVERY = "choose how large this room's blocks of sound are"
    SPEAK = "speak in this room"
    RAISE_HAND = "raise one's hand"
    CALL_HANDS = "call on people who raise their hands"


_LOOKS_ON = frozenset({Action.READ_ROOM, Action.READ_ROSTER, Action.WATCH})
_PRESENT = _LOOKS_ON | {Action.RENAME_SELF, Action.MOVE_OWN_LINK}
_ON_STAGE = _PRESENT | {Action.SPEAK, Action.MUTE_SELF, Action.RAISE_HAND}
_KEEPS_ORDER = frozenset(
    {
        Action.READ_LINKS,
        Action.MOVE_LINK,
        Action.MUTE_ANYBODY,
        Action.MUTE_ALL,
        Action.REMOVE,
        Action.BLOCK,
        Action.END_LINK,
        Action.CALL_HANDS,
    }
)
_RUNS_ROOM = _KEEPS_ORDER | {
    Action.EDIT_ROOM,
    Action.CHANGE_STATE,
    Action.MAKE_LINK,
    Action.ANNOUNCE,
    Action.TURN_DIALS,
}

ALLOWED = MappingProxyType(
    {
        Role.OPERATOR: _LOOKS_ON
        | _RUNS_ROOM
        | {
            Action.GIVE_ROLE,
            Action.SET_DELIVERY,
            Action.CREATE_ROOM,
            Action.LIST_ROOMS,
            Action.DELETE_ROOM,
            Action.RUN_INSTALLATION,
        },
        Role.HOST: _ON_STAGE | _RUNS_ROOM | {Action.GIVE_ROLE, Action.SET_DELIVERY},
        Role.COHOST: _ON_STAGE | _RUNS_ROOM,
        Role.SPEAKER: _ON_STAGE,
        Role.MODERATOR: _PRESENT | _KEEPS_ORDER | {Action.ANNOUNCE},
    }
)
"""The actions of each role."""

MANAGES = MappingProxyType(
    {
        Role.OPERATOR: frozenset({Role.HOST, Role.COHOST, Role.SPEAKER, Role.MODERATOR}),
        Role.HOST: frozenset({Role.HOST, Role.COHOST, Role.SPEAKER, Role.MODERATOR}),
        Role.COHOST: frozenset({Role.SPEAKER, Role.MODERATOR}),
        Role.SPEAKER: frozenset[Role](),
        Role.MODERATOR: frozenset({Role.SPEAKER}),
    }
)
"""Whose links a role may make, see in full, move and revoke; whom it may remove and block, and what make of whom."""

SPEAKING_ROLES = frozenset(role for role, actions in ALLOWED.items() if Action.SPEAK in actions)


def allowed(role: Role, action: Action) -> bool:
    """Tell whether the table lets ``role`` do ``action``."""
    return action in ALLOWED.get(role, frozenset())


def require(role: Role, action: Action) -> None:
    """Raise Forbidden unless ``role`` may do ``action``."""
    if not allowed(role, action):
        raise Forbidden(f"As {role} you may not {action}.", slug="not-allowed", action=action.name.lower())


def require_manages(role: Role, target: Role) -> None:
    """Raise Forbidden unless ``role`` may manage people whose role is ``target``."""
    if target not in MANAGES.get(role, frozenset()):
        raise Forbidden(f"As {role} you may not do this to a {target}.", slug="not-allowed", target=str(target))
