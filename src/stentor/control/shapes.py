"""The JSON of the API: what may be sent and what is answered. Times are RFC 3339 in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from stentor.clock import UnixNs, iso_utc
from stentor.control.settings import ControlSettings
from stentor.room.documents import Role, RoomDocument, StageDocument
from stentor.room.stage import MANAGES
from stentor.room.states import RoomState
from stentor.store.catalogue import Link, Room

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$"

_LAST_YEAR = 2200


def _in_this_age(at: datetime) -> datetime:
    """Refuse a time that no calendar of ours can hold: nanoseconds have 64 bits."""
    if not _EPOCH <= at <= datetime(_LAST_YEAR, 1, 1, tzinfo=UTC):
        raise ValueError(f"give a time between 1970 and {_LAST_YEAR}")
    return at


PlannedStart = Annotated[AwareDatetime, AfterValidator(_in_this_age)]
LinkState = Literal["unused", "in-use", "asked", "revoked"]
InvitedRole = Literal[Role.HOST, Role.COHOST, Role.SPEAKER, Role.MODERATOR]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Exchange(_Body):
    """A link's token, and a secret that this browser made for itself and keeps."""

    token: Annotated[str, Field(min_length=1, max_length=2048, description="What stands after `#t=` in the link.")]
    device: Annotated[str, Field(min_length=16, max_length=256, description="A random secret that this browser keeps.")]


class NewRoom(_Body):
    """A room to be made. With `planned_start` it is scheduled, and its doors open by themselves."""

    title: Annotated[str, Field(max_length=500, examples=["An evening with Noor"])]
    room: Annotated[str | None, Field(max_length=63, description="Its address; made from the title if left out.")] = (
        None
    )
    description: Annotated[str, Field(max_length=4000)] = ""
    language: Annotated[str, Field(pattern=_LANGUAGE, examples=["en", "ar"])] = "en"
    planned_start: PlannedStart | None = None
    time_zone: Annotated[str | None, Field(max_length=64, examples=["Asia/Beirut"])] = None
    recorded: bool = True


class EditRoom(_Body):
    """What to change; what is left out stays."""

    title: Annotated[str, Field(max_length=500)] = ""
    description: Annotated[str, Field(max_length=4000)] = ""
    language: Annotated[str, Field(pattern=_LANGUAGE)] = "en"
    planned_start: PlannedStart | None = None
    time_zone: Annotated[str | None, Field(max_length=64)] = None
    recorded: bool = True


class Command(_Body):
    """How a change of state is meant."""

    expected: Annotated[RoomState | None, Field(description="Refuse if the room is in another state by now.")] = None
    force: Annotated[bool, Field(description="Start although speakers are muted or were not heard yet.")] = False
    planned_start: Annotated[PlannedStart | None, Field(description="For `schedule` alone.")] = None


class NewLink(_Body):
    """Whom to invite as what."""

    role: InvitedRole
    name: Annotated[str, Field(max_length=500, examples=["Noor"])]


class MuteBody(_Body):
    """Mute or unmute."""

    muted: bool


class NameBody(_Body):
    """A name to be shown."""

    name: Annotated[str, Field(max_length=500)]


class TextBody(_Body):
    """A sentence to everybody."""

    text: Annotated[str, Field(max_length=2000)]


class DeliveryBody(_Body):
    """How the program is to go out."""

    block_steps: Annotated[
        Literal[1, 2, 4, 8, 16] | None,
        Field(description="Blocks of at least so many steps of 0.24 s. `null`: each edge decides by its load."),
    ]


class MeOut(BaseModel):
    """Who one is here."""

    role: Role
    room: str | None
    person: str
    name: str
    expires_at: str
    audience_url: str


class SessionOut(MeOut):
    """A new session."""

    session: Annotated[str, Field(description="Send it as `Authorization: Bearer …`.")]


class AnnouncementOut(BaseModel):
    """What was announced, and when."""

    text: str
    at: str


class RoomOut(BaseModel):
    """A room."""

    room: str
    title: str
    description: str
    language: str
    state: RoomState
    on_air: Annotated[bool, Field(description="Voices go out to the audience now; as its origin says it.")]
    epoch: int
    planned_start: str | None
    time_zone: str | None
    started_at: str | None
    ended_at: str | None
    server_time: str
    announcement: AnnouncementOut | None
    recorded: bool
    block_steps: Annotated[int | None, Field(description="The least size of blocks; `null`: each edge decides.")]
    key_fingerprint: str
    zero_ns: int | None
    audience_url: str
    changed_by: Annotated[str, Field(description="Who changed its state last.")]


class FirstLinks(BaseModel):
    """Links ready to be sent."""

    listener: str
    host: str
    speaker: str


class CreatedOut(RoomOut):
    """A new room with its first links."""

    links: FirstLinks


class RoomsOut(BaseModel):
    """All rooms, the newest first."""

    rooms: list[RoomOut]


class LinkOut(BaseModel):
    """An invitation. `link` is also the person's id on stage. `url` is left out where one may not manage the role."""

    link: str
    role: Role
    name: str
    state: LinkState
    url: str | None = None


class LinksOut(BaseModel):
    """A room's links, the oldest first."""

    links: list[LinkOut]


class RosterOut(StageDocument):
    """Who is on stage (as the room's origin hears them), and the links of those who are not."""

    links: list[LinkOut]


class PersonOut(BaseModel):
    """A person under the name that is shown now."""

    person: str
    name: str


def to_ns(moment: datetime) -> int:
    """Return Unix nanoseconds of a moment, exact to the microsecond."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


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
        return LinkOut(link=link.link, role=link.role, name=link.name, state=link_state(link), url=url)


def link_state(link: Link) -> LinkState:
    """Return where a link is in its life."""
    if link.revoked_ns is not None:
        return "revoked"
    if link.asked_device is not None:
        return "asked"
    return "unused" if link.device is None and link.whip_session is None else "in-use"
