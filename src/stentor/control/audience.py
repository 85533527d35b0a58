"""Who listens to a room."""

from fastapi import APIRouter

from stentor.control.access import RoomPath, Using, Who
from stentor.control.crowd import AudienceOut
from stentor.control.problems import problems
from stentor.room.stage import Action

router = APIRouter(tags=["audience"], prefix="/rooms/{room}")


@router.get("/audience", summary="Who listens", responses=problems(401, 403, 404))
async def audience(room: RoomPath, rules: Using, who: Who) -> AudienceOut:
    """Tell how many listen, by edge and transport, who came and went, and how well players say they hear.

    The `audience` event carries the same.
    """
    who.require(room, Action.WATCH)
    await rules.rooms.get(room)
    return rules.parts.hub.crowd.shown(room)
