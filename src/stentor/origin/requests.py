"""Answers what control and edges ask of a room's origin (room/requests) over the bus."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Protocol

from pydantic import ValidationError

from stentor.bus.port import Core, origin_subject
from stentor.errors import BadRequest, StentorError
from stentor.origin.cast import Cast
from stentor.room.requests import (
    Announced,
    Candidates,
    GiveRole,
    Leave,
    Mute,
    MuteAll,
    Offer,
    Remove,
    Rename,
    Reply,
    Restart,
    RingRead,
)
from stentor.telemetry import logger

_log = logger("origin")


class Publishing(Protocol):
    """What is asked of the room's program side."""

    async def announced(self, asked: Announced) -> None:
        """Log an announcement."""
        ...

    def ring(self, asked: RingRead) -> bytes:
        """Return recent chunks."""
        ...


async def serve_requests(core: Core, room: str, cast: Cast, publishing: Publishing, stack: AsyncExitStack) -> None:
    """Answer every verb of a room until ``stack`` is left."""

    async def offer(body: bytes) -> dict[str, object]:
        return (await cast.offer(Offer.model_validate_json(body))).model_dump()

    async def restart(body: bytes) -> dict[str, object]:
        return (await cast.restart(Restart.model_validate_json(body))).model_dump()

    async def mute_all(body: bytes) -> dict[str, object]:
        return (await cast.mute_all(MuteAll.model_validate_json(body))).model_dump()

    verbs: dict[str, Callable[[bytes], Awaitable[dict[str, object] | None]]] = {
        "offer": offer,
        "candidates": lambda body: cast.candidates(Candidates.model_validate_json(body)),
        "restart": restart,
        "leave": lambda body: cast.leave(Leave.model_validate_json(body)),
        "mute": lambda body: cast.mute(Mute.model_validate_json(body)),
        "mute-all": mute_all,
        "role": lambda body: cast.give_role(GiveRole.model_validate_json(body)),
        "remove": lambda body: cast.remove(Remove.model_validate_json(body)),
        "rename": lambda body: cast.rename(Rename.model_validate_json(body)),
        "announce": lambda body: publishing.announced(Announced.model_validate_json(body)),
    }

    async def answer(subject: str, body: bytes) -> bytes:
        return (await _reply(verbs[subject.rsplit(".", 1)[-1]], subject, body)).to_bytes()

    async def ring(_subject: str, body: bytes) -> bytes:
        return publishing.ring(RingRead.model_validate_json(body))

    for verb in verbs:
        await stack.enter_async_context(core.serve(origin_subject(room, verb), answer))
    await stack.enter_async_context(core.serve(origin_subject(room, "ring"), ring))


async def _reply(handle: Callable[[bytes], Awaitable[dict[str, object] | None]], subject: str, body: bytes) -> Reply:
    try:
        return Reply(result=await handle(body) or {})
    except ValidationError:
        return Reply(problem=BadRequest(f"The request on {subject} could not be read.").problem())
    except StentorError as error:
        return Reply(problem=error.problem())
    except Exception as error:  # noqa: BLE001  # a fault in one request must not silence the asker nor end the room
        _log.exception("request_failed", subject=subject, error=repr(error))
        return Reply(problem=StentorError("The origin met a fault; it is in its log.").problem())
