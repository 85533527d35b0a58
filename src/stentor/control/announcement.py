"""The announcement: one sentence to everybody, on every page of the room."""

from fastapi import APIRouter

from stentor.control.access import RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.control.shapes import RoomOut, TextBody
from stentor.room.stage import Action

router = APIRouter(tags=["announcement"], prefix="/rooms/{room}/announcement")


@router.put("", summary="Announce", responses=problems(401, 403, 404))
async def announce(room: RoomPath, body: TextBody, rules: Using, who: Who) -> RoomOut:
    """Show a sentence to everybody, in place of the one before."""
    who.require(room, Action.ANNOUNCE)
    return rules.rooms.shown(await rules.rooms.announce(who, room, body.text))


@router.delete("", summary="Take the announcement back", responses=problems(401, 403, 404))
async def withdraw(room: RoomPath, rules: Using, who: Who) -> RoomOut:
    """Show no announcement any more."""
    who.require(room, Action.ANNOUNCE)
    return rules.rooms.shown(await rules.rooms.announce(who, room, None))
