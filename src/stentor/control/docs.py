"""The API described for a person, from OpenAPI, on one page that loads nothing."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
article { border-top: 1px solid #8886; padding: .5rem 0; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
h3 { margin: .5rem 0; } dt { font-weight: 600; } dd { margin: 0 0 .25rem 1.5rem; }
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()


@router.get("/api/docs")
async def docs(request: Request) -> HTMLResponse:
    """Serve the description."""
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    return HTMLResponse(render(request.app.openapi()), headers={"Content-Security-Policy": policy})


def render(schema: dict[str, Any]) -> str:
    """Return an OpenAPI description as HTML."""
    info = schema["info"]
    operations = [
        _operation(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    shapes = [_shape(name, shape) for name, shape in sorted(schema["components"]["schemas"].items())]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style><body><main><h1>{escape(info['title'])}</h1>"
        f"{_text(info.get('description', ''))}<p>For programs: <a href='/api/v1/openapi.json'>openapi.json</a></p>"
        f"<h2>Addresses</h2>{''.join(operations)}<h2>Shapes</h2>{''.join(shapes)}</main></body></html>"
    )


def _text(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.strip().split("\n\n") if part)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    takes = [_reference(media) for media in operation.get("requestBody", {}).get("content", {}).items()]
    answers = "".join(
        f"<dt>{escape(status)}</dt><dd>{escape(answer.get('description', ''))} "
        f"{' '.join(_reference(media) for media in answer.get('content', {}).items())}</dd>"
        for status, answer in operation.get("responses", {}).items()
    )
    return (
        f"<article><h3><code>{method.upper()} {escape(path)}</code> {escape(operation.get('summary', ''))}</h3>"
        f"{_text(operation.get('description', ''))}{'<p>Takes ' + ' or '.join(takes) + '</p>' if takes else ''}"
        f"<dl>{answers}</dl></article>"
    )


def _reference(media: tuple[str, dict[str, Any]]) -> str:
    kind, content = media
    name = _name_of(content.get("schema", {}))
    return f"<a href='#{escape(name)}'><code>{escape(name)}</code></a>" if name else f"<code>{escape(kind)}</code>"


def _name_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    options = [_name_of(option) for option in schema.get("anyOf", [])]
    return next((name for name in options if name), "")


def _shape(name: str, shape: dict[str, Any]) -> str:
    required = shape.get("required", [])
    fields = "".join(
        f"<dt><code>{escape(field)}</code>{'' if field in required else ' (may be left out)'}</dt>"
        f"<dd>{escape(_kind(about))} {escape(about.get('description', ''))}</dd>"
        for field, about in shape.get("properties", {}).items()
    )
    values = ", ".join(str(value) for value in shape.get("enum", []))
    return (
        f"<article id='{escape(name)}'><h3><code>{escape(name)}</code></h3>{_text(shape.get('description', ''))}"
        f"{f'<p>One of {escape(values)}</p>' if values else ''}<dl>{fields}</dl></article>"
    )


def _kind(about: dict[str, Any]) -> str:
    if "anyOf" in about:
        return " or ".join(_kind(option) for option in about["anyOf"])
    if "enum" in about:
        return " or ".join(str(value) for value in about["enum"])
    named = _name_of(about)
    if about.get("type") == "array":
        return f"list of {_kind(about.get('items', {}))}"
    return named or str(about.get("format", about.get("type", "")))
