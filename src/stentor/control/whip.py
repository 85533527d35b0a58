"""WHIP (RFC 9725): a speaker's offer is checked here and answered by the room's origin.

Who asks is settled before anything of the body is looked at. A session of the page and a link's own token both
count as the bearer, the latter for OBS, GStreamer and ffmpeg. One live WHIP session a person: a newer one replaces
the older at the origin.
"""

import re
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import Counter
from pydantic import ValidationError

from stentor.control.access import RoomPath, Rules, Using, authenticated, rules_of
from stentor.control.problems import problems
from stentor.control.staff import Staff
from stentor.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotAcceptable,
    NotFound,
    OriginUnavailable,
    RequestError,
    StentorError,
    Unauthenticated,
    Unsupported,
)
from stentor.room.requests import Answered, Candidates, GiveRole, Leave, Mute, Offer, Remove, Restart, Restarted
from stentor.room.stage import SPEAKING_ROLES, Action, require
from stentor.room.states import OPEN_STATES
from stentor.telemetry import logger

router = APIRouter(tags=["whip"], prefix="/r/{room}/whip")

OFFERS = Counter("stentor_control_whip_offers_total", "WHIP offers by outcome", ["outcome"])

_SDP = "application/sdp"
_FRAGMENT = "application/trickle-ice-sdpfrag"
_ANY = ("*", '"*"')
_OPUS = re.compile(r"^a=rtpmap:\d+ opus/48000(/2)?\s*$", re.MULTILINE | re.IGNORECASE)
_UFRAG = re.compile(r"^a=ice-(?:ufrag|pwd):(\S+)\s*$", re.MULTILINE)

_REFUSED = (401, 403, 406, 409, 413, 415, 429)

log = logger("control")


class PreconditionFailedError(RequestError):
    """The ICE session that the request means is over."""

    status = 412
    slug = "precondition-failed"


async def _speaker_of(request: Request) -> Staff:
    rules = await rules_of(request)
    return await authenticated(rules, request, or_link=True)


Speaker = Annotated[Staff, Depends(_speaker_of)]


@router.options("", include_in_schema=False)
@router.options("/{session}", include_in_schema=False)
async def preflight(room: str) -> Response:
    """Say what this address takes (RFC 9725, 4.2): the same for every room."""
    del room
    headers = {
        "Accept-Post": _SDP,
        "Access-Control-Allow-Methods": "POST, PATCH, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
        "Access-Control-Max-Age": "86400",
    }
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    status_code=201,
    summary="Speak (WHIP)",
    response_class=Response,
    responses={
        201: {"content": {_SDP: {}}, "description": "The answer"},
        **problems(401, 403, 406, 409, 413, 415, 429),
    },
    openapi_extra={"requestBody": {"required": True, "content": {_SDP: {"schema": {"type": "string"}}}}},
)
async def offer(room: RoomPath, request: Request, rules: Using, who: Speaker) -> Response:
    """Send an SDP offer with Opus; get the answer of the room's origin, and the session's address in `Location`.

    A sendrecv offer is answered with what the others say; a sendonly offer gets WHIP exactly.
    """
    try:
        answered, etag = await _offer(rules, who, room, request)
    except StentorError as error:
        OFFERS.labels(outcome=error.kind).inc()
        raise
    OFFERS.labels(outcome="answered").inc()
    location = f"/r/{room}/whip/{answered.session}"
    return Response(answered.sdp, 201, {"Location": location, "ETag": etag, "Accept-Patch": _FRAGMENT}, _SDP)


async def _offer(rules: Rules, who: Staff, room: str, request: Request) -> tuple[Answered, str]:
    who.require(room, Action.SPEAK)
    rules.lanes.offer(who.person)
    stored = await rules.rooms.get(room)
    _require_type(request, _SDP)
    sdp = checked_offer(await request.body())
    if stored.state not in OPEN_STATES:
        raise Conflict(
            f"This room is {stored.state}; one can speak in it while it is open. Wait until the host opens it.",
            slug="room-not-open",
            state=str(stored.state),
        )
    if who.session is None:
        await rules.staff.claim_for_encoder(who)
    device = None if who.session is None else who.link.device
    message = Offer(person=who.person, name=who.link.name, role=who.role, sdp=sdp, device=device)
    try:
        answered = Answered.model_validate(await rules.parts.origins.ask(room, "offer", message))
    except ValidationError as error:
        raise OriginUnavailable("The room's origin gave an answer that is none. Try again.") from error
    etag = _etag(answered.sdp)
    await _settle(rules, who, room, answered, etag)
    return answered, etag


async def _settle(rules: Rules, who: Staff, room: str, answered: Answered, etag: str) -> None:
    """Note the session, and apply what was decided about the person while the origin answered, or before."""
    parts = rules.parts
    link = await parts.catalogue.update_link(who.person, {"whip_session": answered.session, "whip_etag": etag})
    if link is None or link.revoked_ns is not None:
        await parts.origins.ask(room, "remove", Remove(person=who.person))
        raise Unauthenticated("This link was revoked. Ask whoever invited you for a new link.", slug="link-revoked")
    if link.device != who.link.device and who.session is not None:
        await parts.origins.ask(room, "leave", Leave(session=answered.session))
        raise Unauthenticated("Your link was moved to another device.", slug="session-replaced")
    if link.role not in SPEAKING_ROLES:
        await parts.origins.ask(room, "remove", Remove(person=who.person))
        require(link.role, Action.SPEAK)
    if link.role is not who.role:
        await parts.origins.ask(room, "role", GiveRole(person=who.person, role=link.role))
    if link.host_muted:
        # Before the answer is sent: not a packet of theirs has come yet.
        await parts.origins.ask(room, "mute", Mute(person=who.person, muted=True, by="host"))


