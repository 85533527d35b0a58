"""What every request passes before the app: its body's size and time, its Origin, and the access log after it.

Plain ASGI, so that long responses stream. The log names routes, never addresses with tokens or sessions in them.
"""

import asyncio
import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stentor.clock import NS_PER_S, Clock
from stentor.control.lanes import LANE, Lanes
from stentor.control.limits import TooManyRequestsError
from stentor.control.problems import document, response
from stentor.telemetry import logger

MAX_BODY_BYTES = 64 * 1024
_BODY_TIMEOUT_S = 10.0
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_WHIP = re.compile(r"/r/[^/]+/whip(/|$)")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Location, ETag, Link, Accept-Post"}

REQUESTS = Counter("stentor_control_requests_total", "Requests by route and status", ["method", "route", "status"])
DURATION = Histogram("stentor_control_request_seconds", "Time until a response began", ["route"])

log = logger("control")


class Guard:
    """ASGI middleware around the whole app. ``own_origin`` is the staff port's public origin."""

    def __init__(self, app: ASGIApp, *, clock: Clock, own_origin: str, lanes: Lanes) -> None:
        self._app = app
        self._clock = clock
        self._lanes = lanes
        self._own = urlsplit(own_origin).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_whip = bool(_WHIP.match(scope["path"]))
        begun_ns = self._clock.monotonic_ns()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**_HEADERS, **(_CORS if is_whip else {})}.items():
                    headers.setdefault(name, value)
                self._log(scope, message["status"], (self._clock.monotonic_ns() - begun_ns) / NS_PER_S)
            await send(message)

        refusal = self._too_many(scope) or (None if is_whip else self._foreign(scope))
        if refusal is None and scope["method"] in _UNSAFE:
            refusal, receive = await _read_body(scope, receive)
        await (self._app if refusal is None else response(refusal))(scope, receive, answer)

    def _too_many(self, scope: Scope) -> dict[str, object] | None:
        """Return a refusal where more is asked for than a session, or an address without one, may ask."""
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        lane = scope.get("state", {}).get(LANE)
        try:
            self._lanes.ask(lane, address_of(scope), token.strip() if scheme.lower() == "bearer" else "")
        except TooManyRequestsError as error:
            return error.problem()
        return None

    def _foreign(self, scope: Scope) -> dict[str, object] | None:
        """Return a refusal of a request that another site's page made (WHIP clients may come from anywhere)."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or scope["method"] not in _UNSAFE:
            return None
        if urlsplit(origin).netloc.lower() in {self._own, headers.get("host", "").lower()} - {""}:
            return None
        return document(403, "other-origin", "This request came from a page of another site; it is refused.")

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "name", None) or "other"
        method = scope["method"] if scope["method"] in _UNSAFE | {"GET", "HEAD", "OPTIONS"} else "other"
        REQUESTS.labels(method=method, route=route, status=str(status)).inc()
        DURATION.labels(route=route).observe(seconds)
        log.info(
            "request",
            method=method,
            route=route,
            room=scope.get("path_params", {}).get("room"),
            status=status,
            ms=round(seconds * 1000, 1),
            client=truncated(address_of(scope)),
        )


def address_of(scope: Scope) -> str:
    """Return the address of whoever asks, or an empty text."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def truncated(address: str) -> str:
    """Return the network of an address (IPv4 /24, IPv6 /48): what logs may keep."""
    try:
        version = ip_address(address).version
    except ValueError:
        return ""
    return str(ip_network(f"{address}/{24 if version == 4 else 48}", strict=False))


async def _read_body(scope: Scope, receive: Receive) -> tuple[dict[str, object] | None, Receive]:
    """Return a refusal, or the body read whole (it is small) as a new ``receive``."""
    too_large = document(413, "too-large", "This is too large: 64 kB is the most.")
    if Headers(scope=scope).get("content-length", "0").rjust(12, "0") > f"{MAX_BODY_BYTES:012d}":
        return too_large, receive
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            more = True
            while more:
                message = await receive()
                parts.append(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
                if sum(map(len, parts)) > MAX_BODY_BYTES:
                    return too_large, receive
    except TimeoutError:
        return document(408, "too-slow", "The request took longer than 10 s to arrive; send it again."), receive
    body: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def replay() -> Message:
        return body.pop() if body else await receive()

    return None, replay
