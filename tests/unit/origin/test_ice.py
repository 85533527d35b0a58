import asyncio
import socket

import pytest
from aioice import stun

from stentor.origin.ice import MAX_REMOTE_CANDIDATES, IceConnection
from stentor.origin.mux import UdpMux

USER, PASSWORD = "them", "p" * 24


class StunPeer:
    """One address of a controlling peer, by hand: it checks and answers when it is told to."""

    def __init__(self, ice: IceConnection, mux: UdpMux) -> None:
        self._ice = ice
        self._target = ("127.0.0.1", mux.port)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self.address = self._sock.getsockname()

    def check(self, *, password: str | None = None, priority: bool = True) -> None:
        """Ask and nominate."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._ice.local_username}:{USER}"
        if priority:
            request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity((password or self._ice.local_password).encode())
        self._sock.sendto(bytes(request), self._target)

    async def answer(self) -> None:
        """Answer the next check that comes."""
        while True:
            data, source = await asyncio.get_running_loop().sock_recvfrom(self._sock, 2_048)
            asked = stun.parse_message(data)
            if asked.message_class is stun.Class.REQUEST:
                response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
                response.attributes["XOR-MAPPED-ADDRESS"] = source
                response.add_message_integrity(PASSWORD.encode())
                self._sock.sendto(bytes(response), source)
                return

    async def answer_all(self) -> None:
        """Answer every check, those that nobody waits for any more too."""
        while True:
            await self.answer()

    def send(self, data: bytes) -> None:
        self._sock.sendto(data, self._target)

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
async def mux():
    mux = UdpMux(["127.0.0.1"])
    mux.open()
    yield mux
    mux.close()


@pytest.fixture
async def ice(mux):
    ice = IceConnection(mux, lambda _: None)
    ice.remote_username, ice.remote_password = USER, PASSWORD
    yield ice
    await ice.close()
    assert set(mux.sizes.values()) == {0}


@pytest.fixture
async def peers(ice, mux):
    peers = [StunPeer(ice, mux) for _ in range(2)]
    yield peers
    for peer in peers:
        peer.close()


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
        await asyncio.sleep(0.01)


async def test_a_pair_that_answers_late_is_validated_too_as_the_peer_may_send_on_it(ice, mux, peers):
    first, second = peers
    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(ice.connect())
        second.check()
        await until(lambda: mux.sizes["transactions"] == 1)
        first.check()
        await first.answer()
        await connecting
        assert mux.sizes["routes"] == 1
        answering = group.create_task(second.answer_all())
        await until(lambda: mux.sizes["routes"] == 2)
        answering.cancel()
    second.send(b"\x16dtls")
    async with asyncio.timeout(5):
        assert await ice.recv() == b"\x16dtls"


async def test_two_nominations_at_once_are_both_validated(ice, mux, peers):
    async with asyncio.TaskGroup() as group:
        group.create_task(ice.connect())
        for peer in peers:
            peer.check()
            group.create_task(peer.answer())
        await until(lambda: mux.sizes["routes"] == 2)


@pytest.mark.parametrize("fault", [{"password": "wrong" * 5}, {"priority": False}])
async def test_a_check_that_is_not_the_peers_opens_nothing(ice, mux, peers, fault):
    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(ice.connect())
        peers[0].check(**fault)
        peers[0].send(b"\x16dtls")
        peers[1].check()
        await peers[1].answer()
        await connecting
    assert mux.sizes["routes"] == 1
    assert [candidate.port for candidate in ice.remote_candidates] == [peers[1].address[1]]
    assert ice._queue.empty()


async def test_a_peer_that_shows_up_from_ever_more_addresses_is_no_longer_followed(ice, mux, peers):
    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(ice.connect())
        peers[0].check()
        await peers[0].answer()
        await connecting
    for _ in range(2 * MAX_REMOTE_CANDIDATES):
        extra = StunPeer(ice, mux)
        extra.check()
        extra.close()
    peers[1].check()
    await until(lambda: len(ice.remote_candidates) == MAX_REMOTE_CANDIDATES)
    await asyncio.sleep(0)
    assert len(ice.remote_candidates) == MAX_REMOTE_CANDIDATES
