"""How the resources get at the rules, and at who asks."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request

from stentor.clock import Clock
from stentor.control.attendance import Attendance
from stentor.control.door_rules import DoorRules
from stentor.control.hand_rules import HandRules
from stentor.control.ladder_rules import LadderRules
from stentor.control.lanes import Lanes
from stentor.control.limits import FailureLimit
from stentor.control.meter import CrowdMeters
from stentor.control.parts import Parts
from stentor.control.rehearsal_rules import RehearsalRules
from stentor.control.service import RoomRules
from stentor.control.staff import Staff, StaffRules
from stentor.control.stage_rules import StageRules
from stentor.control.status_rules import StatusRules
from stentor.control.succession import Succession
from stentor.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything the resources use."""

    parts: Parts
    rooms: RoomRules
    staff: StaffRules
    stage: StageRules
    succession: Succession
    hands: HandRules
    door: DoorRules
    ladder: LadderRules
    rehearsals: RehearsalRules
    status: StatusRules
    failures: FailureLimit
    lanes: Lanes
    meters: CrowdMeters


def make_rules(parts: Parts) -> Rules:
    """Return the rules over some parts."""
    attendance = Attendance(parts.hub, parts.clock)
    staff = StaffRules(parts, attendance)
    rooms = RoomRules(parts, staff)
    stage = StageRules(parts, staff)
    succession = Succession(parts, attendance, staff, stage)
    hands = HandRules(parts, staff, stage, rooms)
    door = DoorRules(parts, rooms)
    ladder = LadderRules(parts)
    rehearsals = RehearsalRules(parts, rooms)
    status = StatusRules(parts)
    return Rules(parts, rooms, staff, stage, succession, hands, door, ladder, rehearsals, status, *_limits(parts.clock))


def _limits(clock: Clock) -> tuple[FailureLimit, Lanes, CrowdMeters]:
    return FailureLimit(clock), Lanes(clock), CrowdMeters(clock)


async def rules_of(request: Request) -> Rules:
    """Return the rules that ``create_app`` gave its app (a coroutine, or FastAPI would use a thread)."""
    return cast("Rules", request.app.state.rules)


def bearer(request: Request) -> str:
    """Return the token of ``Authorization: Bearer``; raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Sign in first: send `Authorization: Bearer` with your session.", slug="unauthenticated")
    return token.strip()


async def staff_of(request: Request) -> Staff:
    """Return who asks; raises Unauthenticated."""
    return await authenticated(await rules_of(request), request)


async def authenticated(rules: Rules, request: Request, *, or_link: bool = False) -> Staff:
    """Return who asks, and give them their own lane; with ``or_link`` a link's own token counts, too.

    Raises Unauthenticated.
    """
    token = bearer(request)
    try:
        who = await rules.staff.authenticate(token, or_link=or_link)
    except Unauthenticated:
        rules.lanes.forget(token)
        raise
    rules.lanes.know(token)
    return who


Using = Annotated[Rules, Depends(rules_of)]
Who = Annotated[Staff, Depends(staff_of)]
RoomPath = Annotated[str, Path(description="The room's address.", examples=["demo"])]
PersonPath = Annotated[str, Path(description="A person's id: the id of their link.")]
