"""Raised hands: one's own, and for those who call on people the line of them."""

from fastapi import APIRouter

from stentor.control.access import RoomPath, Using, Who
from stentor.control.hand_shapes import HandsOut, LineBody
from stentor.control.problems import problems
from stentor.room.stage import Action

router = APIRouter(tags=["hands"], prefix="/rooms/{room}/hands")


@router.get("", summary="The line of raised hands", responses=problems(401, 403, 404))
async def line(room: RoomPath, rules: Using, who: Who) -> HandsOut:
    """Show who wants to speak, the first raised first: listeners and people on stage in one line.

    `hands` is empty for those who do not call on people. The `hands` event carries the same.
    """
    who.require(room, Action.WATCH)
    return await rules.hands.shown(room, who.role, who.person)


@router.put("", summary="Open or close the line", responses=problems(401, 403, 404))
async def open_line(room: RoomPath, body: LineBody, rules: Using, who: Who) -> HandsOut:
    """Let listeners raise their hands, or no more of them. Who is in line stays there; the stage may always raise."""
    who.require(room, Action.CALL_HANDS)
    return await rules.hands.open(who, room, is_open=body.open)


@router.put("/me", summary="Raise one's hand", responses=problems(401, 403, 404, 409))
async def raise_hand(room: RoomPath, rules: Using, who: Who) -> HandsOut:
    """Ask to speak, on stage. `mine` is the place in the line."""
    who.require(room, Action.RAISE_HAND)
    return await rules.hands.raise_own(who, room)


@router.delete("/me", summary="Lower one's hand", responses=problems(401, 403, 404))
async def lower_own_hand(room: RoomPath, rules: Using, who: Who) -> HandsOut:
    """Take one's hand down again."""
    who.require(room, Action.RAISE_HAND)
    return await rules.hands.lower_own(who, room)


@router.post("/{hand}/invite", summary="Call on somebody", responses=problems(401, 403, 404, 409))
async def invite(room: RoomPath, hand: str, rules: Using, who: Who) -> HandsOut:
    """Invite a listener to the stage: their page is given a speaker's link of their own.

    For somebody on stage a host's mute ends, and the hand comes down.
    """
    who.require(room, Action.CALL_HANDS)
    return await rules.hands.invite(who, room, hand)


@router.delete("/{hand}", status_code=204, summary="Lower a hand", responses=problems(401, 403, 404))
async def lower(room: RoomPath, hand: str, rules: Using, who: Who) -> None:
    """Take somebody's hand down. A listener is told; an invitation that they have not taken up ends."""
    who.require(room, Action.CALL_HANDS)
    await rules.hands.lower(who, room, hand)
