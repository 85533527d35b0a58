"""People on stage: who is there, muting, removing, blocking, names and roles."""

from typing import Annotated

from fastapi import APIRouter, Query

from stentor.control.access import PersonPath, RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.control.shapes import (
    BlocksOut,
    MuteBody,
    NameBody,
    PeopleOut,
    PersonOut,
    RoleBody,
    RoleOut,
    RolesOut,
    RosterOut,
)
from stentor.room.documents import StageDocument
from stentor.room.stage import Action

router = APIRouter(tags=["people"], prefix="/rooms/{room}")


@router.get("/roster", summary="Who is on stage", responses=problems(401, 403, 404))
async def roster(room: RoomPath, rules: Using, who: Who) -> RosterOut:
    """Show who is on stage, as the room's origin hears them, and in `links` those who are not connected."""
    who.require(room, Action.READ_ROSTER)
    await rules.rooms.get(room)
    stage = rules.parts.hub.stage(room) or StageDocument(room=room, epoch=0, at_ns=rules.parts.clock.wall_ns())
    there = {person.person for person in stage.people if person.connected}
    absent = [link for link in await rules.staff.links(room) if link.link not in there and link.revoked_ns is None]
    return RosterOut(**dict(stage), links=[rules.staff.shown(link, who.role) for link in absent])


@router.post("/people/{person}/mute", status_code=204, summary="Mute or unmute", responses=problems(401, 403, 404, 409))
async def mute(room: RoomPath, person: PersonPath, body: MuteBody, rules: Using, who: Who) -> None:
    """Mute or unmute a person, within half a second. Whom a host muted cannot unmute themself."""
    who.require(room, Action.MUTE_SELF if who.person == person else Action.MUTE_ANYBODY)
    await rules.rooms.get(room)
    await rules.stage.mute(who, room, person, muted=body.muted)


@router.post("/mute-all", summary="Mute all speakers", responses=problems(401, 403, 404, 409))
async def mute_all(room: RoomPath, rules: Using, who: Who) -> PeopleOut:
    """Mute everybody on stage but hosts and co-hosts, within half a second; only a host unmutes them.

    Answers whom a host has muted now. Whoever comes later is not muted.
    """
    who.require(room, Action.MUTE_ALL)
    await rules.rooms.get(room)
    muted = await rules.stage.mute_all(who, room)
    return PeopleOut(people=[PersonOut(person=link.link, name=link.name) for link in muted])


@router.delete("/people/{person}", status_code=204, summary="Remove a person", responses=problems(401, 403, 404))
async def remove(
    room: RoomPath,
    person: PersonPath,
    rules: Using,
    who: Who,
    *,
    block: Annotated[bool, Query(description="Also keep their browser out of this room.")] = False,
) -> None:
    """End a person's sound at once and revoke their link.

    With `block` their browser opens no other link of this room any more, and loses those that it has; who came by a
    raised hand can raise none any more. Refused
    (`shares-browser`) if one of those is one's own, or of somebody whom one may not remove.
    """
    who.require(room, Action.REMOVE)
    if block:
        who.require(room, Action.BLOCK)
    await rules.stage.remove(who, room, person, block=block)
    if block:
        await rules.hands.bar(room, person)


@router.get("/blocks", summary="Who is blocked", responses=problems(401, 403, 404))
async def blocks(room: RoomPath, rules: Using, who: Who) -> BlocksOut:
    """List whose browsers are kept out of this room."""
    who.require(room, Action.BLOCK)
    await rules.rooms.get(room)
    return BlocksOut(blocks=[rules.parts.shaper.block(block) for block in await rules.stage.blocks(room)])


@router.delete("/blocks/{person}", status_code=204, summary="Let in again", responses=problems(401, 403, 404))
async def unblock(room: RoomPath, person: PersonPath, rules: Using, who: Who) -> None:
    """Let a blocked browser into this room again. The link stays revoked: make a new one."""
    who.require(room, Action.BLOCK)
    await rules.stage.unblock(who, room, person)
    await rules.hands.unbar(room, person)


@router.post("/people/{person}/role", summary="Give a role", responses=problems(401, 403, 404, 409))
async def give_role(room: RoomPath, person: PersonPath, body: RoleBody, rules: Using, who: Who) -> RolesOut:
    """Make somebody host, co-host, speaker or moderator; for operators and hosts. Their link and session go on.

    A host who makes somebody else host hands over, and becomes co-host. A moderator does not speak: their sound ends.
    The event `role` tells everybody's pages. While no host is there for 20 s, the co-host who has been on stage
    longest becomes host by themself.
    """
    who.require(room, Action.GIVE_ROLE)
    changed = await rules.stage.give_role(who, room, person, body.role)
    return RolesOut(people=[RoleOut(person=link.link, name=link.name, role=link.role) for link in changed])


@router.put("/people/{person}/name", summary="Change one's name", responses=problems(401, 403, 404))
async def rename(room: RoomPath, person: PersonPath, body: NameBody, rules: Using, who: Who) -> PersonOut:
    """Change one's own shown name."""
    who.require(room, Action.RENAME_SELF)
    link = await rules.stage.rename(who, room, person, body.name)
    return PersonOut(person=link.link, name=link.name)
