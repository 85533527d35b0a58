"""Delivery: how large the blocks are in which the program goes out to listeners."""

from fastapi import APIRouter

from stentor.control.access import RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.control.shapes import DeliveryBody, RoomOut
from stentor.room.stage import Action

router = APIRouter(tags=["delivery"], prefix="/rooms/{room}/delivery")


@router.put("", summary="Choose the size of blocks", responses=problems(401, 403, 404))
async def deliver(room: RoomPath, body: DeliveryBody, rules: Using, who: Who) -> RoomOut:
    """Have the sound sent in blocks of at least 1, 2, 4, 8 or 16 steps of 0.24 s. For operators and hosts.

    Larger blocks carry more listeners, who hear up to that much later. Our players slow down a little until they have
    put the difference aside; other programs may pause once. `null` leaves it to each edge, which decides by its load.
    """
    who.require(room, Action.SET_DELIVERY)
    return rules.rooms.shown(await rules.rooms.deliver(who, room, body.block_steps))
