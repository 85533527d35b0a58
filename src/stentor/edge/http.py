"""Requests and responses of HTTP/1.1 (RFC 9110, RFC 9112) as plain values; the limits on what a client may send.

A ``Response`` is rendered once, when it is made: one that is kept (a playlist, a part, the page) can be written to
any number of connections as the same bytes.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from math import ceil
from urllib.parse import parse_qsl

from stentor.errors import BadRequest, StentorError

IMMUTABLE = "public, max-age=31536000, immutable"
NO_STORE = "no-store"
ONE_SECOND = "public, max-age=1"

CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Age, Date, Retry-After"}
"""On everything that a player or a page of another origin may read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how slowly a client may send. Sizes in bytes, times in seconds."""

    head_s: float = 5.0
    body_s: float = 6.0
    idle_s: float = 75.0
    hold_s: float = 6.0
    stall_s: float = 7.0
    head_bytes: int = 16_384
    headers: int = 64
    body_bytes: int = 65_536
    pipelined: int = 16
    send_buffer_bytes: int = 32_768


@dataclass(slots=True)
class Request:
    """One request. Header names are lower case; the address is the peer's, without its port."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    address: str
    keep_alive: bool
    body: bytes = b""

    @property
    def user_agent(self) -> str:
        """Return the User-Agent, or nothing."""
        return self.headers.get("user-agent", "")


class Response:
    """A status, headers and a body; ``stream`` stands in for the body of what is too large to hold.

    ``length`` is the Content-Length of a stream (None: the end of the connection is the end of the body, as for
    what is ``endless``).
    """

    __slots__ = ("_whole", "_whole_for", "body", "head", "length", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str] | list[tuple[str, str]],
        body: bytes = b"",
        *,
        stream: AsyncIterator[bytes] | None = None,
        length: int | None = None,
        endless: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.stream = stream
        self.length = len(body) if stream is None and not endless else length
        lines = [f"HTTP/1.1 {status} {_reason(status)}"]
        lines += [f"{name}: {_clean(value)}" for name, value in _pairs(headers)]
        if self.length is not None and status not in (204, 304) and status >= 200:
            lines.append(f"Content-Length: {self.length}")
        self.head = ("\r\n".join(lines) + "\r\n").encode("utf-8")
        self._whole, self._whole_for = b"", (b"", b"")

    def whole(self, date_line: bytes, connection_line: bytes) -> bytes:
        """Return all bytes of the answer; made once for all who are given it in the same second."""
        made_for = (date_line, connection_line)
        if self._whole_for != made_for:
            self._whole, self._whole_for = self.head + date_line + connection_line + self.body, made_for
        return self._whole


def _pairs(headers: Mapping[str, str] | list[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, Mapping) else headers


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _clean(value: str) -> str:
    """Return a header's value without anything that could end the line."""
    return "".join(character if character >= " " and character != "\x7f" else " " for character in value)


def json_response(value: object, *, status: int = 200, cache: str = NO_STORE) -> Response:
    """Return a value as JSON, readable from other origins."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", "Cache-Control": cache, "X-Content-Type-Options": "nosniff", **CORS}
    return Response(status, headers, body)


_SHORTLY = frozenset({"bad-directive", "no-such-rendition", "room-not-open", "nothing-new"})
"""Problems that follow from the address and the moment alone: a cache may answer a crowd with them for a second."""


def problem(error: StentorError, *, extra_headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as a problem document (RFC 9457)."""
    body = json.dumps(error.problem(), ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/problem+json",
        "Cache-Control": ONE_SECOND if error.status == 404 or error.kind in _SHORTLY else NO_STORE,
        "X-Content-Type-Options": "nosniff",
        **CORS,
        **(extra_headers or {}),
    }
    if error.status in (429, 503):
        wait_s = error.extra.get("retry_after_s", 1)
        headers.setdefault("Retry-After", str(ceil(wait_s) if isinstance(wait_s, int | float) else 1))
    if isinstance(error, NotAllowed):
        headers["Allow"] = str(error.extra["allow"])
    return Response(error.status, headers, body)


def preflight() -> Response:
    """Return the answer to OPTIONS: what another origin may do here."""
    headers = {
        "Allow": "GET, HEAD, POST, OPTIONS",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, Range",
        "Access-Control-Max-Age": "86400",
        "Cache-Control": "public, max-age=86400",
    }
    return Response(204, headers)


@dataclass(slots=True)
class RequestHead:
    """What the parser has gathered of a request so far; counts before it keeps."""

    limits: Limits
    target: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    count: int = 0
    size_bytes: int = 0

    def add_target(self, piece: bytes) -> None:
        """Add a piece of the request target."""
        self.target += piece
        self._grow(len(piece))

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a header; a repeated one is joined with a comma (RFC 9110, section 5.3)."""
        self.count += 1
        if self.count > self.limits.headers:
            raise HeadTooLarge(f"A request may have {self.limits.headers} headers at most.")
        self._grow(len(name) + len(value))
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        earlier = self.headers.get(key)
        self.headers[key] = text if earlier is None else f"{earlier}, {text}"

    def _grow(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        if self.size_bytes > self.limits.head_bytes:
            raise HeadTooLarge(f"The head of a request may have {self.limits.head_bytes} bytes at most.")

    def split_target(self) -> tuple[str, Mapping[str, str]]:
        """Return path and query. Raises BadRequest when they are not an origin-form target (RFC 9112, section 3.2)."""
        return _kept_split(self.target) if len(self.target) <= _KEPT_TARGET_BYTES else _split(self.target)


def _split(whole: bytes) -> tuple[str, Mapping[str, str]]:
    try:
        target = whole.decode("ascii")
    except UnicodeDecodeError:
        raise BadRequest("The request target is not ASCII.") from None
    if not target.startswith("/"):
        raise BadRequest("The request target must be a path.")
    path, _, query = target.partition("?")
    if not query:
        return path, {}
    try:
        return path, dict(parse_qsl(query, keep_blank_values=True, max_num_fields=16))
    except ValueError:
        raise BadRequest("The query has too many fields or is garbled.") from None


# A crowd asks for the same few things.
_KEPT_TARGET_BYTES = 256
_kept_split = lru_cache(maxsize=4_096)(_split)


class HeadTooLarge(BadRequest):
    """The request's head is over a limit."""

    status = 431
    slug = "head-too-large"


class TooSlow(BadRequest):
    """The request did not come in time."""

    status = 408
    slug = "request-timeout"


class NotAllowed(BadRequest):
    """The method is not one that this address knows."""

    status = 405
    slug = "method-not-allowed"
