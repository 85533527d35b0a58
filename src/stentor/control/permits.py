"""Rehearsals: permits for generators of listeners, and the last verdict (docs/rehearsal.md)."""

from fastapi import APIRouter, Request

from stentor.control.access import RoomPath, Using, Who
from stentor.control.guard import address_of
from stentor.control.problems import problems
from stentor.control.rehearsal_shapes import (
    ConfigurationOut,
    PermitBody,
    PermitOut,
    PermitsOut,
    RehearsalOut,
    RehearsalsOut,
    VerdictBody,
)
from stentor.room.stage import Action, require

router = APIRouter(tags=["rehearsals"], prefix="/rooms/{room}")


@router.post("/permits", status_code=201, summary="Permit a rehearsal", responses=problems(400, 401, 403, 404, 409))
async def give(room: RoomPath, body: PermitBody, rules: Using, who: Who, request: Request) -> PermitOut:
    """Give a permit to come as so many listeners, so many a second. For operators.

    Edges let in a generator that sends its token, and nobody else who says so; its listeners are counted apart. While
    it is listed here, networks that it comes from are not limited by address.
    """
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.rehearsals.give(who, room, body, address_of(request.scope))


@router.get("/permits", summary="Permits in force", responses=problems(401, 403, 404))
async def permits(room: RoomPath, rules: Using, who: Who) -> PermitsOut:
    """List the permits that are in force or will be, without their tokens. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    return PermitsOut(permits=await rules.rehearsals.permits(room))


@router.delete("/permits/{permit}", status_code=204, summary="Take a permit back", responses=problems(401, 403, 404))
async def take_back(room: RoomPath, permit: str, rules: Using, who: Who) -> None:
    """Have a permit be good for no further ticket, within a second on all edges. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    await rules.rehearsals.take_back(who, room, permit)


@router.get("/configuration", summary="What a rehearsal is about", responses=problems(401, 403, 404))
async def configuration(room: RoomPath, rules: Using, who: Who) -> ConfigurationOut:
    """Return the hash of version, settings, installation and room: a verdict is void once it is another one."""
    who.require(room, Action.WATCH)
    return await rules.rehearsals.configuration(room)


@router.post("/rehearsals", status_code=201, summary="Keep a verdict", responses=problems(400, 401, 403, 404))
async def keep(room: RoomPath, body: VerdictBody, rules: Using, who: Who) -> RehearsalOut:
    """Keep a rehearsal's verdict as the room's last. For operators; `stentor rehearse` does it by itself."""
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.rehearsals.keep(who, room, body)


@router.get("/rehearsals", summary="The last verdict", responses=problems(401, 403, 404))
async def last(room: RoomPath, rules: Using, who: Who) -> RehearsalsOut:
    """Return the last rehearsal's verdict, and whether it still holds."""
    who.require(room, Action.WATCH)
    return await rules.rehearsals.last(room)
