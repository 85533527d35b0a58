"""The JSON of the API: what may be sent and what is answered. Times are RFC 3339 in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from stentor.room.documents import DEFAULT_SEATS, Role, StageDocument
from stentor.room.states import RoomState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$"

_LAST_YEAR = 2200


def _in_this_age(at: datetime) -> datetime:
    """Refuse a time that no calendar of ours can hold: nanoseconds have 64 bits."""
    if not _EPOCH <= at <= datetime(_LAST_YEAR, 1, 1, tzinfo=UTC):
        raise ValueError(f"give a time between 1970 and {_LAST_YEAR}")
    return at


PlannedStart = Annotated[AwareDatetime, AfterValidator(_in_this_age)]
Seats = Annotated[int, Field(ge=1, le=50, description="How many people the stage has room for.")]
NoiseGate = Annotated[bool, Field(description="Whether what lies below a voice is turned down.")]
LinkState = Literal["unused", "in-use", "asked", "revoked"]
InvitedRole = Literal[Role.HOST, Role.COHOST, Role.SPEAKER, Role.MODERATOR]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Exchange(_Body):
    """A link's token, and a secret that this browser made for itself and keeps."""

    token: Annotated[str, Field(min_length=1, max_length=2048, description="What stands after `#t=` in the link.")]
    device: Annotated[str, Field(min_length=16, max_length=256, description="A random secret that this browser keeps.")]
    take_over: Annotated[
        bool,
        Field(description="Take the link over from a device that is gone; see `may_take_over` of `link-in-use`."),
    ] = False


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
    seats: Seats = DEFAULT_SEATS
    noise_gate: NoiseGate = False


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


class MoveBody(_Body):
    """Which device is to have a link."""

    code: Annotated[
        str | None, Field(max_length=8, description="The digits that the new device shows; needed for one's own link.")
    ] = None


class RoleBody(_Body):
    """What somebody is to be from now on."""

    role: InvitedRole


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
    seats: Seats
    noise_gate: NoiseGate
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
    """An invitation. `link` is also the person's id on stage. `url` is left out where one may not manage the role.

    `asked_code`: the digits that another device shows that has asked for this link.
    """

    link: str
    role: Role
    name: str
    state: LinkState
    url: str | None = None
    asked_code: str | None = None


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


class PeopleOut(BaseModel):
    """Some people."""

    people: list[PersonOut]


class RoleOut(PersonOut):
    """What somebody is now."""

    role: Role


class RolesOut(BaseModel):
    """Everybody whose role has changed. Who hands over is among them."""

    people: list[RoleOut]


class BlockOut(PersonOut):
    """Somebody whose browser may not come back. `person` is the id of the link that they had."""

    by: str
    at: str


class BlocksOut(BaseModel):
    """Who is blocked in a room, the first first."""

    blocks: list[BlockOut]


def to_ns(moment: datetime) -> int:
    """Return Unix nanoseconds of a moment, exact to the microsecond."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
