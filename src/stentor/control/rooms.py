"""Rooms: listing, making, changing and deleting them."""

from fastapi import APIRouter, Response

from stentor.control.access import RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.control.shapes import CreatedOut, EditRoom, FirstLinks, NewRoom, RoomOut, RoomsOut
from stentor.room.stage import Action, require

router = APIRouter(tags=["rooms"], prefix="/rooms")


@router.get("", summary="All rooms", responses=problems(401, 403))
async def list_rooms(rules: Using, who: Who) -> RoomsOut:
    """List every room of this installation, the newest first. For operators."""
    require(who.role, Action.LIST_ROOMS)
    return RoomsOut(rooms=[rules.rooms.shown(room) for room in await rules.rooms.rooms()])


@router.post("", status_code=201, summary="Make a room", responses=problems(401, 403, 409))
async def create_room(body: NewRoom, rules: Using, who: Who, response: Response) -> CreatedOut:
    """Make a room, with links for its listeners, its host and a first speaker. For operators.

    With `planned_start` it is scheduled at once and its doors open by themselves at that time; without, it is a draft.
    """
    require(who.role, Action.CREATE_ROOM)
    room, links = await rules.rooms.create(who, body)
    response.headers["Location"] = f"/api/v1/rooms/{room.room}"
    return CreatedOut(**rules.rooms.shown(room).model_dump(), links=FirstLinks.model_validate(links))


@router.get("/{room}", summary="One room", responses=problems(401, 403, 404))
async def get_room(room: RoomPath, rules: Using, who: Who) -> RoomOut:
    """Show a room."""
    who.require(room, Action.READ_ROOM)
    return rules.rooms.shown(await rules.rooms.get(room))


@router.patch("/{room}", summary="Change a room", responses=problems(401, 403, 404, 409))
async def edit_room(room: RoomPath, body: EditRoom, rules: Using, who: Who) -> RoomOut:
    """Change what is given and leave the rest. When it starts and whether it is recorded: before its doors open."""
    who.require(room, Action.EDIT_ROOM)
    return rules.rooms.shown(await rules.rooms.edit(who, room, body))


@router.delete("/{room}", status_code=204, summary="Delete a room", responses=problems(401, 403, 404, 409))
async def delete_room(room: RoomPath, rules: Using, who: Who) -> None:
    """Delete a room that never opened: its address is free again and its links end. For operators."""
    who.require(room, Action.DELETE_ROOM)
    await rules.rooms.delete(who, room)
