"""Every error as a problem document (RFC 9457): one sentence for a person, one slug for a program."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from stentor.errors import StentorError
from stentor.telemetry import logger

MEDIA_TYPE = "application/problem+json"

log = logger("control")


class Problem(BaseModel):
    """What went wrong, and what to do about it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:stentor:problem:wrong-state",
                    "title": "wrong state",
                    "status": 409,
                    "detail": "This room is ended now, by Noor; it cannot start.",
                    "state": "ended",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str


_MEANINGS = {
    400: "The request is not understood; `detail` says what is missing or wrong.",
    401: "No grant, or one that expired, was replaced or revoked: open the link again.",
    403: "The grant does not allow this, or is for another room.",
    404: "There is no such room, person or link.",
    406: "Nothing in the offer is something we speak.",
    409: "The state of the room or link does not allow this now; `detail` says what happened.",
    412: "The session has moved on.",
    413: "The body is larger than 64 kB.",
    415: "The content type is not the one this address reads.",
    422: "It can be read, and asks for what is not done here.",
    429: "Too many failures; `retry_after_s` says how long to wait.",
    503: "Something we need is away; try again after `Retry-After` seconds.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of errors for a route (400 and 503 can always happen)."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _MEANINGS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({400, 503, *statuses})
    }


def document(status: int, slug: str, detail: str, **extra: object) -> dict[str, object]:
    """Return a problem that is not one of our errors."""
    title = slug.replace("-", " ")
    return {"type": f"urn:stentor:problem:{slug}", "title": title, "status": status, "detail": detail, **extra}


def response(problem: dict[str, object], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem as a response, with Retry-After where waiting helps."""
    status = problem["status"]
    code = status if isinstance(status, int) else 500
    answer = JSONResponse(problem, code, dict(headers or {}), MEDIA_TYPE)
    answer.headers.setdefault("Cache-Control", "no-store")
    if code == 503:
        answer.headers["Retry-After"] = "1"
    elif code == 429:
        answer.headers["Retry-After"] = str(problem.get("retry_after_s", 1))
    elif code == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def install(app: FastAPI) -> None:
    """Make an app answer every error with a problem."""
    app.add_exception_handler(StentorError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, StentorError):
        raise error
    return response(error.problem())


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"][1:]) or "body", "message": str(fault["msg"])}
        for fault in error.errors()
    ]
    said = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5])
    return response(document(400, "bad-request", f"The request is not understood. {said}.", errors=faults[:20]))


_HTTP = {
    404: ("not-found", "There is nothing at this address. The API is described at /api/docs."),
    405: ("method-not-allowed", "This address does not take that method. The API is described at /api/docs."),
}


async def _http(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    slug, detail = _HTTP.get(error.status_code, ("bad-request", f"{error.detail}."))
    return response(document(error.status_code, slug, detail), error.headers)


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected", exc_info=error)
    return response(document(500, "internal", "Something broke here; it is in the log. Try again in a moment."))
