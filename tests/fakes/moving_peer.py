"""A speaker whose device moves to another network: new address, same DTLS association, ICE restarted."""

import asyncio
from collections.abc import Callable
from typing import cast

from aioice import Candidate, Connection
from aiortc import RTCDtlsTransport, RTCIceTransport

from stentor.clock import Clock
from stentor.demo.peer import Heard, Peer


class _AgentAt(Connection):
    """An ICE agent on one address alone."""

    def __init__(self, address: str) -> None:
        super().__init__(ice_controlling=True)
        self._address = address

    async def get_component_candidates(  # type: ignore[explicit-override]  # from Python 3.12
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109  # aioice's signature
    ) -> list[Candidate]:
        return await super().get_component_candidates(component, [self._address], timeout)


class _Link:
    """What DTLS asks of an ICE transport, over whichever agent is the present one."""

    role = "controlling"

    def __init__(self, recv: Callable[[], object], send: Callable[[bytes], object]) -> None:
        self.recv, self.send = recv, send

    async def _recv(self) -> bytes:
        while True:
            recv = self.recv
            try:
                return await recv()  # type: ignore[misc, no-any-return]  # a coroutine function of either library
            except ConnectionError:
                if recv is self.recv:
                    raise

    async def _send(self, data: bytes) -> None:
        await self.send(data)  # type: ignore[misc]  # a coroutine function of either library


class MovingPeer(Peer):
    """A peer that can change its address in the middle of a word."""

    def __init__(self, clock: Clock, on_heard: Callable[[Heard], None]) -> None:
        super().__init__(clock, on_heard)
        self._link = _Link(self._ice._recv, self._ice._send)
        self._dtls = RTCDtlsTransport(cast("RTCIceTransport", self._link), [self._certificate])
        self._agent: _AgentAt | None = None
        self._plugged = asyncio.Event()

    async def unplug(self) -> None:
        """Lose the network: nothing goes out or comes in any more, and nobody is told."""

        self._plugged.clear()

        async def never() -> bytes:
            await self._plugged.wait()
            raise ConnectionError

        async def nowhere(data: bytes) -> None:
            del data

        self._link.recv, self._link.send = never, nowhere
        if self._agent is None:
            await self._ice.stop()
        else:
            await self._agent.close()

    async def restart(self, address: str) -> str:
        """Gather on another address and return the fragment that asks for an ICE restart."""
        self._agent = agent = _AgentAt(address)
        await agent.gather_candidates()
        candidates = "".join(f"a=candidate:{each.to_sdp()}\r\n" for each in agent.local_candidates)
        return f"a=ice-ufrag:{agent.local_username}\r\na=ice-pwd:{agent.local_password}\r\n{candidates}"

    async def go_on(self, fragment: str) -> None:
        """Connect to what the restart was answered with; sound goes on where it was."""
        agent = self._agent
        assert agent is not None, "restart() comes first"
        for line in fragment.splitlines():
            name, _, value = line.partition(":")
            if name == "a=ice-ufrag":
                agent.remote_username = value
            elif name == "a=ice-pwd":
                agent.remote_password = value
            elif name == "a=candidate":
                await agent.add_remote_candidate(Candidate.from_sdp(value))
        await agent.add_remote_candidate(None)
        await agent.connect()
        self._link.recv, self._link.send = agent.recv, agent.send
        self._plugged.set()

    async def close(self) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        await super().close()
        if self._agent is not None:
            await self._agent.close()
