"""The rules of people and their links: who somebody is, which browser may use a link, what happens to a person."""

import json
import secrets
from dataclasses import dataclass
from hashlib import sha256

from stentor.clock import NS_PER_S
from stentor.control.parts import Parts
from stentor.control.shapes import LinkOut
from stentor.errors import Conflict, Forbidden, NotFound, OriginUnavailable, StentorError, Unauthenticated
from stentor.room.documents import Role
from stentor.room.grants import Grant, GrantKind, Token, Verifier, sign
from stentor.room.names import one_line
from stentor.room.requests import Mute, Remove, Rename
from stentor.room.stage import Action, allowed, require, require_manages
from stentor.room.states import OPEN_STATES
from stentor.store.catalogue import AuditEntry, Link, LinkChanges
from stentor.telemetry import logger

_DAY_S = 86_400
_MAX_LINKS = 1_000
_ENCODER = "encoder"
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
    """Sessions, links and people of all rooms."""

    def __init__(self, parts: Parts) -> None:
        self._catalogue = parts.catalogue
        self._hub = parts.hub
        self._origins = parts.origins
        self._clock = parts.clock
        self._key = parts.keys.grants
        self._verifier = Verifier(parts.keys.grants.public_key())
        self._settings = parts.settings
        self._shaper = parts.shaper

    # Who somebody is

    async def exchange(self, token: str, device: str) -> tuple[Staff, Token]:
        """Return a new session for the browser that opens a link; the browser's older session ends.

        Raises Unauthenticated for a link that is not valid or revoked, Conflict ``link-in-use`` for one that is
        bound to another browser (whoever may move it is told).
        """
        link = await self._link_of(self._verify(token), {GrantKind.LINK, GrantKind.OPERATOR})
        session = secrets.token_hex(16)
        if link.role is not Role.OPERATOR:
            link = await self._claim(link, sha256(device.encode()).hexdigest(), session)
        expires_s = self._now_s() + self._settings.session_hours * 3600
        grant = Grant(GrantKind.SESSION, link.room, link.role, link.link, session, expires_s)
        await self._audit(link, link.room, "sign-in")
        return Staff(link, session, expires_s), sign(grant, self._key)

    async def _claim(self, link: Link, device: str, session: str) -> Link:
        claimed = await self._catalogue.claim_link(link.link, device=device, session=session)
        if claimed is None:
            asked = await self._catalogue.update_link(link.link, {"asked_device": device})
            if asked is None or asked.revoked_ns is not None:
                raise _revoked()
            if link.asked_device != device:  # a page that waits asks every few seconds
                self._tell_link(asked)
                await self._audit(link, link.room, "ask-to-move")
            raise Conflict(
                "This link is in use on another device. The host was told and can move it to this one; "
                "then open the link again.",
                slug="link-in-use",
            )
        self._hub.end_sessions(claimed, but=session, replaced=True)
        self._tell_link(claimed)
        return claimed

    async def claim_for_encoder(self, who: Staff) -> None:
        """Bind a link whose own token speaks (OBS, ffmpeg) like a browser would: first come, and moved by the host.

        Raises Conflict ``link-in-use`` when a browser has it.
        """
        await self._claim(who.link, _ENCODER, _ENCODER)

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
        if link is None or link.revoked_ns is not None or link.role is not grant.role or link.room != grant.room:
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
        await self._audit(who.link, room, "make-link", link=link.link, role=str(role))
        self._tell_link(link)
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

    async def move(self, who: Staff, room: str, link_id: str) -> Link:
        """Give a link to the device that asked for it (or the next that opens it) and end it on the old one."""
        link = await self.person(room, link_id)
        require_manages(who.role, link.role)
        if link.revoked_ns is not None:
            raise Conflict("This link is revoked; make a new one.", slug="link-revoked")
        changes: LinkChanges = {"device": link.asked_device, "session": None, "asked_device": None}
        moved = await self._change(link, changes)
        self._hub.end_sessions(moved, but=None, replaced=True)
        await self._audit(who.link, room, "move-link", link=link_id)
        await self._end_media(moved, must=False)
        return moved

    async def remove(self, who: Staff, room: str, person: str) -> None:
        """Revoke a person's link and end their media at once; doing it twice is harmless."""
        link = await self.person(room, person)
        require_manages(who.role, link.role)
        if link.revoked_ns is None:
            link = await self._change(
                link, {"revoked_ns": self._clock.wall_ns(), "session": None, "asked_device": None}
            )
            await self._audit(who.link, room, "remove", person=person)
        self._hub.end_sessions(link, but=None, replaced=False)
        await self._end_media(link, must=True)

    async def _end_media(self, link: Link, *, must: bool) -> None:
        try:
            if await self._is_open(link.room):
                await self._origins.ask(link.room or "", "remove", Remove(person=link.link))
        except NotFound:
            return
        except OriginUnavailable as error:
            log.warning("media_not_ended", room=link.room, person=link.link, error=error.detail)
            if must:
                raise OriginUnavailable(
                    "The link is revoked, but the room's origin does not answer: ask again to end the sound, too."
                ) from error

    # People

    async def mute(self, who: Staff, room: str, person: str, *, muted: bool) -> None:
        """Mute or unmute a person at the origin. What a host muted stays muted when they come back.

        Raises Forbidden for a speaker who would unmute themself after a host muted them.
        """
        own = who.person == person
        require(who.role, Action.MUTE_SELF if own else Action.MUTE_ANYBODY)
        link = await self.person(room, person)
        by_host = not own or (link.host_muted and allowed(who.role, Action.MUTE_ANYBODY))
        if own and link.host_muted and not by_host:
            raise Forbidden("The host has muted you. Ask them to unmute you.", slug="muted-by-host")
        await self._require_open(room)
        if by_host:
            link = await self._change(link, {"host_muted": muted})
            await self._audit(who.link, room, "mute" if muted else "unmute", person=person)
        try:
            await self._origins.ask(room, "mute", Mute(person=person, muted=muted, by="host" if by_host else "self"))
        except NotFound:
            if own:
                raise

    async def rename(self, who: Staff, room: str, person: str, name: str) -> Link:
        """Change one's own shown name."""
        if who.person != person:
            raise Forbidden("People choose their own names; you can change yours alone.", slug="not-allowed")
        changed = await self._change(who.link, {"name": one_line(name, what="your name")})
        await self._audit(who.link, room, "rename", name=changed.name)
        try:
            if await self._is_open(room):
                await self._origins.ask(room, "rename", Rename(person=person, name=changed.name))
        except StentorError as error:
            # The catalogue has it: it is shown at the latest when they connect again.
            log.info("rename_waits", room=room, person=person, error=error.detail)
        return changed

    # Operators

    async def new_operator_link(self, name: str = "operator") -> str:
        """Make another operator's link and return its URL."""
        link = self.new_link(None, Role.OPERATOR, one_line(name, what="the name"))
        await self._catalogue.add_link(link)
        await self._audit(link, None, "make-operator-link")
        return self.url_of(link)

    async def first_operator_link(self) -> str | None:
        """Return the operator's link made at the first start, or None when there is one that still works."""
        now_s = self._now_s()
        links = await self._catalogue.links(None)
        if any(link.revoked_ns is None and link.expires_s > now_s for link in links):
            return None
        return await self.new_operator_link()

    # Shared

    async def _change(self, link: Link, changes: LinkChanges) -> Link:
        changed = await self._catalogue.update_link(link.link, changes)
        if changed is None:
            raise NotFound("There is no such person or link in this room.", slug="no-such-person")
        self._tell_link(changed)
        return changed

    def _tell_link(self, link: Link) -> None:
        self._hub.tell_link(link, {role: self.shown(link, role).model_dump_json() for role in Role})

    async def _is_open(self, room: str | None) -> bool:
        stored = await self._catalogue.room(room) if room else None
        return stored is not None and stored.state in OPEN_STATES

    async def _require_open(self, room: str) -> None:
        if not await self._is_open(room):
            raise Conflict("This room is not open, so nobody can be heard in it.", slug="room-not-open")

    async def _audit(self, actor: Link, room: str | None, action: str, **detail: str) -> None:
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
