"""The built page: read once at the start, served from memory, never by path from disk."""

import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from stentor.edge.http import IMMUTABLE, ONE_SECOND, Request, Response
from stentor.edge.state_json import Places
from stentor.telemetry import logger

_PAGE = "index.html"
_NOT_BUILT = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Stentor</title>"
    b"<p>The page is not built on this server: run <code>make setup</code>.</p></html>"
)
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
_HIDDEN = {"stage.html"}

log = logger("edge")


class StaticFiles:
    """The files of ``src/stentor/web/dist``; every variant of every file is one ready answer.

    ``index.html`` is the page of every room; what lies under ``assets/`` never changes under its name. ``.br`` and
    ``.gz`` siblings stand in for a file where the client takes them.
    """

    def __init__(self, folder: Path | None, places: Places) -> None:
        media = _origin(places.media_url)
        self._csp = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
            f"media-src 'self' blob:{media}; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'; "
            f"connect-src 'self' ws: wss:{_origin(places.staff_url)}{media}"
        )
        files = _read(folder) if folder is not None and folder.is_dir() else {}
        if _PAGE not in files:
            log.warning("page_not_built", folder=str(folder))
            files[_PAGE] = _NOT_BUILT
        self._tags: dict[str, str] = {}
        self._answers: dict[tuple[str, str, int], Response] = {}
        for name, content in files.items():
            if not name.endswith((".br", ".gz")) and name not in _HIDDEN:
                self._prepare(name, content, files)

    def page(self, request: Request, status: int = 200) -> Response:
        """Return the page that stands for every room; ``status`` is 404 when it is to say that there is none."""
        return self._answer(_PAGE, request, status)

    def file(self, request: Request) -> Response | None:
        """Return the answer for a file, or None when there is no such file."""
        name = request.path.removeprefix("/")
        return self._answer(name, request, 200) if name in self._tags and name != _PAGE else None

    def _answer(self, name: str, request: Request, status: int) -> Response:
        known = request.headers.get("if-none-match", "")
        if status == 200 and self._tags[name] in known:
            return self._answers[name, "", 304]
        accepted = request.headers.get("accept-encoding", "")
        for encoding, _ in _ENCODINGS:
            if encoding in accepted and (name, encoding, status) in self._answers:
                return self._answers[name, encoding, status]
        return self._answers[name, "", status]

    def _prepare(self, name: str, content: bytes, files: Mapping[str, bytes]) -> None:
        self._tags[name] = tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
        headers = self._headers(name) | {"ETag": f"W/{tag}"}
        self._answers[name, "", 304] = Response(304, headers)
        variants = {"": content} | {
            encoding: files[name + suffix] for encoding, suffix in _ENCODINGS if name + suffix in files
        }
        for status in (200, 404) if name == _PAGE else (200,):
            for encoding, body in variants.items():
                extra = {"Content-Encoding": encoding} if encoding else {}
                self._answers[name, encoding, status] = Response(status, headers | extra, body)

    def _headers(self, name: str) -> dict[str, str]:
        suffix = Path(name).suffix
        kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"Content-Type": kind, "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
        if suffix == ".html":
            return headers | {
                "Cache-Control": ONE_SECOND,
                "Content-Security-Policy": self._csp,
                "Referrer-Policy": "no-referrer",
            }
        immutable = name.startswith("assets/")
        return headers | {"Cache-Control": IMMUTABLE if immutable else "public, max-age=3600"}


def _origin(url: str) -> str:
    """Return the origin of an address as one more source of a policy, or nothing."""
    parts = urlsplit(url)
    return f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _read(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = ((path.relative_to(folder).as_posix(), path) for path in found)
    return {name: path.read_bytes() for name, path in names if not name.startswith(".")}
