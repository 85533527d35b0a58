"""Objects in a local directory, in an S3-compatible store, or in memory, all by way of obstore."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from stentor.errors import ConfigError, StoreUnavailable
from stentor.store.object_port import ObjectInfo

_BLOCK_BYTES = 1 << 20
_MISSING = (FileNotFoundError, NotFoundError)
_S3_OPTIONS = frozenset({"endpoint", "region"})


def open_objects(url: str) -> "ObstoreObjects":
    """Return the object store that ``url`` names. Raises ConfigError.

    A path or ``file:///path`` is a directory, made when it is not there; ``memory:`` forgets everything at the end;
    ``s3://bucket/prefix?endpoint=https://host&region=name`` is any S3-compatible store, its credentials from the
    environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``).
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "memory":
            return ObstoreObjects(MemoryStore())
        if parts.scheme == "s3":
            return ObstoreObjects(_s3(parts.netloc, parts.path.strip("/"), dict(parse_qsl(parts.query))))
        if parts.scheme in ("", "file"):
            return ObstoreObjects(LocalStore(Path(parts.path or ".").absolute(), mkdir=True))
    except (BaseError, OSError, ValueError) as error:
        raise ConfigError(f"The object store {_shown(url)} cannot be opened: {error}. Check the address.") from error
    raise ConfigError(
        f"The object store {_shown(url)} is of no kind we know. Use a directory, or s3://bucket/prefix?endpoint=URL."
    )


def _shown(url: str) -> str:
    return url.partition("?")[0]


def _s3(bucket: str, prefix: str, options: dict[str, str]) -> ObjectStore:
    unknown = options.keys() - _S3_OPTIONS
    if unknown or not bucket:
        raise ValueError(f"it needs a bucket and takes only endpoint and region, not {', '.join(sorted(unknown))}")
    endpoint = options.get("endpoint")
    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=endpoint,
        region=options.get("region", "us-east-1"),
        virtual_hosted_style_request=endpoint is None,
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
    )


@contextmanager
def _away() -> Iterator[None]:
    """Turn whatever the driver raises into StoreUnavailable, but let the missing and the taken through."""
    try:
        yield
    except (AlreadyExistsError, *_MISSING):
        raise
    except (BaseError, OSError) as error:
        raise StoreUnavailable(f"The object store does not answer: {error}") from error


class ObstoreObjects:
    """``Objects`` over any store of obstore. A directory's own atomicity is a temporary file and a rename."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, path: str, data: bytes, *, kind: str | None = None) -> None:
        """Store an object in place of whatever was there. A directory keeps no ``kind``."""
        attributes: obstore.Attributes | None = None
        if kind is not None and not isinstance(self._store, LocalStore):
            attributes = {"Content-Type": kind, "Cache-Control": "public, max-age=5"}
        with _away():
            await obstore.put_async(self._store, path, data, attributes=attributes)

    async def create(self, path: str, data: bytes) -> bool:
        """Store an object only where there is none."""
        try:
            with _away():
                await obstore.put_async(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    async def put_file(self, path: str, file: Path) -> None:
        """Store a local file, in parts when it is large."""
        with _away():
            await obstore.put_async(self._store, path, file)

    async def get(self, path: str) -> bytes | None:
        """Return an object, or None."""
        try:
            with _away():
                found = await obstore.get_async(self._store, path)
                return bytes(await found.bytes_async())
        except _MISSING:
            return None

    async def get_range(self, path: str, *, start: int, length: int) -> bytes | None:
        """Return part of an object, or None."""
        try:
            with _away():
                return bytes(await obstore.get_range_async(self._store, path, start=start, length=length))
        except _MISSING:
            return None

    async def info(self, path: str) -> ObjectInfo | None:
        """Return size and etag, or None."""
        try:
            with _away():
                return _info(await obstore.head_async(self._store, path))
        except _MISSING:
            return None

    async def stream(self, path: str, *, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield a range in blocks, one request a block, so that a slow reader holds nothing open."""
        at, end = start, start + length
        while at < end:
            block = await self.get_range(path, start=at, length=min(_BLOCK_BYTES, end - at))
            if not block:
                raise StoreUnavailable(f"The object {path} ended early.")
            at += len(block)
            yield block

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects under a prefix."""
        with _away():
            async for batch in obstore.list(self._store, prefix, chunk_size=1000):
                for meta in batch:
                    yield _info(meta)

    async def delete(self, path: str) -> None:
        """Delete an object."""
        try:
            with _away():
                await obstore.delete_async(self._store, path)
        except _MISSING:
            return


def _info(meta: "obstore.ObjectMeta") -> ObjectInfo:
    etag = meta["e_tag"] or f"{meta['size']}-{meta['last_modified'].timestamp()}"
    return ObjectInfo(path=meta["path"], size_bytes=meta["size"], etag=etag.strip('"'))
