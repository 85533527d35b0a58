"""A small client of the staff API (docs/design.md), for the demo, scenarios and benches.

Blocking HTTP from the standard library, run in threads: a handful of calls a night.
"""

import asyncio
import json
import secrets
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from stentor.errors import BadRequest, StentorError, Unavailable

_TIMEOUT_S = 10.0


class ProblemError(StentorError):
    """The server answered with a problem document; ``detail`` is its sentence, ``extra`` the whole document."""

    slug = "problem"


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: status, headers with lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def http_exchange(
    method: str, url: str, headers: dict[str, str], body: bytes | None, tls: ssl.SSLContext | None = None
) -> Response:
    """Make one HTTP request and return the whole response. Raises Unavailable when nobody answers."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection: HTTPConnection = HTTPSConnection(parts.netloc, timeout=_TIMEOUT_S, context=tls)
    else:
        connection = HTTPConnection(parts.netloc, timeout=_TIMEOUT_S)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target or "/", body=body, headers=headers)
        answer = connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    except (OSError, HTTPException) as error:
        raise Unavailable(f"Nobody answers at {parts.netloc}: {error}.") from error
    finally:
        connection.close()


class StaffApi:
    """One browser's worth of staff: a base URL, a device secret and, after ``enter``, a session."""

    def __init__(self, base_url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.session: str | None = None
        self.audience_url = ""
        self._tls = tls
        self._device = secrets.token_urlsafe(24)

    async def enter(self, token: str) -> dict[str, object]:
        """Exchange a link's token for a session."""
        answer = await self.call("POST", "/session", {"token": token, "device": self._device})
        self.session = str(answer["session"])
        self.audience_url = str(answer["audience_url"]).rstrip("/")
        return answer

    async def call(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
        """Call ``/api/v1{path}`` and return its JSON; raises ProblemError with the server's sentence."""
        headers = {"Accept": "application/json"}
        if self.session:
            headers["Authorization"] = f"Bearer {self.session}"
        payload = None if body is None else json.dumps(body).encode()
        if payload is not None:
            headers["Content-Type"] = "application/json"
        answer = await asyncio.to_thread(
            http_exchange, method, f"{self.base_url}/api/v1{path}", headers, payload, self._tls
        )
        document = json.loads(answer.body) if answer.body else {}
        if answer.status >= 400:
            raise ProblemError(
                str(document.get("detail", answer.status)), slug=_slug(document), status_code=answer.status
            )
        return document if isinstance(document, dict) else {"items": document}


def _slug(document: dict[str, object]) -> str:
    return str(document.get("type", "problem")).rsplit(":", 1)[-1]


def token_of(link: str) -> str:
    """Return the token in a link's fragment (``…#t=TOKEN``); raises BadRequest when there is none."""
    _, found, token = link.partition("#t=")
    if not found:
        raise BadRequest(f"This is not a staff link: {link.split('#')[0]}")
    return token
