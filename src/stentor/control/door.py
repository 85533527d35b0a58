"""The door: how many may listen and how many may come in each second, live, for a room and for the installation."""

from fastapi import APIRouter

from stentor.control.access import RoomPath, Using, Who
from stentor.control.door_shapes import (
    DialsBody,
    DoorOut,
    InstallationBody,
    InstallationDoorOut,
    InstallationOut,
    PreviewOut,
)
from stentor.control.problems import problems
from stentor.room.stage import Action, require

router = APIRouter(tags=["door"])


@router.get("/rooms/{room}/door", summary="A room's door", responses=problems(401, 403, 404))
async def door(room: RoomPath, rules: Using, who: Who) -> DoorOut:
    """Show a room's dials, those in force, who is inside and who waits, and when the last of them comes in.

    The dials in force are the least of the room's, the installation's and the ladder's; `cap_by` and `per_second_by`
    say who holds them lower. The `door` event carries the same, at most once a second.
    """
    who.require(room, Action.WATCH)
    return await rules.door.shown(room)


@router.put("/rooms/{room}/door", summary="Turn a room's dials", responses=problems(401, 403, 404))
async def turn(room: RoomPath, body: DialsBody, rules: Using, who: Who) -> DoorOut:
    """Set how many may listen (`cap`) and how many may come in each second (`per_second`); what is left out stays.

    It holds within a second, on all edges. Lowering the cap never throws anybody out: nobody new comes in until enough
    have left. With both `null` there is no door and no line, unless the installation has one.
    """
    who.require(room, Action.TURN_DIALS)
    return await rules.door.turn(who, room, body)


@router.post("/rooms/{room}/door/preview", summary="What dials would do", responses=problems(401, 403, 404))
async def preview(room: RoomPath, body: DialsBody, rules: Using, who: Who) -> PreviewOut:
    """Tell what would become of the line if the dials stood so. Nothing is changed."""
    who.require(room, Action.TURN_DIALS)
    return await rules.door.preview(room, body)


@router.get("/installation", summary="What holds for the whole installation", responses=problems(401, 403))
async def installation(rules: Using, who: Who) -> InstallationOut:
    """Show the door over all rooms, when arrivals are challenged, which networks are allowed or denied, the ladder."""
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.door.installation()


@router.put("/installation", summary="Change what holds for the whole installation", responses=problems(401, 403))
async def change_installation(body: InstallationBody, rules: Using, who: Who) -> InstallationOut:
    """Change what is given; what is left out stays. Edges follow within a second. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.door.change_installation(who, body)


@router.get("/installation/door", summary="The door over all rooms", responses=problems(401, 403))
async def installation_door(rules: Using, who: Who) -> InstallationDoorOut:
    """Show the dials over all rooms together, who is inside and who waits, in all and by room. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.door.shown_installation()


@router.put("/installation/door", summary="Turn the dials over all rooms", responses=problems(401, 403))
async def turn_installation(body: DialsBody, rules: Using, who: Who) -> InstallationDoorOut:
    """Set how many may listen to all rooms together, and how many may come in each second. For operators.

    Rooms with a line share what there is. What is left out stays. Lowering the cap never throws anybody out.
    """
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.door.turn_installation(who, body)


@router.post("/installation/door/preview", summary="What dials over all rooms would do", responses=problems(401, 403))
async def preview_installation(body: DialsBody, rules: Using, who: Who) -> PreviewOut:
    """Tell what would become of all lines together if the dials stood so. Nothing is changed. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.door.preview_installation(body)
