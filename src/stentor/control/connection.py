"""A connection to the staff port: uvicorn's, with the deadline for a request's head that it lacks.

Who opens a connection and says nothing, or says it byte by byte, would hold a descriptor for ever; enough of them
would keep hosts and speakers out.
"""

import asyncio
import os
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from stentor.control.lanes import LANE, Lanes

HEAD_S = 10.0
FRONTS = frozenset(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1").split(","))
"""Whose X-Forwarded-For uvicorn believes: connections of theirs are many people's."""


class StaffConnection(H11Protocol):
    """Closes the connection when a request's head is not whole ``head_s`` after the connection or its first byte.

    Between requests uvicorn's own keep-alive deadline counts; a body's is the guard's.
    """

    head_s = HEAD_S

    def __init__(self, *arguments: Any, lanes: Lanes, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._lanes = lanes
        self.app_state = {**self.app_state, LANE: self}
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override,explicit-override]  # uvicorn's
        """Begin to wait for a head; cut at once where it is one too many for its address."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if address not in FRONTS and not self._lanes.connected(self, address):
            transport.abort()
            return
        self._wait_for_head()

    def cut(self) -> None:
        """Close at once."""
        self.transport.abort()

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
        self._lanes.gone(self)
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self.transport.abort)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
