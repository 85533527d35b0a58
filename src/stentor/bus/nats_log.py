"""The log on JetStream: one stream for all rooms, fenced by each room's epoch subject.

Every record carries "the last sequence on room.R.epoch is E". The server refuses it (10071) as soon as a later epoch
is claimed, whatever its writer believes, and acknowledges a repeated message id as a duplicate.
"""

import json
import secrets
from collections.abc import AsyncIterator

import nats.js.errors
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

from stentor.bus.nats_core import AWAY, describe, unavailable
from stentor.bus.nats_records import NatsRecords
from stentor.bus.port import Fence, Record
from stentor.errors import BusUnavailable, Fenced

STREAM = "LOG"
_DEDUP_WINDOW_S = 120.0
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_EXPECTED_ON = "Nats-Expected-Last-Subject-Sequence-Subject"
_WRONG_LAST_SEQUENCE = 10071
# A cluster refuses for a moment while another record under the same fence is in flight.
_IN_FLIGHT = 10164
_IN_FLIGHT_PAUSE_S = 0.005
_ATTEMPTS = 20


def stream_config(replicas: int) -> StreamConfig:
    """Return the log's stream: nothing ages out, and a full disk refuses new records instead of losing old ones."""
    return StreamConfig(
        name=STREAM,
        subjects=["room.>"],
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        duplicate_window=_DEDUP_WINDOW_S,
        allow_direct=True,
        num_replicas=replicas,
    )


class NatsLog(NatsRecords):
    """What ``bus.port.Log`` promises."""

    _jetstream: JetStreamContext

    async def claim(self, room: str, note: bytes) -> Fence:
        """Publish the next epoch over the one that was read; of two rivals the server takes one."""
        subject = f"room.{room}.epoch"
        ours = secrets.token_hex(8)
        with unavailable("claim"):
            for _ in range(_ATTEMPTS):
                epoch, sequence, _ = await self._newest_epoch(subject)
                body = json.dumps({"epoch": epoch + 1, "claim": ours, "note": note.decode()}).encode()
                try:
                    acked = await self._jetstream.publish(subject, body, headers={_EXPECTED: str(sequence)})
                    return Fence(room, epoch + 1, acked.seq)
                except nats.js.errors.APIError as error:
                    if error.err_code not in (_WRONG_LAST_SEQUENCE, _IN_FLIGHT):
                        raise
                except AWAY as error:
                    # It may be stored although nobody told us.
                    epoch, sequence, claim = await self._newest_epoch(subject)
                    if claim == ours:
                        return Fence(room, epoch, sequence)
                    raise BusUnavailable(f"The log does not take the claim ({describe(error)}).") from error
                await self._clock.sleep(_IN_FLIGHT_PAUSE_S)
        raise BusUnavailable(f"Too many origins claim room {room} at once.")

    async def _newest_epoch(self, subject: str) -> tuple[int, int, str]:
        """Return (epoch, sequence, claim) as the stream's leader knows it; zeros where there is none."""
        try:
            message = await self._jetstream.get_msg(STREAM, subject=subject)
        except nats.js.errors.NotFoundError:
            return 0, 0, ""
        body = json.loads(message.data or b"{}")
        return int(body["epoch"]), message.seq or 0, str(body.get("claim", ""))

    async def append(self, fence: Fence, subject: str, message_id: str, payload: bytes) -> int:
        """Publish with fence and message id, and wait for the acknowledgement."""
        for _ in range(_ATTEMPTS):
            # The client changes the headers it is given: each attempt gets its own.
            headers = {
                _EXPECTED: str(fence.sequence),
                _EXPECTED_ON: f"room.{fence.room}.epoch",
                "Nats-Msg-Id": message_id,
            }
            try:
                return (await self._jetstream.publish(subject, payload, headers=headers)).seq
            except nats.js.errors.APIError as error:
                if error.err_code == _WRONG_LAST_SEQUENCE:
                    raise Fenced(f"A later epoch than {fence.epoch} owns room {fence.room}.") from error
                if error.err_code != _IN_FLIGHT:
                    raise BusUnavailable(f"The log does not take records: {describe(error)}.") from error
            except AWAY as error:
                raise BusUnavailable(f"The log does not answer ({describe(error)}).") from error
            await self._clock.sleep(_IN_FLIGHT_PAUSE_S)
        raise BusUnavailable("The log is busy with another record of this room.")

    async def last(self, subject: str) -> Record | None:
        """Return the newest record of a subject, as the leader knows it."""
        with unavailable("last"):
            try:
                message = await self._jetstream.get_msg(STREAM, subject=subject)
            except nats.js.errors.NotFoundError:
                return None
        return Record(message.seq or 0, subject, message.data or b"")

    async def read(self, subject: str, *, after: int, limit: int) -> list[Record]:
        """Return matching records in order."""
        stored = await self._read_all(STREAM, subject, after, limit)
        return [Record(each.sequence, each.subject, each.payload) for each in stored]

    async def follow(self, subject: str, *, after: int) -> AsyncIterator[Record]:
        """Yield matching records for ever; see nats_records."""
        async with self._bell(subject) as bell:
            while True:
                for each in await self._next(STREAM, subject, after, bell):
                    after = each.sequence
                    yield Record(each.sequence, each.subject, each.payload)

    async def purge(self, room: str) -> None:
        """Purge chunks and events first, so that the epoch guards them to the end."""
        with unavailable("purge"):
            for subject in (f"room.{room}.chunk.*", f"room.{room}.event", f"room.{room}.>"):
                await self._jetstream.purge_stream(STREAM, subject=subject)
