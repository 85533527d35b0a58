"""Crowd or attack: the meter's address."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from stentor.control.access import RoomPath, Using, Who
from stentor.control.meter import CrowdMeterOut, as_csv
from stentor.control.problems import problems
from stentor.room.stage import Action

router = APIRouter(tags=["audience"], prefix="/rooms/{room}")


@router.get(
    "/crowd",
    summary="Crowd or attack?",
    response_model=CrowdMeterOut,
    responses={200: {"content": {"text/csv": {}}}, **problems(401, 403, 404)},
)
async def crowd(
    room: RoomPath,
    rules: Using,
    who: Who,
    as_what: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> CrowdMeterOut | Response:
    """Tell what share of arrivals behaves like people, and what the others lack: to know it instead of guessing.

    `format=csv` gives each minute of the last three hours as a table. Addresses are never told, only networks
    (IPv4 /24, IPv6 /48).
    """
    who.require(room, Action.TURN_DIALS)
    await rules.rooms.get(room)
    meters = rules.meters
    if as_what == "json":
        return meters.shown(room, rules.parts.installation.document.challenge)
    headers = {"Content-Disposition": f'attachment; filename="crowd-{room}.csv"', "Cache-Control": "no-store"}
    return Response(as_csv(meters.minutes(room)), headers=headers, media_type="text/csv; charset=utf-8")
