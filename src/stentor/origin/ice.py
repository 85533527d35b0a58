"""ICE for one session on the shared port: aioice's agent, with our sockets and our limits.

We are always the controlled side and answer full ICE. No STUN or TURN server is ever asked, no name is ever
resolved. A datagram that is not STUN counts only from an address whose pair has succeeded.
"""

import asyncio
import secrets
import string
from collections.abc import Callable
from typing import cast

from aioice import Candidate, Connection, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol

from stentor.origin import udp_filter
from stentor.origin.guard import MAX_HANDSHAKE_BACKLOG, drop
from stentor.origin.mux import Address, Reachable, UdpMux

MAX_REMOTE_CANDIDATES = 32
_LETTERS = string.ascii_letters + string.digits


class _MuxTransport(asyncio.DatagramTransport):
    """What aioice takes for a socket of its own."""

    def __init__(self, mux: UdpMux, index: int, protocol: "MuxProtocol") -> None:
        super().__init__()
        self._mux = mux
        self._index = index
        self._protocol = protocol
        self._closed = False

    def sendto(self, data: object, addr: object = None) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        """Send one datagram."""
        self._mux.send(self._index, cast("bytes", data), cast("Address", addr))

    def close(self) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        """Give the place up; the shared socket stays open."""
        if not self._closed:
            self._closed = True
            self._mux.remove_member(self._index, self._protocol.ufrag, self._protocol)
            self._protocol.connection_lost(None)


class MuxProtocol(StunProtocol):
    """The place of one session on one socket of the port."""

    def __init__(self, receiver: "IceConnection", mux: UdpMux, index: int, local: Reachable) -> None:
        super().__init__(receiver)
        self.ufrag = receiver.local_username
        self._session = receiver
        self._mux = mux
        self.index = index
        self.local_candidate = host_candidate(local)
        self.connection_made(_MuxTransport(mux, index, self))
        mux.add_member(index, self.ufrag, self)

    def stun_received(self, data: bytes, source: Address) -> None:
        """Take a STUN message; whatever is wrong with it, it is dropped and counted."""
        try:
            message = stun.parse_message(data)
            if message.message_class == stun.Class.REQUEST:
                self._session.request_received(message, source, self)
            elif message.transaction_id in self.transactions:
                self.transactions[message.transaction_id].response_received(message, source)
        except Exception:  # noqa: BLE001  # a stranger wrote it, and aioice's parser raises more than it says
            drop("stun_broken")

    def media_received(self, data: bytes) -> None:
        """Take what a validated address has sent."""
        self._session.data_received(data, 1)

    async def request(  # type: ignore[explicit-override]  # from Python 3.12
        self,
        request: stun.Message,
        addr: Address,
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, Address]:
        """Run a transaction, known to the port while it lasts and to the kernel's filter by its tag."""
        request.transaction_id = self._mux.tag.encode() + request.transaction_id[udp_filter.TAG_BYTES :]
        self._mux.expect(request.transaction_id, self)
        try:
            return await super().request(request, addr, integrity_key, retransmissions)
        finally:
            self._mux.unexpect(request.transaction_id)

    def pair_changed(self, pair: CandidatePair) -> None:
        """Open or close the way for the pair's remote address."""
        if pair.state is CandidatePair.State.SUCCEEDED:
            self._mux.validate(self.index, pair.remote_addr, self)
        elif pair.state is CandidatePair.State.FAILED:
            self._mux.invalidate(self.index, pair.remote_addr, self)
        else:
            self._mux.expect_from(self.index, pair.remote_addr, self)


