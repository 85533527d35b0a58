"""The error tree, split by what the caller can do about it.

StentorError
├── RequestError        change the request: carries an HTTP status and a slug (RFC 9457)
│   ├── BadRequest 400 · Unauthenticated 401 · Forbidden 403 · NotFound 404
│   └── NotAcceptable 406 · Conflict 409 · TooLarge 413 · Unsupported 415 · Unprocessable 422
├── Unavailable 503     try again: the bus, a store or an origin is away
│   └── BusUnavailable · StoreUnavailable · OriginUnavailable
├── Fenced              stop for good: a later epoch owns the room
├── MediaError          drop this packet, file or message and count it
└── ConfigError         the operator must mend a setting; the text says which and how
"""

from typing import ClassVar


class StentorError(Exception):
    """Root of every error that Stentor raises on purpose.

    ``detail`` is one sentence for a person and says what to do; ``slug`` is stable for programs.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"

    def __init__(self, detail: str, *, slug: str | None = None, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.kind = slug or type(self).slug
        self.extra = extra

    def problem(self) -> dict[str, object]:
        """Return the error as an RFC 9457 problem document."""
        return {
            "type": f"urn:stentor:problem:{self.kind}",
            "title": self.kind.replace("-", " "),
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }


class RequestError(StentorError):
    """The caller must change the request."""

    status = 400
    slug = "bad-request"


class BadRequest(RequestError):
    """The request cannot be understood."""


class Unauthenticated(RequestError):
    """No grant, or one that has expired or was never valid."""

    status = 401
    slug = "unauthenticated"


class Forbidden(RequestError):
    """The grant is valid and does not allow this."""

    status = 403
    slug = "forbidden"


class NotFound(RequestError):
    """There is no such room, person, rendition or file."""

    status = 404
    slug = "not-found"


class NotAcceptable(RequestError):
    """What is offered has nothing in common with what we speak."""

    status = 406
    slug = "not-acceptable"


class Conflict(RequestError):
    """The state of the room, link or resource does not allow this now."""

    status = 409
    slug = "conflict"


class TooLarge(RequestError):
    """The body is larger than the limit."""

    status = 413
    slug = "too-large"


class Unsupported(RequestError):
    """The content type is not one we read."""

    status = 415
    slug = "unsupported-media-type"


class Unprocessable(RequestError):
    """It can be read, and asks for what we do not do."""

    status = 422
    slug = "unprocessable"


class Unavailable(StentorError):
    """Something we need is away; the same request may work in a moment."""

    status = 503
    slug = "unavailable"


class BusUnavailable(Unavailable):
    """The message bus does not answer."""

    slug = "bus-unavailable"


class StoreUnavailable(Unavailable):
    """The catalogue or the object store does not answer."""

    slug = "store-unavailable"


class OriginUnavailable(Unavailable):
    """No origin runs this room at the moment."""

    slug = "origin-unavailable"


class Fenced(StentorError):
    """A later epoch owns the room; whoever holds this fence must stop."""

    status = 409
    slug = "fenced"


class MediaError(StentorError):
    """A packet, access unit, box or message is broken: drop it and count it."""

    status = 400
    slug = "media"


class ConfigError(StentorError):
    """A setting is wrong; the text names it and says how to mend it."""

    slug = "config"