def _etag(sdp: str) -> str:
    """Return what stands for an ICE session (RFC 9725, 4.3.1): its credentials, hashed."""
    return f'"{sha256(" ".join(_UFRAG.findall(sdp)).encode()).hexdigest()[:16]}"'


@router.patch(
    "/{session}",
    status_code=204,
    summary="Trickle ICE, restart ICE",
    response_class=Response,
    responses={
        200: {"content": {_FRAGMENT: {}}, "description": "ICE restarts with these credentials and candidates"},
        **problems(401, 403, 404, 409, 412, 415, 422),
    },
    openapi_extra={"requestBody": {"required": True, "content": {_FRAGMENT: {"schema": {"type": "string"}}}}},
)
async def candidates(room: RoomPath, session: str, request: Request, rules: Using, who: Speaker) -> Response:
    """Send candidates as they are found (RFC 8840). `If-Match`, if sent, is the answer's `ETag`.

    With `If-Match: "*"` and new `ice-ufrag` and `ice-pwd` it is an ICE restart (RFC 9725, 4.3.3), for who has another
    network: what is said goes on, and the answer has our new credentials and a new `ETag`.
    """
    await _own_session(rules, who, room, session)
    _require_type(request, _FRAGMENT)
    match = request.headers.get("if-match")
    if match not in (None, *_ANY, who.link.whip_etag):
        raise PreconditionFailedError("These candidates are for an ICE session that is over.")
    fragment = _text(await request.body())
    if match in _ANY and _UFRAG.search(fragment):
        return await _restart(rules, who, room, Restart(session=session, fragment=fragment))
    await rules.parts.origins.ask(room, "candidates", Candidates(session=session, fragment=fragment))
    return Response(status_code=204)


async def _restart(rules: Rules, who: Staff, room: str, asked: Restart) -> Response:
    try:
        restarted = Restarted.model_validate(await rules.parts.origins.ask(room, "restart", asked))
    except ValidationError as error:
        raise OriginUnavailable("The room's origin gave an answer that is none. Try again.") from error
    etag = _etag(restarted.fragment)
    await rules.parts.catalogue.update_link(who.person, {"whip_etag": etag})
    return Response(restarted.fragment, 200, {"ETag": etag, "Accept-Patch": _FRAGMENT}, _FRAGMENT)


@router.delete("/{session}", summary="Stop speaking", responses=problems(401, 403, 404, 409))
async def leave(room: RoomPath, session: str, rules: Using, who: Speaker) -> Response:
    """End one's own WHIP session."""
    await _own_session(rules, who, room, session)
    # First, so that it cannot take away the session of a page that is just being loaded again.
    await rules.parts.catalogue.update_link(who.person, {"whip_session": None, "whip_etag": None})
    try:
        await rules.parts.origins.ask(room, "leave", Leave(session=session))
    except (NotFound, OriginUnavailable) as error:
        # Without its origin the session is over, too.
        log.info("leave_unheard", room=room, person=who.person, error=error.detail)
    return Response(status_code=200)


async def _own_session(rules: Rules, who: Staff, room: str, session: str) -> None:
    who.require(room, Action.SPEAK)
    if who.link.whip_session == session:
        return
    if any(link.whip_session == session for link in await rules.staff.links(room)):
        raise Forbidden("This WHIP session is somebody else's.", slug="other-person")
    raise NotFound("There is no such WHIP session; it is over, or a newer one replaced it.", slug="no-such-session")


def _require_type(request: Request, wanted: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise Unsupported(f"Send this with `Content-Type: {wanted}`.")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not text.", slug="bad-sdp") from error


def checked_offer(body: bytes) -> str:
    """Return an offer that an origin may parse (RFC 8866, RFC 8829); raises BadRequest, NotAcceptable.

    The origin's own parser has the last word; this keeps everything out that is no offer of Opus over ICE and DTLS.
    """
    sdp = _text(body)
    lines = sdp.replace("\r\n", "\n").split("\n")
    media = [line for line in lines if line.startswith("m=")]
    well_formed = all(len(line) > 1 and line[1] == "=" and line[0].isalpha() for line in lines if line)
    if not lines[0].startswith("v=0") or not well_formed or not media or "\0" in sdp:
        raise BadRequest("The body is no SDP offer: it begins with v=0 and has media lines (RFC 8866).", slug="bad-sdp")
    if not any(line.startswith("m=audio ") for line in media):
        raise NotAcceptable("The offer has no audio. Stentor takes sound alone: add a microphone.", slug="no-audio")
    if not _OPUS.search("\n".join(lines)):
        raise NotAcceptable("The offer has no Opus at 48 kHz, which is what Stentor takes.", slug="no-opus")
    for attribute in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not any(line.startswith(attribute) for line in lines):
            raise BadRequest(f"The offer has no `{attribute[2:-1]}`: WebRTC needs ICE and DTLS.", slug="bad-sdp")
    return sdp
