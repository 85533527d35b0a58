"""What happens in a room, as server-sent events (HTML Standard, 9.2), read with fetch because of the bearer."""

from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from stentor.control.access import RoomPath, Rules, Using, Who
from stentor.control.hub import Follower, event
from stentor.control.problems import problems
from stentor.room.stage import Action

router = APIRouter(tags=["events"], prefix="/rooms/{room}")


@router.get(
    "/events",
    summary="Follow a room",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events"}, **problems(401, 403, 404)},
)
async def events(room: RoomPath, rules: Using, who: Who) -> StreamingResponse:
    """Stream what happens. First everything as it is, then each change; a comment every 10 s.

    `room` (the room), `stage` (who is on stage and what the program is), `audience` (as `GET …/audience` shows it, at
    most once a second), `hands` (as `GET …/hands`), `door` (as `GET …/door`, at most once a second), `ladder` (its
    step in force), `link` (one's own link first, then each that changes, of others for those who may see links;
    `asked_code`: another device asks for it), `role` (`person`, `name`, `role`, `why`: "given", "handed-over" or
    "host-absent", `by`), `session` (`replaced`: this page no longer counts, and the stream ends). A page that does not
    read is cut: connect again.
    """
    who.require(room, Action.WATCH)
    await rules.rooms.get(room)
    follower = Follower(room, who.role, who.person, who.session or "")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_frames(rules, follower), media_type="text/event-stream", headers=headers)


async def _frames(rules: Rules, follower: Follower) -> AsyncIterator[bytes]:
    hub = rules.parts.hub
    hub.follow(follower)
    try:
        # Read after following: whatever changes from here on is told as well.
        room = rules.rooms.shown(await rules.rooms.get(follower.room))
        yield event("room", room.model_dump_json())
        own = await rules.parts.catalogue.link(follower.person)
        if own is not None and own.room is not None:
            # Their role may have changed between their request and now.
            follower.role = own.role
            yield event("link", rules.staff.shown(own, own.role).model_dump_json())
        line = await rules.hands.shown(follower.room, follower.role, follower.person)
        yield event("hands", line.model_dump_json())
        yield event("door", (await rules.door.shown(follower.room)).model_dump_json())
        yield event("ladder", rules.ladder.word().model_dump_json())
        async for frame in follower.frames():
            yield frame
    finally:
        hub.leave(follower)
