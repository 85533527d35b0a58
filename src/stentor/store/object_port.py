"""Objects as the rest of Stentor sees them: immutable segments, a few small documents, recordings.

One suite (tests/ports/test_objects.py) judges every implementation. Every method raises StoreUnavailable when the
store does not answer: the same call may work in a moment.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object without reading it. ``etag`` changes whenever the object does."""

    path: str
    size_bytes: int
    etag: str


class Objects(Protocol):
    """A flat store of named bytes. Paths are ``/``-separated words without ``.`` or ``..``.

    A write is atomic: readers see the whole old or the whole new object, also when the writer is killed.
    """

    async def put(self, path: str, data: bytes, *, kind: str | None = None) -> None:
        """Store an object in place of whatever was there.

        ``kind`` is the Content-Type under which a store that is a web server, too, gives it out, afresh each time.
        """
        ...

    async def create(self, path: str, data: bytes) -> bool:
        """Store an object only where there is none; return False, and change nothing, when there is one."""
        ...

    async def put_file(self, path: str, file: Path) -> None:
        """Store the content of a local file of any size, without holding it in memory."""
        ...

    async def get(self, path: str) -> bytes | None:
        """Return an object, or None when there is none."""
        ...

    async def get_range(self, path: str, *, start: int, length: int) -> bytes | None:
        """Return up to ``length`` bytes from ``start``, or None when there is no such object."""
        ...

    async def info(self, path: str) -> ObjectInfo | None:
        """Return an object's size and etag, or None when there is none."""
        ...

    def stream(self, path: str, *, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield ``length`` bytes from ``start`` in blocks of at most 1 MiB; the object must exist and be that long."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose path begins with ``prefix``, which ends with ``/``; in no particular order."""
        ...

    async def delete(self, path: str) -> None:
        """Delete an object; no error when there is none."""
        ...
