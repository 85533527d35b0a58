"""The rules of the stage: muting, removing and blocking people, what they are called, and what they are."""

import json

from pydantic import ValidationError

from stentor.control.parts import Parts
from stentor.control.staff import ENCODER, Staff, StaffRules
from stentor.errors import Conflict, Forbidden, NotFound, OriginUnavailable, StentorError
from stentor.room.documents import Role
from stentor.room.names import one_line
from stentor.room.requests import GiveRole, Mute, MuteAll, Muted, Rename
from stentor.room.stage import MANAGES, SPEAKING_ROLES, Action, allowed, require, require_manages
from stentor.store.catalogue import AuditEntry, Block, Link
from stentor.telemetry import logger

_SPARED = (Role.HOST, Role.COHOST)
"""Whom "mute all" leaves alone."""

log = logger("control")


class StageRules:
    """People on the stages of all rooms.

    What is done is stored first, so that it outlives a reload; then the origin is asked, and the audit comes last, as
    nobody is to wait for it.
    """

    def __init__(self, parts: Parts, staff: StaffRules) -> None:
        self._catalogue = parts.catalogue
        self._hub = parts.hub
        self._origins = parts.origins
        self._clock = parts.clock
        self._staff = staff

    # Muting

    async def mute(self, who: Staff, room: str, person: str, *, muted: bool) -> None:
        """Mute or unmute a person at the origin. What a host muted stays muted when they come back.

        Raises Forbidden for a speaker who would unmute themself after a host muted them.
        """
        own = who.person == person
        require(who.role, Action.MUTE_SELF if own else Action.MUTE_ANYBODY)
        link = await self._staff.person(room, person)
        by_host = not own or (link.host_muted and allowed(who.role, Action.MUTE_ANYBODY))
        if own and link.host_muted and not by_host:
            raise Forbidden("The host has muted you. Ask them to unmute you.", slug="muted-by-host")
        await self._require_open(room)
        if by_host:
            link = await self._staff.change(link, {"host_muted": muted})
        try:
            await self._origins.ask(room, "mute", Mute(person=person, muted=muted, by="host" if by_host else "self"))
        except NotFound:
            if own:
                raise
        finally:
            if by_host:
                await self._staff.audit(who.link, room, "mute" if muted else "unmute", person=person)

    async def mute_all(self, who: Staff, room: str) -> list[Link]:
        """Mute everybody on stage but hosts and co-hosts; return whom a host has muted now."""
        require(who.role, Action.MUTE_ALL)
        await self._require_open(room)
        # The origin first: it knows who is there, and a muted speaker must not be heard for want of a catalogue.
        answer = await self._origins.ask(room, "mute-all", MuteAll(spared=_SPARED))
        try:
            people = Muted.model_validate(answer).people
        except ValidationError as error:
            raise OriginUnavailable("The room's origin gave an answer that is none. Try again.") from error
        links = {link.link: link for link in await self._catalogue.mute_links(people)}
        await self._staff.audit(who.link, room, "mute-all", people=" ".join(people))
        return [links[person] for person in people if person in links]

    # Removing and blocking

    async def remove(self, who: Staff, room: str, person: str, *, block: bool = False) -> None:
        """Revoke a person's link and end their media at once; doing it twice is harmless.

        With ``block`` their browser may not come back to this room by any link, and loses those that it has.
        """
        link = await self._staff.person(room, person)
        require_manages(who.role, link.role)
        if block and who.person == person:
            raise Forbidden("Nobody blocks themself.", slug="own-browser")
        links = [link]
        if block:
            links += await self._block(who, room, link)
        for each in links:
            await self._revoke(each)
        try:
            for each in links:
                await self._staff.end_media(each, must=True)
        finally:
            for each in links:
                if each.revoked_ns is None or (block and each is link):
                    await self._staff.audit(who.link, room, "block" if block else "remove", person=each.link)

    async def _block(self, who: Staff, room: str, link: Link) -> list[Link]:
        """Bar a person's browser; return its other links. Raises Forbidden if one of them is out of reach."""
        browser = None if link.device == ENCODER else link.device
        others = [
            other
            for other in await self._catalogue.links(room)
            if browser and other.device == browser and other.link != link.link
        ]
        for other in others:
            out_of_reach = other.link == who.person or other.role not in MANAGES[who.role]
            if out_of_reach and other.revoked_ns is None:
                raise Forbidden(
                    f"The link of {other.name} ({other.role}) is open in the same browser. Remove without blocking.",
                    slug="shares-browser",
                )
        block = Block(link.link, link.name, self._clock.wall_ns(), who.link.name)
        await self._catalogue.block(room, block, browser or f"link {link.link}")
        return others

    async def _revoke(self, link: Link) -> None:
        if link.revoked_ns is None:
            await self._staff.change(link, {"revoked_ns": self._clock.wall_ns(), "session": None, "asked_device": None})
        self._hub.end_sessions(link, but=None, replaced=False)

    async def blocks(self, room: str) -> list[Block]:
        """Return who is blocked in a room."""
        return await self._catalogue.blocks(room)

    async def unblock(self, who: Staff, room: str, person: str) -> None:
        """Let somebody's browser in again; they need a new link. Raises NotFound."""
        if await self._catalogue.unblock(room, person) is None:
            raise NotFound("Nobody is blocked under this id.", slug="no-such-block")
        await self._staff.audit(who.link, room, "unblock", person=person)

    # Names and roles

    async def rename(self, who: Staff, room: str, person: str, name: str) -> Link:
        """Change one's own shown name."""
        if who.person != person:
            raise Forbidden("People choose their own names; you can change yours alone.", slug="not-allowed")
        changed = await self._staff.change(who.link, {"name": one_line(name, what="your name")})
        await self._staff.audit(who.link, room, "rename", name=changed.name)
        try:
            if await self._staff.is_open(room):
                await self._origins.ask(room, "rename", Rename(person=person, name=changed.name))
        except StentorError as error:
            # The catalogue has it: it is shown at the latest when they connect again.
            log.info("rename_waits", room=room, person=person, error=error.detail)
        return changed

    async def give_role(self, who: Staff, room: str, person: str, role: Role) -> list[Link]:
        """Make somebody something else; a host who makes another person host becomes co-host. Return whom it changed.

        Raises Forbidden for oneself, and Conflict when the roles have changed meanwhile.
        """
        link = await self._staff.person(room, person)
        if who.person == person:
            raise Forbidden("Your role is given by others. To step back, make somebody else host.", slug="own-role")
        require_manages(who.role, link.role)
        require_manages(who.role, role)
        if link.revoked_ns is not None:
            raise Conflict("This link is revoked; make a new one.", slug="link-revoked")
        if link.role is role:
            if role not in SPEAKING_ROLES:  # asked again, as the origin did not answer
                await self._staff.end_media(link, must=True)
            return [link]
        roles = {person: (link.role, role)}
        if hands_over := role is Role.HOST and who.role is Role.HOST:
            roles[who.person] = (Role.HOST, Role.COHOST)
        changed = await self._catalogue.give_roles(roles)
        if changed is None:
            raise Conflict("Roles have changed meanwhile. Look at the stage again.", slug="role-changed")
        try:
            for each in changed:
                await self._apply_role(each, why="handed-over" if hands_over else "given", by=who.link.name)
        finally:
            action = "hand-over" if hands_over else "give-role"
            await self._staff.audit(who.link, room, action, person=person, was=str(link.role), now=str(role))
        return changed

    async def promote(self, room: str, person: str) -> bool:
        """Make a co-host host because no host is there; tell whether they are now."""
        changed = await self._catalogue.give_roles({person: (Role.COHOST, Role.HOST)})
        if changed is None:  # another control may have been quicker
            link = await self._catalogue.link(person)
            return link is not None and link.role is Role.HOST and link.revoked_ns is None
        detail = json.dumps({"person": person, "was": str(Role.COHOST), "now": str(Role.HOST)})
        await self._catalogue.write_audit(
            AuditEntry(self._clock.wall_ns(), room, "clock", "the clock", "promote", detail)
        )
        await self._apply_role(changed[0], why="host-absent", by=None)
        return True

    async def _apply_role(self, link: Link, *, why: str, by: str | None) -> None:
        """Tell pages and origin what somebody is now; who may not speak any more is silent at once."""
        room = link.room or ""
        log.info("role", room=room, person=link.link, role=str(link.role), why=why)
        self._hub.change_role(link)
        self._staff.tell_link(link)
        said = {"person": link.link, "name": link.name, "role": str(link.role), "why": why, "by": by}
        self._hub.tell_room(room, "role", json.dumps(said, ensure_ascii=False))
        if link.role not in SPEAKING_ROLES:
            await self._staff.end_media(link, must=True)
            return
        try:
            if await self._staff.is_open(room):
                await self._origins.ask(room, "role", GiveRole(person=link.link, role=link.role))
        except StentorError as error:
            # Control decides by the catalogue; on stage it is shown at the latest when they connect again.
            log.info("role_waits", room=room, person=link.link, error=error.detail)

    async def _require_open(self, room: str) -> None:
        if not await self._staff.is_open(room):
            raise Conflict("This room is not open, so nobody can be heard in it.", slug="room-not-open")
