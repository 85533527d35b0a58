"""A connection to the staff port: uvicorn's, with the deadline for a request's head that it lacks.

Who opens a connection and says nothing, or says it byte by byte, would hold a descriptor for ever; enough of them
would keep hosts and speakers out.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0


class StaffConnection(H11Protocol):
    """Closes the connection when a request's head is not whole ``head_s`` after the connection or its first byte.

    Between requests uvicorn's own keep-alive deadline counts; a body's is the guard's.
    """

    head_s = HEAD_S

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override,explicit-override]  # uvicorn's
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12
        """Take bytes; a head that has begun keeps its deadline until it is whole."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()
        else:
            self._head_came()

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12
        """Forget the deadline."""
        self._head_came()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self.transport.abort)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