class IceConnection(Connection):
    """One session's ICE agent.

    Args:
        mux: the port.
        on_protected: takes each SRTP or SRTCP packet at once, without any queue. Must not raise.
    """

    def __init__(self, mux: UdpMux, on_protected: Callable[[bytes], None]) -> None:
        super().__init__(
            ice_controlling=False,
            local_username=mux.tag + "".join(secrets.choice(_LETTERS) for _ in range(8)),
            local_password="".join(secrets.choice(_LETTERS) for _ in range(32)),
        )
        self._mux = mux
        self._on_protected = on_protected
        self._protocols = [MuxProtocol(self, mux, index, local) for index, local in enumerate(mux.hosts)]
        self._local_candidates = [protocol.local_candidate for protocol in self._protocols]
        self._local_candidates_start = self._local_candidates_end = True

    @property
    def candidate_lines(self) -> list[str]:
        """Return our candidates for the SDP: advertised addresses first, then our own."""
        advertised = [host_candidate(reachable) for reachable in self._mux.advertised]
        return [candidate.to_sdp() for candidate in (*advertised, *self._local_candidates)]

    def add_remote(self, candidate: Candidate) -> bool:
        """Add a candidate of the peer at once; False if it has too many. The host must be an IP address."""
        if self._closing or len(self._remote_candidates) >= MAX_REMOTE_CANDIDATES:
            return False
        self._add_remote_candidate(candidate, candidate.host)
        return True

    def send_now(self, data: bytes) -> None:
        """Send on the nominated pair; nothing happens while there is none."""
        pair = self._nominated.get(1)
        if pair is not None:
            pair.protocol.transport.sendto(data, pair.remote_addr)

    @property
    def closed(self) -> bool:
        """Tell whether the agent has closed, by us or because the peer's consent ran out."""
        return self._closing

    def data_received(self, data: bytes, component: int) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        """Take a datagram of a validated address: SRTP goes on at once, DTLS waits in a bounded queue."""
        if data[0] > 127:
            self._on_protected(data)
        elif self._queue.qsize() < MAX_HANDSHAKE_BACKLOG:
            super().data_received(data, component)
        else:
            drop("handshake_full")

    def request_received(  # type: ignore[explicit-override]  # from Python 3.12
        self, message: stun.Message, addr: Address, protocol: StunProtocol
    ) -> None:
        """Take a connectivity check; one without a priority is broken (RFC 8445, 7.1.1)."""
        if "PRIORITY" in message.attributes:
            super().request_received(message, addr, protocol)
        else:
            drop("stun_broken")

    def check_incoming(  # type: ignore[explicit-override]  # from Python 3.12
        self, message: stun.Message, addr: Address, protocol: StunProtocol
    ) -> None:
        """Follow up a verified check, unless the peer shows up from ever more addresses."""
        known = any((c._network_host, c.port) == addr for c in self._remote_candidates)  # noqa: SLF001  # not public
        if known or len(self._remote_candidates) < MAX_REMOTE_CANDIDATES:
            super().check_incoming(message, addr, protocol)
        else:
            drop("candidates_full")

    async def connect(self) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        """Return once a pair is nominated, and go on checking the others.

        aioice gives the others up. But the peer may send on any pair that has succeeded for it, and may nominate
        another later; what it sends there would never pass the guard.
        """
        await super().connect()
        for pair in list(self._check_list):
            if pair.state not in (CandidatePair.State.SUCCEEDED, CandidatePair.State.FAILED):
                self._check_again(pair)

    def check_complete(self, pair: CandidatePair) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        """Follow the end of a check; pairs that the peer has nominated stay, whichever was first."""
        before = list(self._check_list)
        super().check_complete(pair)
        for other in before:
            if other.remote_nominated and other not in self._check_list:
                self._check_list.append(other)
                self._check_again(other)

    def _check_again(self, pair: CandidatePair) -> None:
        pair.task = None  # cancelled by aioice
        self.check_state(pair, CandidatePair.State.WAITING)
        self.check_start_task(pair)

    def check_state(self, pair: CandidatePair, state: CandidatePair.State) -> None:  # type: ignore[explicit-override]  # from Python 3.12
        """Follow a pair's state."""
        super().check_state(pair, state)
        if isinstance(pair.protocol, MuxProtocol):
            pair.protocol.pair_changed(pair)


def host_candidate(reachable: Reachable) -> Candidate:
    """Return a host candidate for an address of ours."""
    return Candidate(
        foundation=candidate_foundation("host", "udp", reachable.host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host"),
        host=reachable.host,
        port=reachable.port,
        type="host",
    )
