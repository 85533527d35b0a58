"""From what the catalogue holds to what is said of it: the API's JSON, and the room's document on the bus."""

from hashlib import sha256

from stentor.clock import UnixNs, iso_utc
from stentor.control.settings import ControlSettings
from stentor.control.shapes import AnnouncementOut, BlockOut, LinkOut, LinkState, RoomOut
from stentor.room.documents import Dials, Role, RoomDocument, StageDocument
from stentor.room.stage import MANAGES
from stentor.store.catalogue import Block, Link, Room


def _iso(moment_ns: int | None) -> str | None:
    return None if moment_ns is None else iso_utc(UnixNs(moment_ns))


def room_document(room: Room, key_fingerprint: str) -> RoomDocument:
    """Return what bus and edges are told of a room."""
    return RoomDocument(
        room=room.room,
        title=room.title,
        description=room.description,
        language=room.language,
        state=room.state,
        planned_start_ns=room.planned_start_ns,
        time_zone=room.time_zone,
        zero_ns=room.zero_ns,
        started_ns=room.started_ns,
        ended_ns=room.ended_ns,
        recorded=room.recorded,
        announcement=room.announcement,
        key_fingerprint=key_fingerprint,
        block_steps=room.block_steps,
        seats=room.seats,
        noise_gate=room.noise_gate,
        hands_open=room.hands_open,
        door=Dials(cap=room.cap, per_second=room.per_second),
    )


class Shaper:
    """Turns what the catalogue holds into the API's JSON."""

    def __init__(self, settings: ControlSettings, key_fingerprint: str) -> None:
        self._settings = settings
        self._key_fingerprint = key_fingerprint

    def audience_url(self, room: str | None) -> str:
        """Return where listeners go."""
        return f"{self._settings.public_url}/" if room is None else f"{self._settings.public_url}/r/{room}"

    def room(self, room: Room, stage: StageDocument | None, *, now_ns: int) -> RoomOut:
        """Return a room; ``stage`` is what its origin said last, if it runs."""
        said = room.announcement
        return RoomOut(
            room=room.room,
            title=room.title,
            description=room.description,
            language=room.language,
            state=room.state,
            on_air=stage.on_air if stage else False,
            epoch=stage.epoch if stage else 0,
            planned_start=_iso(room.planned_start_ns),
            time_zone=room.time_zone,
            started_at=_iso(room.started_ns),
            ended_at=_iso(room.ended_ns),
            server_time=iso_utc(UnixNs(now_ns)),
            announcement=AnnouncementOut(text=said.text, at=iso_utc(UnixNs(said.at_ns))) if said else None,
            recorded=room.recorded,
            block_steps=room.block_steps,
            seats=room.seats,
            noise_gate=room.noise_gate,
            key_fingerprint=self._key_fingerprint,
            zero_ns=room.zero_ns,
            audience_url=self.audience_url(room.room),
            changed_by=room.changed_by,
        )

    def link_url(self, link: Link, token: str) -> str:
        """Return a link as it is sent to a person; its token stands in the fragment, which no server sees."""
        path = "/" if link.room is None else f"/r/{link.room}"
        return f"{self._settings.staff_url}{path}#t={token}"

    def link(self, link: Link, token: str, seen_by: Role) -> LinkOut:
        """Return a link as somebody with a role may see it."""
        shown = link.role in MANAGES[seen_by] and link.revoked_ns is None
        url = self.link_url(link, token) if shown else None
        code = self.asked_code(link) if link.revoked_ns is None else None
        return LinkOut(link=link.link, role=link.role, name=link.name, state=link_state(link), url=url, asked_code=code)

    @staticmethod
    def asked_code(link: Link) -> str | None:
        """Return four digits that stand for the device that has asked for a link, for people to compare."""
        if link.asked_device is None:
            return None
        hashed = sha256(f"{link.link}:{link.asked_device}".encode()).digest()
        return f"{int.from_bytes(hashed[:4]) % 10_000:04d}"

    @staticmethod
    def block(block: Block) -> BlockOut:
        """Return somebody who is blocked."""
        at = iso_utc(UnixNs(block.at_ns))
        return BlockOut(person=block.person, name=block.name, by=block.author, at=at)


def link_state(link: Link) -> LinkState:
    """Return where a link is in its life."""
    if link.revoked_ns is not None:
        return "revoked"
    if link.asked_device is not None:
        return "asked"
    return "unused" if link.device is None and link.whip_session is None else "in-use"
