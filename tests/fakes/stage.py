"""A small owner of media sessions: what an origin is to them, without mixing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stentor.clock import SystemClock
from stentor.origin.mux import UdpMux
from stentor.origin.session import MediaSession, SessionEvents

Packet = tuple[int, int, bytes, int | None]


class FakeStage:
    """Answers offers on one port and remembers what happens; ``on_packet`` may do more with each packet."""

    def __init__(self, group: asyncio.TaskGroup, mux: UdpMux) -> None:
        self.group = group
        self.mux = mux
        self.clock = SystemClock()
        self.sessions: list[MediaSession] = []
        self.packets: list[Packet] = []
        self.connected = asyncio.Event()
        self.closed: asyncio.Queue[str] = asyncio.Queue()
        self.on_packet: Callable[[MediaSession, Packet], None] = lambda session, packet: None
        self._arrived = asyncio.Event()

    async def post(self, offer: str) -> str:
        """Answer an offer with a new session."""

        def heard(*packet: int | bytes | None) -> None:
            self.packets.append(packet)  # type: ignore[arg-type]  # as SessionEvents says
            self._arrived.set()
            self.on_packet(session, packet)  # type: ignore[arg-type]  # as SessionEvents says

        events = SessionEvents(heard, self.connected.set, self.closed.put_nowait)
        session = MediaSession(self.mux, self.clock, events)
        answer = await session.accept(offer)
        self.sessions.append(session)
        self.group.create_task(session.run())
        return answer

    async def delete(self) -> None:
        """End the newest session."""
        await self.sessions[-1].close("left")

    async def until_packets(self, count: int) -> None:
        """Return when that many packets have come."""
        while len(self.packets) < count:
            self._arrived.clear()
            await self._arrived.wait()


@asynccontextmanager
async def fake_stage(addresses: tuple[str, ...] = ("127.0.0.1",)) -> AsyncIterator[FakeStage]:
    """Open a port on loopback; at the end every session is closed and nothing may be left on the port."""
    mux = UdpMux(addresses)
    mux.open()
    try:
        async with asyncio.TaskGroup() as group:
            stage = FakeStage(group, mux)
            yield stage
            for session in stage.sessions:
                await session.close("over")
        assert set(mux.sizes.values()) == {0}, mux.sizes
    finally:
        mux.close()
