"""Pages without JavaScript as responses, and problems as whoever asks can read them: in words, or as JSON."""

from stentor.edge.http import NO_STORE, NotAllowed, Request, Response, problem
from stentor.errors import StentorError
from stentor.plain.page import Frame
from stentor.plain.problem import problem_page
from stentor.plain.style import POLICY
from stentor.plain.words import Words, wanted_language

_AGAIN_S = 5
_COME_AGAIN = frozenset({429, 503})


def language_of(request: Request) -> tuple[str | None, str]:
    """Return the language that the address asks for, if it does, and the one to answer in."""
    asked = request.query.get("lang")
    language = wanted_language(asked, request.headers.get("accept-language", ""))
    return (asked if asked == language else None), language


def html_response(status: int, body: bytes, *, cache: str = NO_STORE, extra: dict[str, str] | None = None) -> Response:
    """Return a page without JavaScript."""
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": cache,
        "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept, Accept-Encoding, Accept-Language",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(status, headers | (extra or {}), body)


def reads_pages(request: Request) -> bool:
    """Tell whether a person with a browser asks for something to look at; players and scripts do not ask for HTML."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def refusal(request: Request, error: StentorError) -> Response:
    """Return a problem as whoever asks can read it: a page for browsers, else a problem document (RFC 9457)."""
    if not reads_pages(request):
        return problem(error)
    asked, language = language_of(request)
    again_s = None
    extra = {}
    if error.status in _COME_AGAIN:
        told = error.extra.get("retry_after_s")
        again_s = max(1, round(told)) if isinstance(told, int | float) else _AGAIN_S
        extra["Retry-After"] = str(again_s)
    if isinstance(error, NotAllowed):
        extra["Allow"] = str(error.extra["allow"])
    room = request.path.split("/")[2] if request.path.startswith("/r/") else None
    frame = Frame(request.path, request.query, None if error.kind == "door" else again_s, asked)
    body = problem_page(error.problem(), Words(language), frame, room=room or None)
    return html_response(error.status, body, extra=extra)
