"""An HTTP/1.1 client for one place only: the audience port of the edge above (RFC 9112).

One request a connection. Heads are bounded, bodies are yielded as they come, and every wait has a deadline. https is
checked against the machine's certificate authorities, or the file that SSL_CERT_FILE names.
"""

# mypy: disable-error-code="explicit-override"
# typing.override came with Python 3.12.

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

from stentor.errors import ConfigError, Unavailable

ANSWER_S = 10.0
"""How long the head of an answer may take, connecting included."""
_READ_S = 30.0
_MAX_HEAD_BYTES = 32_768
_PIECE_BYTES = 65_536

AWAY = (OSError, EOFError, TimeoutError, UnicodeError, asyncio.LimitOverrunError)
"""What connecting and reading raise when the other side cannot be reached, has gone, or talks without an end."""


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Where the edge above is: ``https://radio.example.org`` or, in a private network, ``http://10.0.0.1:8000``."""

    url: str
    host: str
    port: int
    authority: str
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str) -> "UpstreamAddress":
        """Read an address; raises ConfigError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError(f"--upstream {url} is no address: give one such as https://radio.example.org.") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
            raise ConfigError(f"--upstream {url} is no address of an edge: give one such as https://radio.example.org.")
        tls = None
        if parts.scheme == "https":
            tls = ssl.create_default_context()
            tls.set_alpn_protocols(["http/1.1"])
        authority = parts.netloc.rpartition("@")[2]
        return cls(url, parts.hostname, port or (443 if tls else 80), authority, tls)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; raises what is in ``AWAY``."""
        return await asyncio.open_connection(self.host, self.port, ssl=self.tls, limit=_MAX_HEAD_BYTES)

    def request(self, method: str, target: str, headers: Mapping[str, str]) -> bytes:
        """Return the head of a request without a body."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.authority}", "User-Agent: stentor-edge"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(slots=True)
class Answer:
    """An answer: status, headers as they came (names keep their letters), and a body that can be read once.

    ``body`` has begun already, so that dropping it closes the connection.
    """

    status: int
    headers: list[tuple[str, str]]
    body: AsyncGenerator[bytes, None]

    def header(self, name: str) -> str:
        """Return a header's value, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    async def read(self, most_bytes: int) -> bytes:
        """Return the whole body; raises Unavailable when it is larger than ``most_bytes`` or breaks off."""
        pieces, size = [], 0
        async with aclosing(self.body) as body:
            async for piece in body:
                size += len(piece)
                if size > most_bytes:
                    raise Unavailable("The edge above sent more than was asked for.")
                pieces.append(piece)
        return b"".join(pieces)


@dataclass(slots=True)
class _Parsed:
    """What the parser (llhttp calls these) has found so far."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    in_body: bool = False
    done: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1").strip()))

    def on_headers_complete(self) -> None:
        self.in_body = True

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.done = True


async def ask(address: UpstreamAddress, method: str, target: str, headers: Mapping[str, str]) -> Answer:
    """Send a request without a body and return the answer once its head is there.

    Raises Unavailable in a sentence when there is no answer.
    """
    parsed = _Parsed()
    request = address.request(method, target, {**headers, "Connection": "close"})
    body = _exchange(address, request, parsed, empty=method == "HEAD")
    try:
        async with asyncio.timeout(ANSWER_S):
            await anext(body)
    except (*AWAY, httptools.HttpParserError) as error:
        raise Unavailable(f"The edge above does not answer ({describe(error)}).") from error
    return Answer(parsed.status, parsed.headers, body)


async def _exchange(
    address: UpstreamAddress, request: bytes, parsed: _Parsed, *, empty: bool
) -> AsyncGenerator[bytes, None]:
    """Yield nothing once the head is there, then the body piece by piece; the connection lives as long as this does."""
    async with opened(address) as (reader, writer):
        writer.write(request)
        parser = httptools.HttpResponseParser(parsed)
        size_bytes = 0
        while not parsed.in_body:
            data = await reader.read(_PIECE_BYTES)
            size_bytes += len(data)
            if not data or size_bytes > _MAX_HEAD_BYTES + _PIECE_BYTES:
                raise EOFError("it sent no whole answer")
            parser.feed_data(data)
        parsed.status = parser.get_status_code()
        yield b""
        if not empty:
            async for piece in _body(reader, parser, parsed):
                yield piece


async def _body(
    reader: asyncio.StreamReader, parser: httptools.HttpResponseParser, parsed: _Parsed
) -> AsyncIterator[bytes]:
    sized = any(name.lower() in ("content-length", "transfer-encoding") for name, _ in parsed.headers)
    try:
        while True:
            pieces, parsed.pieces = parsed.pieces, []
            for piece in pieces:
                yield piece
            if parsed.done:
                return
            async with asyncio.timeout(_READ_S):
                data = await reader.read(_PIECE_BYTES)
            if not data and not sized:
                return
            if not data:
                raise EOFError("it broke off")
            parser.feed_data(data)
    except (*AWAY, httptools.HttpParserError) as error:
        raise Unavailable(f"The edge above broke off ({describe(error)}).") from error


@asynccontextmanager
async def opened(address: UpstreamAddress) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Hold a connection inside the context; it is cut, not closed in order, on the way out."""
    reader, writer = await address.open()
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def describe(error: BaseException) -> str:
    """Return why a connection failed, as a short text."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
