"""What the API takes and gives of rehearsals (docs/rehearsal.md)."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stentor.control.door_shapes import DialsOut
from stentor.room.permits import MAX_LISTENERS, MAX_PER_S

MAX_MINUTES = 24 * 60


class PermitBody(BaseModel):
    """How large a rehearsal may be, and when. ``networks``: where its generators come from, beside who asks."""

    model_config = ConfigDict(extra="forbid")

    listeners: Annotated[int, Field(ge=1, le=MAX_LISTENERS)]
    per_second: Annotated[float, Field(gt=0, le=MAX_PER_S)]
    minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES)] = 60
    not_before: datetime | None = None
    networks: Annotated[list[str], Field(max_length=64)] = []


class PermitOut(BaseModel):
    """A permit. ``token`` is given once, to who made it: it goes with each ticket that the generator asks for."""

    permit: str
    room: str
    listeners: int
    per_second: float
    begins_at: str
    expires_at: str
    networks: list[str]
    token: str | None = None


class PermitsOut(BaseModel):
    """The permits that are in force, or will be."""

    permits: list[PermitOut]


class ConfigurationOut(BaseModel):
    """What a verdict is about: ``hash`` changes with everything that may change the outcome, by ``parts``."""

    hash: str
    parts: dict[str, str]
    dials: DialsOut


class ConfigurationIn(BaseModel):
    """The configuration that was rehearsed."""

    model_config = ConfigDict(extra="ignore")

    hash: Annotated[str, Field(max_length=128)]
    parts: dict[str, str] = {}


class FindingBody(BaseModel):
    """One figure of a verdict."""

    model_config = ConfigDict(extra="ignore")

    key: Annotated[str, Field(max_length=64)]
    what: Annotated[str, Field(max_length=200)]
    value: float | None
    unit: Annotated[str, Field(max_length=16)] = ""
    at_most: float | None = None
    at_least: float | None = None
    met: bool | None = None
    note: Annotated[str, Field(max_length=400)] = ""


class VerdictBody(BaseModel):
    """A verdict as ``stentor rehearse`` writes it, without what is drawn."""

    model_config = ConfigDict(extra="ignore")

    rehearsal: Annotated[str, Field(max_length=64)]
    outcome: Annotated[str, Field(pattern="^(met|missed|unsure|interrupted|void)$")]
    summary: Annotated[str, Field(max_length=4_000)]
    begun_at: datetime
    ended_at: datetime
    listeners: Annotated[int, Field(ge=0)]
    per_second: float
    findings: Annotated[list[FindingBody], Field(max_length=100)]
    limits: Annotated[list[str], Field(max_length=50)] = []
    configuration: ConfigurationIn | None = None


class RehearsalOut(BaseModel):
    """The last rehearsal of a room. ``void``: the configuration is another one now; ``changed`` says in which parts."""

    verdict: VerdictBody
    void: bool
    changed: list[str]


class RehearsalsOut(BaseModel):
    """What is known of a room's rehearsals."""

    last: RehearsalOut | None
