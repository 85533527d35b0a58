"""What an edge asks of the replay: another package, handed in by app, because siblings do not import one another."""

from collections.abc import AsyncIterator
from typing import Protocol


class ReplayReply(Protocol):
    """An answer to a listener's request for a recording."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Headers, with Content-Length when ``body`` is an iterator whose length is known."""
        ...

    @property
    def body(self) -> bytes | AsyncIterator[bytes]:
        """The body, or what yields it."""
        ...


class ReplayDesk(Protocol):
    """Answers for ``replay.m3u8``, ``replay/…``, ``recording.*`` and ``proof.json`` of a room."""

    async def reply(self, room: str, path: str, method: str, range_header: str | None) -> ReplayReply:
        """Answer a request; ``path`` is what follows ``/r/{room}/``. Raises StentorError for problem documents."""
        ...

    async def summary(self, room: str) -> dict[str, object] | None:
        """Return the field ``replay`` of state.json, or None while there is no recording."""
        ...
