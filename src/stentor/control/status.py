"""The status: what everybody can read at ``/status``, and the operator's own words in it."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from stentor.clock import UnixNs, iso_utc
from stentor.control.access import Rules, Using, Who
from stentor.control.problems import problems
from stentor.control.status_rules import TEXT_MAX_CHARACTERS
from stentor.plain.status import sentence
from stentor.plain.words import Words, bare
from stentor.room.stage import Action, require
from stentor.room.status import Happening, StatusEvent

router = APIRouter(tags=["installation"], prefix="/installation/status")

_DAY_S = 24 * 3600


class SayBody(BaseModel):
    """A sentence for everybody."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=4 * TEXT_MAX_CHARACTERS)]
    next_update_s: Annotated[
        int | None, Field(ge=0, le=_DAY_S, description="In how many seconds more will be said; `null`: no promise.")
    ] = None


class EventOut(BaseModel):
    """Something that happened, in English."""

    id: str
    at: str
    kind: Happening
    room: str | None
    text: str


class CopyOut(BaseModel):
    """The copy in the object store."""

    written_at: str | None
    problem: Annotated[str | None, Field(description="What is wrong, as the archive says it.")]


class StatusOut(BaseModel):
    """What the status page tells, the newest first, and how it stands with its copy."""

    url: Annotated[str, Field(description="Where everybody reads it.")]
    next_update_at: str | None
    events: list[EventOut]
    copied: Annotated[CopyOut | None, Field(description="`null`: the archive has said nothing lately.")]


@router.get("", summary="The status", responses=problems(401, 403))
async def status(rules: Using, who: Who) -> StatusOut:
    """Show what the status page tells. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    return _shown(rules)


@router.post("", summary="Say something on the status page", responses=problems(401, 403))
async def say(body: SayBody, rules: Using, who: Who) -> StatusOut:
    """Show a sentence to everybody who looks at the status, within two seconds at every edge. For operators.

    With `next_update_s` the page promises when more will be said; without, a promise given before is taken away.
    """
    require(who.role, Action.RUN_INSTALLATION)
    await rules.status.say(who, body.text, next_update_s=body.next_update_s)
    return _shown(rules)


@router.delete("/{event}", status_code=204, summary="Take words back", responses=problems(401, 403, 404))
async def take_back(
    event: Annotated[str, Path(max_length=32, description="The `id` of what was said.")], rules: Using, who: Who
) -> None:
    """Take the operator's words off the status page. What happened by itself stays. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    await rules.status.take_back(who, event)


def _shown(rules: Rules) -> StatusOut:
    document, copied = rules.status.shown(), rules.status.copy()
    return StatusOut(
        url=f"{rules.parts.settings.public_url}/status",
        next_update_at=_iso(document.next_update_ns),
        events=[_event(event) for event in document.events],
        copied=None if copied is None else CopyOut(written_at=_iso(copied.written_ns), problem=copied.problem),
    )


def _event(event: StatusEvent) -> EventOut:
    text = event.text or "" if event.kind is Happening.SAID else bare(sentence(event, Words("en")))
    at = iso_utc(UnixNs(event.at_ns))
    return EventOut(id=event.id, at=at, kind=event.kind, room=event.room, text=text)


def _iso(moment_ns: int | None) -> str | None:
    return None if moment_ns is None else iso_utc(UnixNs(moment_ns))
