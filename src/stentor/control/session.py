"""Signing in: a link is exchanged for a session of one browser."""

from fastapi import APIRouter, Request

from stentor.clock import NS_PER_S, UnixNs, iso_utc
from stentor.control.access import Rules, Using, Who
from stentor.control.guard import address_of
from stentor.control.problems import problems
from stentor.control.shapes import Exchange, MeOut, SessionOut
from stentor.control.staff import Staff
from stentor.errors import Unauthenticated

router = APIRouter(tags=["session"])


@router.post("/session", summary="Open a link", responses=problems(401, 403, 409, 429))
async def open_link(body: Exchange, rules: Using, request: Request) -> SessionOut:
    """Exchange a link's token for a session of this browser. Needs no grant.

    The first browser that opens a link has it from then on and may come back at will; its newest session replaces
    the older one. Another browser is answered `link-in-use`, with a `code` of four digits: the first browser's page and
    the host's show them as well, and both can move the link to it. Ask again every few seconds meanwhile.

    `may_take_over` in that answer: the first browser was in the open room within the last half hour and has been gone
    for 10 s, as when a laptop has died; then the same call with `take_over` takes the link without anybody's leave.
    A browser that was blocked in the room is answered `blocked` (403).
    """
    try:
        who, session = await rules.staff.exchange(body.token, body.device, take_over=body.take_over)
    except Unauthenticated:
        rules.failures.fail(address_of(request.scope))
        raise
    rules.lanes.know(session)
    return SessionOut(session=session, **_me(rules, who).model_dump())


@router.get("/me", summary="Who am I?", responses=problems(401))
async def me(rules: Using, who: Who) -> MeOut:
    """Say who the session belongs to, and for how long."""
    return _me(rules, who)


def _me(rules: Rules, who: Staff) -> MeOut:
    return MeOut(
        role=who.role,
        room=who.link.room,
        person=who.person,
        name=who.link.name,
        expires_at=iso_utc(UnixNs(who.expires_s * NS_PER_S)),
        audience_url=rules.parts.shaper.audience_url(who.link.room),
    )
