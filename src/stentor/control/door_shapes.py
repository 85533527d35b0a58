"""The JSON of the door: its dials, what they do, and what holds for the whole installation."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stentor.room.documents import Dials
from stentor.room.installation import Challenge

HeldBy = Literal["installation", "ladder"]
Cap = Annotated[
    int | None,
    Field(ge=0, le=100_000_000, description="How many may listen at once; 0: nobody new; `null`: as many as come."),
]
PerSecond = Annotated[
    float | None,
    Field(ge=0.1, le=1_000_000, description="How many may come in each second; `null`: as many as come."),
]
Network = Annotated[str, Field(max_length=64, examples=["192.0.2.0/24", "2001:db8::/32"])]
Networks = Annotated[list[Network], Field(max_length=10_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DialsBody(_Body):
    """How the dials are to stand; what is left out stays."""

    cap: Cap = None
    per_second: PerSecond = None

    def over(self, dials: Dials) -> Dials:
        """Return ``dials`` with what was given."""
        return dials.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


class InstallationBody(_Body):
    """What is to hold for the whole installation; what is left out stays."""

    door: DialsBody = DialsBody()
    challenge: Annotated[
        Challenge, Field(description="When arrivals solve a proof of work: never, when the meter says so, or always.")
    ] = Challenge.AUTO
    allow: Annotated[Networks, Field(description="Networks that are never limited or challenged.")] = []
    deny: Annotated[Networks, Field(description="Networks that are not answered.")] = []


class DialsOut(BaseModel):
    """Two dials."""

    cap: Cap
    per_second: PerSecond


class InForceOut(DialsOut):
    """The dials in force: the least of the room's, the installation's and the ladder's."""

    cap_by: Annotated[HeldBy | None, Field(description="Who holds it lower than the room's own dial.")] = None
    per_second_by: Annotated[HeldBy | None, Field(description="Who holds it lower than the room's own dial.")] = None


class ForecastOut(BaseModel):
    """What becomes of the line with dials that stand so."""

    waiting: Annotated[int, Field(description="How many wait in line.")]
    free: Annotated[int | None, Field(description="Places that are free at once; `null`: there is no cap.")]
    last_enters_at: Annotated[
        str | None,
        Field(description="When the last who waits now comes in; `null`: nobody can tell, it takes people to leave."),
    ]
    last_enters_in_s: Annotated[int | None, Field(description="The same in seconds from now.")]
    per_minute: Annotated[list[int], Field(description="How many come in, in each of the next minutes; 60 at most.")]


class LineOut(BaseModel):
    """Who is in and who waits, over all edges."""

    inside: Annotated[int, Field(description="Who listens now.")]
    held: Annotated[int, Field(description="Places kept for people on their way, or whose connection dropped.")]
    waiting: Annotated[int, Field(description="How many wait in line.")]
    admitted_per_s: float
    leaving_per_s: float
    overflow: Annotated[
        int, Field(description="Listeners through caches, outside the cap, whom only their beacons show.")
    ]


class PreviewOut(BaseModel):
    """What dials would do, before they are turned."""

    dials: DialsOut
    in_force: InForceOut
    forecast: ForecastOut


class DoorOut(LineOut, DialsOut):
    """A room's door. The `door` event carries the same."""

    guarded: Annotated[bool, Field(description="Whether there is a line at all: some dial is set.")]
    in_force: InForceOut
    because: Annotated[str | None, Field(description="Why it goes slower than was said: rate-lowered, cap-lowered, …")]
    forecast: ForecastOut


class RoomLineOut(LineOut):
    """One room's part of the installation's line."""

    room: str
    cap: Cap
    per_second: PerSecond


class InstallationDoorOut(LineOut, DialsOut):
    """The door over all rooms together."""

    guarded: bool
    forecast: ForecastOut
    rooms: Annotated[list[RoomLineOut], Field(description="Rooms with a line, the longest first.")]


class LadderOut(BaseModel):
    """The step of the ladder that is in force; 0 is none."""

    step: int
    by_hand: bool
    why: str


class InstallationOut(BaseModel):
    """What holds for the whole installation."""

    door: DialsOut
    challenge: Challenge
    allow: Networks
    deny: Networks
    ladder: LadderOut
