"""Moving a room through its life: one address a verb."""

from typing import Annotated

from fastapi import APIRouter, Body

from stentor.control.access import RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.control.shapes import Command, RoomOut
from stentor.room.stage import Action
from stentor.room.states import RoomInput

router = APIRouter(tags=["states"], prefix="/rooms")

_VERBS = {
    RoomInput.SCHEDULE: (
        "Schedule a room",
        "Set when the doors open by themselves; again for another time.",
    ),
    RoomInput.OPEN: (
        "Open the doors",
        "Listeners may come in and hear the hold sound; speakers meet. Nothing is on air or recorded yet.",
    ),
    RoomInput.START: (
        "Go on air",
        "What speakers say goes out. Names every speaker who is muted or was not heard yet "
        "(`speakers-not-ready`), unless `force`.",
    ),
    RoomInput.HOLD: (
        "Hold",
        "Listeners hear the hold sound; speakers go on hearing each other. Not recorded.",
    ),
    RoomInput.RESUME: ("Resume", "Back on air after a hold."),
    RoomInput.END: (
        "End the room",
        "For good. The recording follows at the same address.",
    ),
}


def _add(given: RoomInput, summary: str, description: str) -> None:
    async def change(
        room: RoomPath, rules: Using, who: Who, command: Annotated[Command | None, Body()] = None
    ) -> RoomOut:
        who.require(room, Action.CHANGE_STATE)
        return rules.rooms.shown(await rules.rooms.change(who, room, given, command or Command()))

    router.add_api_route(
        f"/{{room}}/{given}",
        change,
        methods=["POST"],
        name=f"{given}_room",
        summary=summary,
        description=f"{description} Of two people at once one wins, and the other is told (`wrong-state`).",
        responses=problems(401, 403, 404, 409),
    )


for _given, _words in _VERBS.items():
    _add(_given, *_words)
