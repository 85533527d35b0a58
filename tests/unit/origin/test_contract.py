"""What Stentor uses of aiortc and aioice below their public faces; an upgrade that moves it must fail here."""

import asyncio
import inspect

import pylibsrtp
import pytest
from aioice import Candidate, Connection, ice, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, RTCIceGatherer
from aiortc.rtcdtlstransport import RtpRouter


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (ice.StunProtocol.__init__, ["self", "receiver"]),
        (ice.StunProtocol.connection_made, ["self", "transport"]),
        (ice.StunProtocol.connection_lost, ["self", "exc"]),
        (ice.StunProtocol.request, ["self", "request", "addr", "integrity_key", "retransmissions"]),
        (stun.parse_message, ["data"]),
        (stun.Transaction.response_received, ["self", "message", "addr"]),
        (Connection.request_received, ["self", "message", "addr", "protocol"]),
        (Connection.check_incoming, ["self", "message", "addr", "protocol"]),
        (Connection.check_state, ["self", "pair", "state"]),
        (Connection.check_complete, ["self", "pair"]),
        (Connection.check_start_task, ["self", "pair"]),
        (Connection.connect, ["self"]),
        (Connection.data_received, ["self", "data", "component"]),
        (Connection._add_remote_candidate, ["self", "remote_candidate", "network_host"]),
        (Connection.get_component_candidates, ["self", "component", "addresses", "timeout"]),
        (ice.get_host_addresses, ["use_ipv4", "use_ipv6"]),
        (candidate_foundation, ["candidate_type", "candidate_transport", "base_address"]),
        (candidate_priority, ["candidate_component", "candidate_type", "local_pref"]),
        (RTCDtlsTransport.__init__, ["self", "transport", "certificates"]),
        (RTCDtlsTransport._set_role, ["self", "role"]),
        (RTCDtlsTransport.start, ["self", "remoteParameters"]),
        (RTCDtlsTransport._register_rtp_receiver, ["self", "receiver", "parameters"]),
        (RTCDtlsTransport._send_rtp, ["self", "data"]),
        (RtpRouter.register_sender, ["self", "sender", "ssrc"]),
        (pylibsrtp.Session.unprotect, ["self", "packet"]),
        (pylibsrtp.Session.unprotect_rtcp, ["self", "packet"]),
        (pylibsrtp.Session.protect, ["self", "packet"]),
        (pylibsrtp.Session.protect_rtcp, ["self", "packet"]),
    ],
)
def test_signatures(function, names):
    assert parameters(function) == names


async def test_an_agent_has_the_fields_that_we_read_and_write():
    agent = Connection(ice_controlling=False)
    assert agent._protocols == []
    assert agent._local_candidates == []
    assert agent._remote_candidates == []
    assert agent._nominated == {}
    assert agent._local_candidates_start is False
    assert agent._local_candidates_end is False
    assert agent._closing is False
    assert agent._early_checks.maxlen is not None
    agent._queue.put_nowait((b"data", 1))
    assert agent._queue.qsize() == 1
    await agent.close()
    assert agent._closing is True


async def test_adding_a_candidate_takes_its_address_and_pairs_it_at_once():
    agent = Connection(ice_controlling=False)
    agent._add_remote_candidate(Candidate("1", 1, "udp", 1, "192.0.2.1", 5_000, "host"), "192.0.2.1")
    (candidate,) = agent._remote_candidates
    assert (candidate._network_host, candidate.port) == ("192.0.2.1", 5_000)
    await agent.close()


async def test_connecting_waits_for_a_peer_that_has_no_candidates_until_it_is_closed():
    agent = Connection(ice_controlling=False)
    agent._local_candidates_end = True
    agent.remote_username, agent.remote_password = "user", "p" * 22
    connecting = asyncio.ensure_future(agent.connect())
    done, _ = await asyncio.wait({connecting}, timeout=0.1)
    assert not done
    await agent.close()
    with pytest.raises(ConnectionError):
        await connecting


