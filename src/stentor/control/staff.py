"""The rules of links: who somebody is, which browser may use a link, and how it goes over to another one."""

import json
import secrets
from dataclasses import dataclass
from hashlib import sha256

from stentor.clock import NS_PER_S
from stentor.control.attendance import Attendance
from stentor.control.parts import Parts
from stentor.control.shapes import LinkOut
from stentor.errors import Conflict, Forbidden, NotFound, OriginUnavailable, Unauthenticated
from stentor.room.documents import Role
from stentor.room.grants import Grant, GrantKind, Token, Verifier, sign
from stentor.room.names import one_line
from stentor.room.requests import Remove
from stentor.room.stage import Action, require, require_manages
from stentor.room.states import OPEN_STATES
from stentor.store.catalogue import AuditEntry, Link, LinkChanges
from stentor.telemetry import logger

_DAY_S = 86_400
_MAX_LINKS = 1_000
_AWAY_S = 10.0
"""A device that has been gone for so long may be replaced by whoever holds its link."""
COMMAND_LINE = "command line"
ENCODER = "encoder"
"""Device and session of a link whose token is used itself; no browser's hash looks like it."""

log = logger("control")


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody who has shown a valid grant: its link, and the session if it was one."""

    link: Link
    session: str | None
    expires_s: int

    @property
    def role(self) -> Role:
        """Return what they are."""
        return self.link.role

    @property
    def person(self) -> str:
        """Return their id."""
        return self.link.link

    def require(self, room: str, action: Action) -> None:
        """Raise Forbidden unless they may do this in this room."""
        if self.link.room is not None and self.link.room != room:
            raise Forbidden("Your link is for another room. Open the link that belongs to this one.", slug="other-room")
        require(self.role, action)


class StaffRules:
    """Sessions and links of all rooms."""

    def __init__(self, parts: Parts, attendance: Attendance) -> None:
        self._attendance = attendance
        self._catalogue = parts.catalogue
        self._hub = parts.hub
        self._origins = parts.origins
        self._clock = parts.clock
        self._key = parts.keys.grants
        self._verifier = Verifier(parts.keys.grants.public_key())
        self._settings = parts.settings
        self._shaper = parts.shaper

    # Who somebody is

    async def exchange(self, token: str, device: str, *, take_over: bool = False) -> tuple[Staff, Token]:
        """Return a new session for the browser that opens a link; the browser's older session ends.

        Raises Unauthenticated for a link that is not valid or revoked, Forbidden ``blocked`` for a browser that was
        blocked, and Conflict ``link-in-use`` for a link that is bound to another browser (its page and whoever may
        move the link are told). With ``take_over`` the other browser loses it, if it was in the open room within the
        last half hour and has been gone for 10 s.
        """
        link = await self._link_of(self._verify(token), {GrantKind.LINK, GrantKind.OPERATOR})
        session = secrets.token_hex(16)
        if link.role is not Role.OPERATOR:
            link = await self._claim(link, sha256(device.encode()).hexdigest(), session, take_over=take_over)
        expires_s = self._now_s() + self._settings.session_hours * 3600
        grant = Grant(GrantKind.SESSION, link.room, link.role, link.link, session, expires_s)
        await self.audit(link, link.room, "sign-in")
        return Staff(link, session, expires_s), sign(grant, self._key)

    async def _claim(self, link: Link, device: str, session: str, *, take_over: bool = False) -> Link:
        if link.room is not None and await self._catalogue.is_blocked(link.room, device):
            raise Forbidden(
                "Somebody who runs this room has blocked this browser. Only they can let you in again.", slug="blocked"
            )
        claimed = await self._catalogue.claim_link(link.link, device=device, session=session)
        if claimed is None:
            replaceable = await self._is_replaceable(link)
            if not (take_over and replaceable):
                raise await self._in_use(link, device, replaceable=replaceable)
            claimed = await self._catalogue.claim_link(
                link.link, device=device, session=session, instead_of=link.device
            )
            if claimed is None:
                raise await self._in_use(link, device, replaceable=False)
            await self.end_media(claimed, must=False, keep_seat=True)
            await self.audit(claimed, link.room, "take-over")
        self._hub.end_sessions(claimed, but=session, replaced=True)
        self.tell_link(claimed)
        return claimed

    async def _is_replaceable(self, link: Link) -> bool:
        """Tell whether the device that has a link was in the open room and is gone."""
        away_s = self._attendance.away_s(link.room or "", link.link)
        return away_s is not None and away_s >= _AWAY_S and await self.is_open(link.room)

    async def _in_use(self, link: Link, device: str, *, replaceable: bool) -> Conflict | Unauthenticated:
        """Note that a device asks for a link, and return what to tell it."""
        asked = await self._catalogue.update_link(link.link, {"asked_device": device})
        if asked is None or asked.revoked_ns is not None:
            return _revoked()
        if link.asked_device != device:  # a page that waits asks every few seconds
            self.tell_link(asked)
            await self.audit(link, link.room, "ask-to-move")
        return Conflict(
            "This link is in use on another device. Allow the move there, or have the host move it: both are shown "
            "the digits that you see here. Then this page goes on by itself.",
            slug="link-in-use",
            code=self._shaper.asked_code(asked),
            may_take_over=replaceable,
        )

    async def claim_for_encoder(self, who: Staff) -> None:
        """Bind a link whose own token speaks (OBS, ffmpeg) like a browser would: first come, and moved by the host.

        Raises Conflict ``link-in-use`` when a browser has it.
        """
        await self._claim(who.link, ENCODER, ENCODER)

    async def authenticate(self, token: str, *, or_link: bool = False) -> Staff:
        """Return whose session a token is; with ``or_link`` a link's own token counts too (for WHIP clients)."""
        kinds = {GrantKind.SESSION, GrantKind.LINK} if or_link else {GrantKind.SESSION}
        grant = self._verify(token)
        link = await self._link_of(grant, kinds)
        if grant.kind is GrantKind.LINK:
            return Staff(link, None, grant.expires_s)
        if link.role is not Role.OPERATOR and link.session != grant.id:
            raise Unauthenticated(
                "Your link was opened again, on this device or another; only the newest page counts. "
                "Reload to go on here.",
                slug="session-replaced",
            )
        return Staff(link, grant.id, grant.expires_s)

    def _verify(self, token: str) -> Grant:
        return self._verifier.verify(token, now_s=self._clock.wall_ns() / NS_PER_S)

    async def _link_of(self, grant: Grant, kinds: set[GrantKind]) -> Link:
        if grant.kind not in kinds:
            raise Unauthenticated(f"A {grant.kind} token is not what is needed here.", slug="grant-invalid")
        link = await self._catalogue.link(grant.person)
        # Who they are is the grant's to say; what they are is the catalogue's, as roles change.
        if link is None or link.revoked_ns is not None or link.room != grant.room:
            raise _revoked()
        return link

    # Links

    def new_link(self, room: str | None, role: Role, name: str) -> Link:
        """Return a link that is not stored yet."""
        expires_s = self._now_s() + self._settings.link_days * _DAY_S
        return Link(secrets.token_hex(8), room, role, name, self._clock.wall_ns(), expires_s)

    def token_of(self, link: Link) -> Token:
        """Return a link's token: the same each time."""
        kind = GrantKind.OPERATOR if link.role is Role.OPERATOR else GrantKind.LINK
        return sign(Grant(kind, link.room, link.role, link.link, link.link, link.expires_s), self._key)

    def url_of(self, link: Link) -> str:
        """Return a link as it is sent to a person."""
        return self._shaper.link_url(link, self.token_of(link))

    def shown(self, link: Link, role: Role) -> LinkOut:
        """Return a link as a role may see it."""
        return self._shaper.link(link, self.token_of(link), role)

    async def make_link(self, who: Staff, room: str, role: Role, name: str) -> Link:
        """Invite somebody."""
        require_manages(who.role, role)
        if len(await self._catalogue.links(room)) >= _MAX_LINKS:
            raise Conflict(f"This room has {_MAX_LINKS} links, which is the most.", slug="too-many-links")
        link = self.new_link(room, role, one_line(name, what="the name"))
        await self._catalogue.add_link(link)
        await self.audit(who.link, room, "make-link", link=link.link, role=str(role))
        self.tell_link(link)
        return link

    async def links(self, room: str) -> list[Link]:
        """Return a room's links."""
        return await self._catalogue.links(room)

    async def person(self, room: str, person: str) -> Link:
        """Return a person's link; raises NotFound."""
        link = await self._catalogue.link(person)
        if link is None or link.room != room:
            raise NotFound("There is no such person or link in this room.", slug="no-such-person")
        return link

    async def move(self, who: Staff, room: str, link_id: str, code: str | None) -> Link:
        """Give a link to the device that asked for it (or the next that opens it) and end it on the old one.

        One's own link goes only to a device that has asked, and only with the digits that it shows (``code``), so
        that nobody else's device can come between. Raises Conflict.
        """
        link = await self.person(room, link_id)
        own = who.person == link_id
        if not own:
            require_manages(who.role, link.role)
        if link.revoked_ns is not None:
            raise Conflict("This link is revoked; make a new one.", slug="link-revoked")
        if own and link.asked_device is None:
            raise Conflict("No other device has asked for your link. Open it there first.", slug="nobody-asked")
        if (own or code is not None) and code != self._shaper.asked_code(link):
            raise Conflict(
                "These are not the digits of the device that asked last. Compare them again.", slug="other-device-asked"
            )
        moved = await self.change(link, {"device": link.asked_device, "session": None, "asked_device": None})
        self._hub.end_sessions(moved, but=None, replaced=True)
        await self.end_media(moved, must=False, keep_seat=True)
        await self.audit(who.link, room, "move-link", link=link_id)
        return moved

    async def end_media(self, link: Link, *, must: bool, keep_seat: bool = False) -> None:
        """End a person's sound at once; with ``must``, raise OriginUnavailable where that is not certain."""
        try:
            if await self.is_open(link.room):
                await self._origins.ask(link.room or "", "remove", Remove(person=link.link, keep_seat=keep_seat))
        except NotFound:
            return
        except OriginUnavailable as error:
            log.warning("media_not_ended", room=link.room, person=link.link, error=error.detail)
            if must:
                raise OriginUnavailable(
                    "This is noted, but the room's origin does not answer: ask again to end the sound, too."
                ) from error

    # Operators

    async def new_operator_link(self, name: str = "operator") -> str:
        """Make another operator's link and return its URL."""
        link = self.new_link(None, Role.OPERATOR, one_line(name, what="the name"))
        await self._catalogue.add_link(link)
        await self.audit(link, None, "make-operator-link")
        return self.url_of(link)

    async def first_operator_link(self) -> str | None:
        """Return the operator's link made at the first start, or None when there is one that still works."""
        now_s = self._now_s()
        links = await self._catalogue.links(None)
        if any(link.revoked_ns is None and link.expires_s > now_s for link in links):
            return None
        return await self.new_operator_link()

    async def command_line_link(self) -> str:
        """Return the operator's link that the command line uses, which is made when there is none that works."""
        soon_s = self._now_s() + _DAY_S
        for link in await self._catalogue.links(None):
            if link.name == COMMAND_LINE and link.revoked_ns is None and link.expires_s > soon_s:
                return self.url_of(link)
        return await self.new_operator_link(COMMAND_LINE)

    # Shared

    async def change(self, link: Link, changes: LinkChanges) -> Link:
        """Change a link and tell the pages; raises NotFound."""
        changed = await self._catalogue.update_link(link.link, changes)
        if changed is None:
            raise NotFound("There is no such person or link in this room.", slug="no-such-person")
        self.tell_link(changed)
        return changed

    def tell_link(self, link: Link) -> None:
        """Tell the pages of whoever may see links, and the person's own, what has become of a link."""
        self._hub.tell_link(link, {role: self.shown(link, role).model_dump_json() for role in Role})

    async def is_open(self, room: str | None) -> bool:
        """Tell whether a room's origin is to run."""
        stored = await self._catalogue.room(room) if room else None
        return stored is not None and stored.state in OPEN_STATES

    async def audit(self, actor: Link, room: str | None, action: str, **detail: str) -> None:
        """Write down who did what."""
        at_ns = self._clock.wall_ns()
        await self._catalogue.write_audit(
            AuditEntry(at_ns, room, actor.link, actor.name, action, json.dumps(detail, ensure_ascii=False))
        )

    def _now_s(self) -> int:
        return self._clock.wall_ns() // NS_PER_S


def _revoked() -> Unauthenticated:
    return Unauthenticated(
        "This link was revoked, or its room is gone. Ask whoever invited you for a new link.", slug="link-revoked"
    )
