"""The staff's pages: one built HTML file for every address, its assets, and nothing from anywhere else."""

from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from stentor.control.access import Using
from stentor.control.settings import ControlSettings
from stentor.errors import NotFound

router = APIRouter(include_in_schema=False)

_NOT_BUILT = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Stentor</title>"
    "<h1>The pages are not built</h1><p>Run <code>make setup</code> and start Stentor again.</p>"
)


class Assets:
    """The built page's files: their names change with their content, so they may be kept for ever."""

    def __init__(self, settings: ControlSettings) -> None:
        self._files = StaticFiles(directory=settings.web_dist / "assets", check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)["Cache-Control"] = "public, max-age=31536000, immutable"
            await send(message)

        await self._files(scope, receive, answer)


def content_security_policy(settings: ControlSettings) -> str:
    """Return what the pages may load: our own files, and sound and state from the audience's address."""
    parts = urlsplit(settings.public_url)
    audience = f"{parts.scheme}://{parts.netloc}"
    sockets = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self' {audience} {sockets}",
            f"media-src 'self' blob: {audience}",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _page(settings: ControlSettings, status: int) -> HTMLResponse:
    html = _read(settings.web_dist / "stage.html")
    headers = {
        "Content-Security-Policy": content_security_policy(settings),
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        "Cache-Control": "no-cache",
    }
    return HTMLResponse(html or _NOT_BUILT, status if html else 503, headers)


@router.get("/")
async def home(rules: Using) -> HTMLResponse:
    """Serve the operators' page."""
    return _page(rules.parts.settings, 200)


@router.get("/r/{room}")
async def room_page(room: str, rules: Using) -> HTMLResponse:
    """Serve a room's page; of an unknown room the same page with 404, and it says so."""
    try:
        await rules.rooms.get(room)
    except NotFound:
        return _page(rules.parts.settings, 404)
    return _page(rules.parts.settings, 200)
