"""What a rehearsal is to be: who comes, how fast, for how long; and each worker's share of it."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from stentor.errors import BadRequest


class Plan(BaseModel):
    """A rehearsal, or one worker's share of it.

    ``url`` is the audience port's public address. ``push_share`` of the listeners take the push, the others LL-HLS.
    ``authority`` is a PEM of who signed the target's certificate (empty: whom this machine trusts). ``sources`` are
    local addresses to come from. ``browses``: the page's files are loaded, too, as at a first visit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    url: str
    room: str
    listeners: Annotated[int, Field(ge=1, le=1_000_000)]
    per_second: Annotated[float, Field(gt=0, le=100_000)]
    hold_s: Annotated[float, Field(ge=0, le=86_400)] = 120.0
    push_share: Annotated[float, Field(ge=0, le=1)] = 0.9
    reconnect: bool = True
    browses: bool = True
    permit: str = ""
    authority: str = ""
    sources: tuple[str, ...] = ()

    def share(self, number: int, of: int) -> Self:
        """Return what worker ``number`` (from 0) of so many does; the shares add up."""
        listeners = self.listeners // of + (number < self.listeners % of)
        sources = self.sources[number::of] or self.sources
        return self.model_copy(
            update={
                "listeners": listeners,
                "per_second": self.per_second * listeners / self.listeners,
                "sources": sources,
            }
        )


def place_of(url: str) -> tuple[str, int, bool]:
    """Return host, port and whether it is TLS, of a public address; raises BadRequest."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise BadRequest(f"{url!r} is not the address of an installation; give one like https://radio.example.org.")
    secure = parts.scheme == "https"
    return parts.hostname, parts.port or (443 if secure else 80), secure
