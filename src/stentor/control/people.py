"""People on stage: who is there, muting, removing, names."""

from fastapi import APIRouter

from stentor.control.access import PersonPath, RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.control.shapes import MuteBody, NameBody, PersonOut, RosterOut
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
    await rules.staff.mute(who, room, person, muted=body.muted)


@router.delete("/people/{person}", status_code=204, summary="Remove a person", responses=problems(401, 403, 404))
async def remove(room: RoomPath, person: PersonPath, rules: Using, who: Who) -> None:
    """End a person's sound at once and revoke their link."""
    who.require(room, Action.REMOVE)
    await rules.staff.remove(who, room, person)


@router.put("/people/{person}/name", summary="Change one's name", responses=problems(401, 403, 404))
async def rename(room: RoomPath, person: PersonPath, body: NameBody, rules: Using, who: Who) -> PersonOut:
    """Change one's own shown name."""
    who.require(room, Action.RENAME_SELF)
    link = await rules.staff.rename(who, room, person, body.name)
    return PersonOut(person=link.link, name=link.name)
