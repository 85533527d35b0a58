"""Everybody who is sent the same bytes: blocks written to sockets in a loop, and nothing else per listener.

Listeners lie in 16 buckets. At step ``s``, with blocks of ``k`` steps, the buckets ``b`` with ``b % k == s % k`` get
one block: all that came since their last one, made once and written to each of their sockets. So sends are spread
over the block instead of coming in bursts, and another ``k`` moves nobody. What is to be said (state, a change of the
cadence, a ping) rides in front of the next block, in the same write.

A listener whose socket does not take a block whole falls behind: it leaves the loop, is owed the rest by its line, and
comes back once it has read that and what came meanwhile. Who does not manage within the reactor's ``stall_s`` is cut.

Of each bucket there are two: those who have kept up for a while are written to first, newcomers and those who fell
behind after them. So a rush of joins, or of listeners who do not read, costs those who were there little.
"""

import socket
from collections.abc import Callable, Iterator
from ssl import SSLWantReadError, SSLWantWriteError
from typing import Protocol

from stentor.edge.cadence import MAX_BLOCK_STEPS, Cadence
from stentor.edge.connection import Connection
from stentor.edge.metrics import Leave
from stentor.edge.reactor import Line
from stentor.edge.tally import Tally
from stentor.media.grid import Step

_BUCKETS = MAX_BLOCK_STEPS
_PROVEN_STEPS = 64
"""After this (15.4 s, longer than who does not read is kept) a newcomer is one of those who keep up."""
_RUN = 32
"""So many who come one after the other share a bucket: what the kernel holds of them lies together, and a pass over
them was measured to cost a tenth less."""
_UNEVEN = 1.25
_SLACK = 64


class Source(Protocol):
    """What makes the blocks."""

    def block(self, after: Step, upto: Step) -> bytes:
        """Return what somebody who has everything up to ``after`` needs to have everything up to ``upto``."""
        ...


class Listener:
    """One who is sent blocks: a line and a place in a bucket. Owner of the line; what it sends is dropped here."""

    __slots__ = ("answered", "bucket", "fanout", "line", "place", "position", "rehearsal")

    def __init__(self, connection: Connection, fanout: "Fanout", *, rehearsal: bool = False) -> None:
        self.line: Line = connection.hand_over(self)
        self.rehearsal = rehearsal
        self.fanout = fanout
        self.bucket: Bucket | None = None
        self.place = -1
        self.position = Step(-1)
        self.answered = 0
        self.line.owner = self
        self.line.patient = False

    def received(self, data: bytes) -> None:
        """Drop what a listener sends."""

    def drained(self) -> None:
        """Catch up with what came while the line was full."""
        self.fanout.catch_up(self)

    def lost(self) -> None:
        """Leave."""
        self.fanout.discard(self, Leave.LEFT)

    def stalled(self) -> None:
        """Be cut: what was sent 10 s ago has not been read."""
        self.fanout.cut(self, Leave.TOO_SLOW)

    def send(self, data: bytes) -> None:
        """Write to this listener alone, between two blocks."""
        self.line.send(data)
        if self.line.owed:
            self.fanout.fall_behind(self)


class Bucket:
    """Listeners who get the same blocks; ``socks`` and ``members`` run side by side, without those who are behind."""

    __slots__ = ("behind", "members", "noted", "number", "position", "proven", "proven_at", "socks")

    def __init__(self, number: int) -> None:
        self.number = number
        self.socks: list[socket.socket] = []
        self.members: list[Listener] = []
        self.behind: dict[Listener, None] = {}
        self.position = Step(-1)
        self.noted = 0
        self.proven, self.proven_at = 0, Step(0)

    def __len__(self) -> int:
        return len(self.members) + len(self.behind)

    def put(self, listener: Listener) -> None:
        """Take a listener into the loop."""
        listener.bucket, listener.place = self, len(self.members)
        self.socks.append(listener.line.sock)
        self.members.append(listener)

    def take(self, listener: Listener) -> None:
        """Take out: the last one moves to the empty place."""
        if self.behind.pop(listener, 0) is None:
            return
        place, last, sock = listener.place, self.members.pop(), self.socks.pop()
        if last is not listener:
            self.members[place], self.socks[place], last.place = last, sock, place
        listener.place = -1

    def fall_behind(self, listener: Listener) -> None:
        """Keep a listener, but out of the loop."""
        if listener not in self.behind:
            self.take(listener)
            self.behind[listener] = None


