"""Links: inviting people, and what becomes of an invitation."""

from typing import Annotated

from fastapi import APIRouter, Body

from stentor.control.access import RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.control.shapes import LinkOut, LinksOut, MoveBody, NewLink
from stentor.room.stage import Action

router = APIRouter(tags=["links"], prefix="/rooms/{room}/links")


@router.get("", summary="A room's links", responses=problems(401, 403, 404))
async def list_links(room: RoomPath, rules: Using, who: Who) -> LinksOut:
    """List a room's links, the oldest first, the revoked too. `url` only for roles that one may invite oneself."""
    who.require(room, Action.READ_LINKS)
    await rules.rooms.get(room)
    return LinksOut(links=[rules.staff.shown(link, who.role) for link in await rules.staff.links(room)])


@router.post("", status_code=201, summary="Invite somebody", responses=problems(401, 403, 404))
async def make_link(room: RoomPath, body: NewLink, rules: Using, who: Who) -> LinkOut:
    """Make a link for one person. It is bound to the first browser that opens it."""
    who.require(room, Action.MAKE_LINK)
    await rules.rooms.get(room)
    return rules.staff.shown(await rules.staff.make_link(who, room, body.role, body.name), who.role)


@router.delete("/{link}", status_code=204, summary="Revoke a link", responses=problems(401, 403, 404))
async def revoke_link(room: RoomPath, link: str, rules: Using, who: Who) -> None:
    """End a link for good, and the sound of whoever holds it."""
    who.require(room, Action.END_LINK)
    await rules.stage.remove(who, room, link)


@router.post("/{link}/move", summary="Move a link to a new device", responses=problems(401, 403, 404, 409))
async def move_link(
    room: RoomPath, link: str, rules: Using, who: Who, body: Annotated[MoveBody | None, Body()] = None
) -> LinkOut:
    """Give a link to the device that asked for it, or else to the next that opens it. The old one is ended.

    With one's own link this takes the `code` of the device that asked (its digits, `asked_code` of the link).
    """
    who.require(room, Action.MOVE_OWN_LINK if who.person == link else Action.MOVE_LINK)
    return rules.staff.shown(await rules.staff.move(who, room, link, (body or MoveBody()).code), who.role)
