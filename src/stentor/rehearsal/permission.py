"""Asking the target, before anybody comes, whether it accepts this permit: no rehearsal without its word."""

import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from pydantic import BaseModel, ConfigDict, ValidationError

from stentor.errors import BadRequest, Forbidden, Unavailable
from stentor.rehearsal.plan import Plan, place_of
from stentor.room.permits import HEADER

_TIMEOUT_S = 10.0
_MAX_BYTES = 65_536


class Acceptance(BaseModel):
    """What an edge answers at ``/r/{room}/rehearsal`` to a permit that it accepts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    accepted: bool
    room: str
    listeners: int
    per_second: float
    expires_s: int


def context_of(plan: Plan) -> ssl.SSLContext:
    """Return how the target's certificate is checked; raises BadRequest for an authority that cannot be read."""
    try:
        context = ssl.create_default_context(cadata=plan.authority or None)
    except ssl.SSLError as error:
        raise BadRequest(f"The certificate authority cannot be read ({error}): give a PEM file.") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def get(plan: Plan, path: str) -> tuple[int, bytes]:
    """GET from the target's public address with the permit (blocks); redirects are not followed.

    Raises Unavailable when nobody answers.
    """
    host, port, secure = place_of(plan.url)
    connection: HTTPConnection
    if secure:
        connection = HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context_of(plan))
    else:
        connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={HEADER: plan.permit} if plan.permit else {})
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_BYTES)
    except (OSError, HTTPException) as error:
        raise Unavailable(f"Nobody answers at {plan.url}: {error}.") from error
    finally:
        connection.close()


def require_permission(plan: Plan) -> Acceptance:
    """Return the target's word that this may come (blocks). Raises Forbidden with its reason, or Unavailable."""
    status, body = get(plan, f"/r/{plan.room}/rehearsal")
    try:
        said = json.loads(body)
        accepted = Acceptance.model_validate(said) if status == 200 else None
    except (ValueError, ValidationError):
        said, accepted = {}, None
    if accepted is None or not accepted.accepted or accepted.room != plan.room:
        why = str(said.get("detail", "")) if isinstance(said, dict) else ""
        raise Forbidden(f"{plan.url} does not accept this rehearsal. {why}".strip(), slug="permit-refused")
    if accepted.listeners < plan.listeners or accepted.per_second < plan.per_second * 0.999:
        raise Forbidden(
            f"The permit is for {accepted.listeners:,} listeners, {accepted.per_second:g} a second: "
            "ask for as many, or for a larger permit.",
            slug="permit-too-small",
        )
    return accepted
