"""Relays (TURN, RFC 8656) for speakers whose network lets no UDP through, with credentials that run out.

Control and the relay share a secret and nothing else: the user name says until when it is good, and the password is
the name's HMAC-SHA1 under the secret ("A REST API For Access To TURN Services", draft-uberti-behave-turn-rest-00;
coturn's ``use-auth-secret``). Whom control has given one may relay for so long, also when their link is revoked
meanwhile: to the addresses that the relay allows, which are to be this machine's media ports and no others.
"""

import base64
import hashlib
import hmac

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from stentor.clock import NS_PER_S
from stentor.control.access import RoomPath, Using, Who
from stentor.control.problems import problems
from stentor.room.stage import Action

CREDENTIAL_S = 4 * 3_600

router = APIRouter(tags=["people"], prefix="/rooms/{room}")


class IceServer(BaseModel):
    """One entry of a browser's ``RTCConfiguration.iceServers``."""

    urls: list[str]
    username: str
    credential: str


class IceOut(BaseModel):
    """What a page gives to its RTCPeerConnection."""

    ice_servers: list[IceServer] = Field(description="Empty where this installation has no relay.")


@router.get("/ice", summary="Relays to speak through", responses=problems(401, 403, 404))
async def relays(room: RoomPath, response: Response, rules: Using, who: Who) -> IceOut:
    """Give the relays of this installation with a name and password that hold for four hours, to who may speak."""
    who.require(room, Action.SPEAK)
    await rules.rooms.get(room)
    response.headers["Cache-Control"] = "no-store"
    settings = rules.parts.settings
    if not settings.turn_urls:
        return IceOut(ice_servers=[])
    until_s = rules.parts.clock.wall_ns() // NS_PER_S + CREDENTIAL_S
    username = f"{until_s}:{who.person}"
    credential = password(settings.turn_secret, username)
    return IceOut(ice_servers=[IceServer(urls=list(settings.turn_urls), username=username, credential=credential)])


def password(secret: str, username: str) -> str:
    """Return what the relay takes as the password of ``username``."""
    return base64.b64encode(hmac.digest(secret.encode(), username.encode(), hashlib.sha1)).decode()