class Fanout:
    """The listeners of one output of a room."""

    def __init__(self, transport: str, source: Source, cadence: Cadence, tally: Tally) -> None:
        self.transport = transport
        self.gone: Callable[[Listener, Leave, bool], None] | None = None
        self._source = source
        self._cadence = cadence
        self._tally = tally
        self._buckets = [Bucket(number) for number in range(2 * _BUCKETS)]
        self._notes: dict[str, tuple[int, bytes]] = {}
        self.number = 0
        self.rehearsal = 0
        self._count = self._turn = 0
        self._made: dict[tuple[Step, int], bytes] = {}
        self.step = Step(-1)

    def __len__(self) -> int:
        """Return how many listen, the ``rehearsal`` ones (room/permits) included."""
        return self._count

    def __iter__(self) -> Iterator[Listener]:
        """Iterate over a copy: listeners may leave meanwhile."""
        return iter([each for bucket in self._buckets for each in (*bucket.members, *bucket.behind)])

    def behind(self) -> int:
        """Return how many have not read all that they were sent."""
        return sum(len(bucket.behind) for bucket in self._buckets)

    # Coming and going.

    def seat(self, *, fresh_only: bool = False) -> "Bucket":
        """Return the bucket for the next listener; its ``position`` is up to where their first bytes must go.

        ``fresh_only``: one that has everything, even where it is overfull: who resumes may have as much.
        """
        k = self._cadence.at(self.step) if self.step >= 0 else 1
        self._turn += 1
        fresh = max(self.step, 0) % k + k * (self._turn // _RUN % (_BUCKETS // k))
        if not fresh_only and self._together(fresh) > _UNEVEN * self._count / _BUCKETS + _SLACK:
            fresh = min(range(_BUCKETS), key=self._together)
        return self._buckets[_BUCKETS + fresh]

    def _together(self, number: int) -> int:
        return len(self._buckets[number]) + len(self._buckets[_BUCKETS + number])

    def add(self, listener: "Listener", bucket: "Bucket", first: bytes) -> None:
        """Send ``first`` to a listener now, and the bucket's blocks from then on."""
        listener.answered = self.number
        self._count += 1
        self.rehearsal += listener.rehearsal
        self._tally.joined(self.transport, rehearsal=listener.rehearsal)
        bucket.put(listener)
        listener.send(first)

    def begin(self, step: Step) -> None:
        """Go on from a step: everybody has, or is about to be given, everything up to it."""
        self.step = step
        for bucket in self._buckets:
            bucket.position = step

    def discard(self, listener: Listener, reason: Leave, *, by_will: bool = False) -> None:
        """Send no more to a listener; nothing happens when it has gone already.

        ``by_will``: it said so itself, and will not be back. ``gone`` is told, where a door wants to know.
        """
        bucket = listener.bucket
        if bucket is None:
            return
        listener.bucket = None
        bucket.take(listener)
        self._count -= 1
        self.rehearsal -= listener.rehearsal
        self._tally.left(self.transport, reason, rehearsal=listener.rehearsal)
        if self.gone is not None:
            self.gone(listener, reason, by_will)

    def cut(self, listener: Listener, reason: Leave) -> None:
        """End a listener at once."""
        self.discard(listener, reason)
        listener.line.abort()

    # Blocks.

    def advance(self, step: Step) -> None:
        """Send the buckets that are due everything up to ``step``, which must be in the source."""
        k = self._cadence.at(step)
        self.step = step
        self._made.clear()
        for bucket in self._buckets:
            if bucket.number % k == step % k or step - bucket.position >= k:
                self._send(bucket, step)
                if bucket.number >= _BUCKETS and step - bucket.proven_at >= _PROVEN_STEPS:
                    self._promote(bucket)

    def _promote(self, late: Bucket) -> None:
        """Move who was here at the last promotion to those who keep up; both buckets have just been sent the same."""
        first = self._buckets[late.number - _BUCKETS]
        for listener in late.members[: late.proven]:
            late.take(listener)
            first.put(listener)
        late.proven, late.proven_at = len(late.members), late.position

    def _send(self, bucket: Bucket, step: Step) -> None:
        block = self._block(bucket, step) if bucket.members else b""
        bucket.position, bucket.noted = step, self.number
        self._write(bucket, block)

    def _block(self, bucket: Bucket, step: Step) -> bytes:
        key = (bucket.position, bucket.noted)
        block = self._made.get(key)
        if block is None:
            block = self._made[key] = self._unsaid(bucket.noted) + self._source.block(bucket.position, step)
        return block

    def _write(self, bucket: Bucket, data: bytes) -> None:
        """Write to everybody in the loop; the bucket's position says up to where they have everything then."""
        if not bucket.members:
            return
        size = len(data)
        short: list[tuple[int, int]] = []
        for place, sock in enumerate(bucket.socks):
            try:
                sent = sock.send(data)
            except (BlockingIOError, SSLWantReadError, SSLWantWriteError):
                sent = 0
            except OSError:
                sent = -1
            if sent != size:
                short.append((place, sent))
        self._tally.sent_bytes += size * len(bucket.socks) - sum(size - max(0, sent) for _, sent in short)
        for listener, sent in [(bucket.members[place], sent) for place, sent in short]:
            if sent < 0:
                listener.line.abort()
            else:
                listener.line.owe((data,), sent)
                self.fall_behind(listener)

    def fall_behind(self, listener: Listener) -> None:
        """Leave a listener out of the loop until its line has written what it owes."""
        bucket = listener.bucket
        if bucket is not None:
            listener.position = bucket.position
            bucket.fall_behind(listener)

    def catch_up(self, listener: Listener) -> None:
        """Give a listener what came while it was behind, and take it back into the loop."""
        bucket = listener.bucket
        if bucket is None or listener not in bucket.behind:
            return
        if listener.position < bucket.position:
            block = self._unsaid(0) + self._source.block(listener.position, bucket.position)
            listener.position = bucket.position
            listener.line.send(block)
        if not listener.line.owed and not listener.line.closed:
            del bucket.behind[listener]
            self._buckets[_BUCKETS + bucket.number % _BUCKETS].put(listener)

    def complete(self, step: Step) -> None:
        """Send everybody what they lack up to the last step, due or not."""
        self._made.clear()
        self.step = step
        for bucket in self._buckets:
            if bucket.position < step:
                self._send(bucket, step)

    # What is said beside the sound.

    def note(self, kind: str, frame: bytes) -> None:
        """Have something said in front of everybody's next block; a newer word of its kind replaces it."""
        self.number += 1
        self._notes[kind] = (self.number, frame)

    def ask(self, kind: str, frame: bytes) -> int:
        """Have something asked that listeners answer, and return its number (``unanswered``)."""
        self.note(kind, frame)
        return self.number

    def unanswered(self, number: int) -> list[Listener]:
        """Return who was there when ``ask`` gave a number and has not answered it since."""
        return [each for bucket in self._buckets for each in bucket.members if each.answered < number]

    def _unsaid(self, noted: int) -> bytes:
        said = sorted(note for note in self._notes.values() if note[0] > noted)
        return b"".join(frame for _, frame in said)

    def flush(self) -> None:
        """Say now what no block has taken along."""
        for bucket in self._buckets:
            unsaid = self._unsaid(bucket.noted)
            bucket.noted = self.number
            if unsaid:
                self._write(bucket, unsaid)