async def test_a_pair_has_a_state_a_task_and_the_peers_nomination():
    agent = Connection(ice_controlling=False)
    protocol = ice.StunProtocol(agent)
    pair = ice.CandidatePair(protocol, Candidate("1", 1, "udp", 1, "192.0.2.1", 5_000, "host"))
    assert pair.task is None
    assert pair.remote_nominated is False
    assert pair.state is ice.CandidatePair.State.FROZEN
    assert pair.remote_addr == ("192.0.2.1", 5_000)
    await agent.close()


async def test_a_protocol_needs_a_transport_and_to_be_told_that_it_is_lost():
    agent = Connection(ice_controlling=False)
    protocol = ice.StunProtocol(agent)
    assert protocol.transactions == {}

    class Transport(asyncio.DatagramTransport):
        def close(self):
            protocol.connection_lost(None)

    protocol.connection_made(Transport())
    assert isinstance(protocol.transport, Transport)
    await protocol.close()
    await agent.close()


def test_a_gatherer_makes_an_agent_that_can_be_replaced():
    gatherer = RTCIceGatherer(iceServers=[])
    assert isinstance(gatherer._connection, Connection)


class _Wire:
    """Two ends of a datagram path: all that DTLS asks of an ICE transport."""

    role = "controlled"

    def __init__(self):
        self.queue = asyncio.Queue()
        self.other = None

    async def _recv(self):
        data = await self.queue.get()
        if data is None:
            raise ConnectionError
        return data

    async def _send(self, data):
        self.other.queue.put_nowait(data)


async def test_dtls_asks_for_recv_send_and_role_and_gives_two_srtp_sessions_and_a_reader():
    wires = [_Wire(), _Wire()]
    wires[0].other, wires[1].other = wires[1], wires[0]
    certificate = RTCCertificate.generateCertificate()
    (digest,) = [each for each in certificate.getFingerprints() if each.algorithm == "sha-256"]
    ends = [RTCDtlsTransport(wire, [certificate]) for wire in wires]
    assert ends[0]._rx_srtp is ends[0]._tx_srtp is ends[0]._task is None
    states = []
    ends[1].on("statechange", lambda: states.append(ends[1].state))
    ends[0]._set_role("client")
    ends[1]._set_role("server")
    trusted = RTCDtlsParameters([RTCDtlsFingerprint(digest.algorithm, digest.value)])
    async with asyncio.TaskGroup() as group:
        for end in ends:
            group.create_task(end.start(trusted))
    assert [end.state for end in ends] == ["connected", "connected"]
    packet = b"\x80\x6f" + bytes(10) + b"opus"
    assert ends[1]._rx_srtp.unprotect(ends[0]._tx_srtp.protect(packet)) == packet
    report = b"\x80\xc9\x00\x01" + bytes(4)
    assert ends[1]._rx_srtp.unprotect_rtcp(ends[0]._tx_srtp.protect_rtcp(report)) == report
    with pytest.raises(pylibsrtp.Error):
        ends[1]._rx_srtp.unprotect(packet)
    with pytest.raises(ValueError, match="too long"):
        ends[1]._rx_srtp.unprotect(bytes(1_501))
    reader = ends[1]._task
    await ends[0].stop()
    await asyncio.wait({reader})
    assert states == ["connecting", "connected", "closed"]
    await ends[1].stop()


async def test_a_wrong_fingerprint_fails_the_handshake():
    wires = [_Wire(), _Wire()]
    wires[0].other, wires[1].other = wires[1], wires[0]
    certificate = RTCCertificate.generateCertificate()
    ends = [RTCDtlsTransport(wire, [certificate]) for wire in wires]
    ends[0]._set_role("client")
    ends[1]._set_role("server")
    wrong = RTCDtlsParameters([RTCDtlsFingerprint("sha-256", ":".join(["00"] * 32))])
    async with asyncio.TaskGroup() as group:
        for end in ends:
            group.create_task(end.start(wrong))
    assert [end.state for end in ends] == ["failed", "failed"]
    for end in ends:
        await end.stop()
