"""Everybody who is sent the same bytes."""

from collections.abc import Callable, Iterator

from stentor.edge.connection import Connection
from stentor.edge.metrics import CUT, LISTENERS


class Fanout:
    """The listeners of one output. A listener is a connection in a dict: no task, no queue, no timer.

    What a listener has not read waits in its transport, as references to the bytes that all share. Whoever owes more
    than ``limit_bytes`` (and the burst it was given on joining) is cut: its turn does not come again, nobody waits.
    """

    def __init__(self, transport: str, limit_bytes: int, cut: Callable[[Connection], None]) -> None:
        self._listeners: dict[Connection, None] = {}
        self._limit_bytes = limit_bytes
        self._cut = cut
        self._gauge = LISTENERS.labels(transport)
        self._cut_counter = CUT.labels(transport)

    def __len__(self) -> int:
        """Return how many listen."""
        return len(self._listeners)

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over a copy: listeners may leave meanwhile."""
        return iter(tuple(self._listeners))

    def add(self, connection: Connection) -> None:
        """Send to a connection from now on."""
        self._listeners[connection] = None
        self._gauge.inc()

    def discard(self, connection: Connection) -> None:
        """Send no more to a connection; no error when it has gone already."""
        if self._listeners.pop(connection, 0) is None:
            self._gauge.dec()

    def send(self, data: bytes) -> None:
        """Write the same bytes to everybody."""
        slow = []
        for connection in self._listeners:
            transport = connection.transport
            owed = transport.get_write_buffer_size()
            if owed > self._limit_bytes + connection.burst_bytes:
                slow.append(connection)
                continue
            if not owed:
                connection.burst_bytes = 0
            transport.write(data)
        for connection in slow:
            self.discard(connection)
            self._cut_counter.inc()
            self._cut(connection)
