"""The JSON of the ladder: which step is in force and why, and what each step does."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stentor.room.ladder import CAP, NONE

Saved = Annotated[
    float | None,
    Field(description="Share of what a listener cost before this step was taken; `null`: not seen yet, or too few."),
]


class LadderBody(BaseModel):
    """Which step is to be in force."""

    model_config = ConfigDict(extra="forbid")

    step: Annotated[int | None, Field(ge=NONE, le=CAP, description="0: none; `null`: the load decides.")]


class StepOut(BaseModel):
    """One step."""

    step: int
    name: str
    text: str
    in_force: Annotated[bool, Field(description="Every step up to the one that was taken last is in force.")]
    cpu_saved: Saved = None
    bytes_saved: Saved = None


class LoadOut(BaseModel):
    """How busy the edges are."""

    edges: Annotated[int, Field(description="Edges that reported within 7 s.")]
    short: Annotated[int, Field(description="Edges that are short of time or line.")]
    connections: int
    cpu_share: Annotated[float, Field(description="The busiest edge, of one core.")]
    loop_lag_ms: Annotated[float, Field(description="The latest edge.")]
    unread: Annotated[int, Field(description="Connections whose client has not read all it was sent.")]
    sent_bytes_per_s: float


class LadderWordOut(BaseModel):
    """The step in force. The `ladder` event carries the same."""

    step: int
    name: str
    text: str
    by_hand: Annotated[bool, Field(description="Somebody has set it, and it stays until they say else.")]
    since: Annotated[str | None, Field(description="When the step was taken, RFC 3339.")]
    why: str
    cause: Annotated[str, Field(description="by-hand, calm, cpu, late, unread, queue, or nothing.")]


class LadderViewOut(LadderWordOut):
    """The ladder."""

    block_steps: Annotated[int, Field(description="Steps of 0.24 s that a block has at least.")]
    steps: list[StepOut]
    load: LoadOut
