"""Documents in NATS key-value buckets: a bucket is a stream that keeps the newest message a key."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import nats.js.errors
from nats.js.api import KeyValueConfig
from nats.js.client import JetStreamContext
from nats.js.kv import KeyValue

from stentor.bus.nats_core import unavailable
from stentor.bus.nats_records import NatsRecords, Stored
from stentor.bus.port import Document
from stentor.errors import BusUnavailable

BUCKETS = ("rooms", "stages", "leases", "installation", "doors")
# How long the server keeps the mark that a lease has expired, for watchers to see.
_MARK_S = 60.0
_ATTEMPTS = 20
_PAUSE_S = 0.005


def bucket_config(bucket: str, replicas: int, lease_ttl_s: float) -> KeyValueConfig:
    """Return a bucket's settings; only leases expire."""
    if bucket == "leases":
        return KeyValueConfig(
            bucket, history=1, replicas=replicas, direct=True, ttl=lease_ttl_s, limit_marker_ttl=_MARK_S
        )
    return KeyValueConfig(bucket, history=1, replicas=replicas, direct=True)


class NatsDocuments(NatsRecords):
    """What ``bus.port.Documents`` promises."""

    _jetstream: JetStreamContext

    def _bucket(self, bucket: str) -> KeyValue:
        return KeyValue(bucket, f"KV_{bucket}", f"$KV.{bucket}.", self._jetstream, direct=True)

    async def get(self, bucket: str, key: str) -> Document | None:
        """Return a document."""
        document = await self._newest(bucket, key)
        return document if document and document.value is not None else None

    async def _newest(self, bucket: str, key: str) -> Document | None:
        """Return what is stored for a key; a deletion or the mark of an expiry has no value.

        The client's own ``get`` takes such a mark for an empty document.
        """
        prefix = f"$KV.{bucket}."
        with unavailable("get"):
            try:
                message = await self._jetstream.get_msg(f"KV_{bucket}", subject=f"{prefix}{key}", direct=True)
            except nats.js.errors.NotFoundError:
                return None
        return _document(prefix, Stored(message.seq or 0, prefix + key, message.data or b"", message.headers or {}))

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        """Store a document."""
        with unavailable("put"):
            return await self._bucket(bucket).put(key, value)

    async def create(self, bucket: str, key: str, value: bytes) -> int | None:
        """Store a document where there is none, or only the mark of one that is gone."""
        there = await self._newest(bucket, key)
        if there and there.value is not None:
            return None
        return await self.update(bucket, key, value, revision=there.revision if there else 0)

    async def update(self, bucket: str, key: str, value: bytes, *, revision: int) -> int | None:
        """Store a document over ``revision``.

        A cluster also says "wrong sequence" while another write is in flight, so the present revision is asked for.
        """
        for _ in range(_ATTEMPTS):
            with unavailable("update"), _none_when_moved():
                return await self._bucket(bucket).update(key, value, last=revision)
            there = await self._newest(bucket, key)
            if (there.revision if there else 0) != revision:
                return None
            await self._clock.sleep(_PAUSE_S)
        raise BusUnavailable(f"The document {bucket}/{key} cannot be written at the moment.")

    async def delete(self, bucket: str, key: str) -> None:
        """Delete a document."""
        with unavailable("delete"):
            await self._bucket(bucket).delete(key)

    async def watch(self, bucket: str) -> AsyncIterator[Document | None]:
        """Yield every document, one None, then each change; everything again after an outage."""
        prefix = f"$KV.{bucket}."
        complete = False
        known: set[str] = set()
        there: set[str] = set()
        async with self._bell(f"{prefix}>") as bell:

            def note(document: Document) -> Document:
                known.add(document.key)
                (there.discard if document.value is None else there.add)(document.key)
                bell.expires = bucket == "leases" and bool(there)
                return document

            while True:
                outages, after = self._outages, 0
                there.clear()
                for document in await self._whole(bucket):
                    after = max(after, document.revision)
                    if document.value is not None or document.key in known:
                        yield note(document)
                if not complete:
                    complete = True
                    yield None
                while outages == self._outages:
                    for stored in await self._next(f"KV_{bucket}", f"{prefix}>", after, bell):
                        after = stored.sequence
                        yield note(_document(prefix, stored))

    async def _whole(self, bucket: str) -> list[Document]:
        """Return every key's newest document, deletions among them; waits while the bus is away."""
        prefix = f"$KV.{bucket}."
        while True:
            try:
                stored = await self._read_all(f"KV_{bucket}", f"{prefix}>", 0, 1_000_000)
                return [_document(prefix, each) for each in stored]
            except BusUnavailable:
                if self._nats.is_closed:
                    raise
                await self._clock.sleep(0.1)


@contextmanager
def _none_when_moved() -> Iterator[None]:
    """Swallow the refusal of a conditional write."""
    with suppress(nats.js.errors.KeyWrongLastSequenceError):
        yield


def _document(prefix: str, stored: Stored) -> Document:
    gone = "KV-Operation" in stored.headers or "Nats-Marker-Reason" in stored.headers
    return Document(stored.subject.removeprefix(prefix), None if gone else stored.payload, stored.sequence)
