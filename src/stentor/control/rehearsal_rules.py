"""The rules of rehearsals: permits that are given and taken back, what is rehearsed, and when a verdict is void."""

import hashlib
import ipaddress
import json
import secrets
from importlib.metadata import version

from pydantic import ValidationError

from stentor.clock import NS_PER_S, UnixNs, iso_utc
from stentor.control.door_shapes import DialsOut
from stentor.control.parts import Parts
from stentor.control.rehearsal_shapes import (
    ConfigurationOut,
    PermitBody,
    PermitOut,
    RehearsalOut,
    RehearsalsOut,
    VerdictBody,
)
from stentor.control.service import RoomRules
from stentor.control.shapes import to_ns
from stentor.control.staff import Staff
from stentor.errors import BadRequest, Conflict, NotFound
from stentor.room.documents import Dials
from stentor.room.installation import InstallationDocument
from stentor.room.permits import Permit, PermitToken, sign_permit
from stentor.store.catalogue import AuditEntry, Room
from stentor.telemetry import logger

MOST_PERMITS = 20
_HASH_CHARS = 16

log = logger("control")


class RehearsalRules:
    """Rehearsals of all rooms."""

    def __init__(self, parts: Parts, rooms: RoomRules) -> None:
        self._catalogue = parts.catalogue
        self._clock = parts.clock
        self._installation = parts.installation
        self._keys = parts.keys
        self._settings = parts.settings
        self._rooms = rooms

    # Permits

    async def give(self, who: Staff, room: str, body: PermitBody, address: str) -> PermitOut:
        """Make a permit and have edges know of it; its token is shown here and never again.

        Raises NotFound, BadRequest for what is no network, and Conflict where too many are in force.
        """
        await self._rooms.get(room)
        now_s = self._clock.wall_ns() // NS_PER_S
        begins_s = now_s if body.not_before is None else max(now_s, to_ns(body.not_before) // NS_PER_S)
        permit = Permit(
            id=secrets.token_hex(8),
            room=room,
            listeners=body.listeners,
            per_second=body.per_second,
            begins_s=begins_s,
            expires_s=begins_s + body.minutes * 60,
            networks=_networks([*body.networks, address] if address else body.networks),
        )
        kept = self._kept(await self._installation.read())
        if len(kept) >= MOST_PERMITS:
            raise Conflict(f"{MOST_PERMITS} permits are in force; take one back first.", slug="too-many-permits")
        await self._installation.change(permits=(*kept, permit))
        await self._audit(who, room, "permit", permit.model_dump(mode="json"))
        return _shown(permit, sign_permit(permit, self._keys.grants))

    async def permits(self, room: str) -> list[PermitOut]:
        """Return a room's permits that are in force or will be."""
        await self._rooms.get(room)
        return [_shown(each) for each in self._kept(await self._installation.read()) if each.room == room]

    async def take_back(self, who: Staff, room: str, permit: str) -> None:
        """Have a permit be good for nothing from now on; who is in stays. Raises NotFound."""
        kept = self._kept(await self._installation.read())
        left = tuple(each for each in kept if (each.room, each.id) != (room, permit))
        if len(left) == len(kept):
            raise NotFound("There is no such permit; it may be over.", slug="no-such-permit")
        await self._installation.change(permits=left)
        await self._audit(who, room, "permit-back", permit)

    def _kept(self, document: InstallationDocument) -> tuple[Permit, ...]:
        now_s = self._clock.wall_ns() // NS_PER_S
        return tuple(permit for permit in document.permits if permit.expires_s > now_s)

    # What is rehearsed

    async def configuration(self, room: str) -> ConfigurationOut:
        """Return the hash of everything that may change the outcome. Raises NotFound."""
        stored = await self._rooms.get(room)
        document = await self._installation.read()
        door = _least(Dials(cap=stored.cap, per_second=stored.per_second), document.door)
        parts = {
            "version": version("stentor"),
            "settings": self._settings.fingerprint,
            "installation": _hash(_of_installation(document)),
            "room": _hash(_of_room(stored)),
        }
        dials = DialsOut(cap=door.cap, per_second=door.per_second)
        return ConfigurationOut(hash=_hash(parts), parts=parts, dials=dials)

    # Verdicts

    async def keep(self, who: Staff, room: str, verdict: VerdictBody) -> RehearsalOut:
        """Keep a verdict as the room's last. Raises NotFound."""
        await self._rooms.get(room)
        await self._catalogue.put_installation({_key(room): verdict.model_dump_json()})
        await self._audit(who, room, "rehearsal", {"outcome": verdict.outcome, "listeners": verdict.listeners})
        return await self._judged(room, verdict)

    async def last(self, room: str) -> RehearsalsOut:
        """Return the last verdict on a room, and whether it still holds. Raises NotFound."""
        await self._rooms.get(room)
        text = (await self._catalogue.installation()).get(_key(room))
        if text is None:
            return RehearsalsOut(last=None)
        try:
            verdict = VerdictBody.model_validate_json(text)
        except ValidationError:
            log.warning("verdict_garbled", room=room)
            return RehearsalsOut(last=None)
        return RehearsalsOut(last=await self._judged(room, verdict))

    async def _judged(self, room: str, verdict: VerdictBody) -> RehearsalOut:
        now = await self.configuration(room)
        told = verdict.configuration
        parts = told.parts if told else {}
        changed = sorted(name for name, value in now.parts.items() if parts.get(name) != value)
        is_void = told is None or told.hash != now.hash
        return RehearsalOut(verdict=verdict, void=is_void, changed=changed if is_void else [])

    async def _audit(self, who: Staff, room: str, action: str, detail: object) -> None:
        entry = AuditEntry(
            self._clock.wall_ns(), room, who.link.link, who.link.name, action, json.dumps(detail, ensure_ascii=False)
        )
        await self._catalogue.write_audit(entry)


def _shown(permit: Permit, token: PermitToken | None = None) -> PermitOut:
    return PermitOut(
        permit=permit.id,
        room=permit.room,
        listeners=permit.listeners,
        per_second=permit.per_second,
        begins_at=iso_utc(UnixNs(permit.begins_s * NS_PER_S)),
        expires_at=iso_utc(UnixNs(permit.expires_s * NS_PER_S)),
        networks=list(permit.networks),
        token=token,
    )


def _networks(texts: list[str]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(str(ipaddress.ip_network(text, strict=False)) for text in texts))
    except ValueError as error:
        raise BadRequest(f"`networks`: {error}. Give them like 192.0.2.0/24.", slug="bad-network") from None


def _least(room: Dials, installation: Dials) -> Dials:
    caps = [cap for cap in (room.cap, installation.cap) if cap is not None]
    rates = [rate for rate in (room.per_second, installation.per_second) if rate is not None]
    return Dials(cap=min(caps, default=None), per_second=min(rates, default=None))


def _of_installation(document: InstallationDocument) -> object:
    """Return what counts: not what the ladder does by itself, nor permits."""
    by_hand = document.ladder.step if document.ladder.by_hand else None
    kept = document.model_dump(mode="json", include={"door", "challenge", "allow", "deny"})
    return {**kept, "ladder": by_hand}


def _of_room(room: Room) -> object:
    return [room.cap, room.per_second, room.block_steps, room.recorded]


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_HASH_CHARS]


def _key(room: str) -> str:
    """Return where a room's last verdict is kept: keys have 64 characters, rooms nearly as many."""
    return f"rehearsal:{hashlib.sha256(room.encode()).hexdigest()[:32]}"
