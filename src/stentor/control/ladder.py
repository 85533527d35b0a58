"""The ladder: what the installation gives up under load."""

from fastapi import APIRouter

from stentor.control.access import Using, Who
from stentor.control.ladder_shapes import LadderBody, LadderViewOut
from stentor.control.problems import problems
from stentor.room.stage import Action, require

router = APIRouter(tags=["ladder"], prefix="/installation/ladder")


@router.get("", summary="The ladder", responses=problems(401, 403))
async def ladder(rules: Using, who: Who) -> LadderViewOut:
    """Show which step is in force, since when and why, what each step does, and what it has saved. For operators."""
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.ladder.shown()


@router.put("", summary="Take a step of the ladder", responses=problems(401, 403))
async def step(body: LadderBody, rules: Using, who: Who) -> LadderViewOut:
    """Have a step in force, with all below it, until somebody says else; `null`: the load decides. For operators.

    Edges and origins follow within 2 s; larger blocks are complete after a minute, as players first put aside what
    they will need.
    """
    require(who.role, Action.RUN_INSTALLATION)
    return await rules.ladder.set(who, body.step)
