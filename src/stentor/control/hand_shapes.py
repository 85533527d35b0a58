"""The JSON of raised hands."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from stentor.clock import UnixNs, iso_utc
from stentor.room.hands import Hand, HandState, Line

MOST_SHOWN = 50
"""How many hands staff are shown at a time; the others follow as these come down."""


class LineBody(BaseModel):
    """Whether listeners may raise their hands."""

    model_config = ConfigDict(extra="forbid")

    open: bool


class HandOut(BaseModel):
    """A hand that is up."""

    hand: str
    name: str
    person: Annotated[str | None, Field(description="Who it is, for somebody on stage; `null`: a listener.")]
    state: Literal["waiting", "invited"]
    position: Annotated[int | None, Field(description="The place in the line, from 1; `null` for who is invited.")]
    raised_at: str
    here: Annotated[bool, Field(description="Their page has asked lately; false: they may have gone.")]


class HandsOut(BaseModel):
    """The line of raised hands, the first raised first."""

    open: Annotated[bool, Field(description="Whether listeners may raise their hands.")]
    total: Annotated[int, Field(description="How many wait or are invited.")]
    mine: Annotated[int | None, Field(description="One's own place in the line, from 1; `null`: no hand is up.")]
    hands: Annotated[list[HandOut], Field(description=f"The first {MOST_SHOWN}, for those who call on people.")]


def shown_hand(hand: Hand, line: Line, name: str, *, here: bool) -> HandOut:
    """Return a hand that waits or is invited, as staff see it."""
    return HandOut(
        hand=hand.hand,
        name=name,
        person=hand.person,
        state="waiting" if hand.state is HandState.WAITING else "invited",
        position=line.position(hand),
        raised_at=iso_utc(UnixNs(hand.raised_ns)),
        here=here,
    )
