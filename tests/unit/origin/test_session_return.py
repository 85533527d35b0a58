"""Sessions that go on over another network, and packets that are asked for again."""

import pytest

from stentor.clock import SystemClock
from stentor.demo.peer import Heard, Peer
from stentor.errors import BadRequest, Unprocessable
from stentor.origin import session as session_module
from tests.fakes.moving_peer import MovingPeer
from tests.fakes.stage import fake_stage
from tests.unit.origin.test_session import join, until


async def test_who_moves_to_another_address_goes_on_in_the_same_session():
    heard: list[Heard] = []
    async with fake_stage() as stage:
        peer = MovingPeer(SystemClock(), heard.append)
        await peer.connect(await stage.post(await peer.offer()))
        await stage.connected.wait()
        (session,) = stage.sessions
        for turn, address in enumerate(("127.0.1.1", "127.0.1.2"), 1):
            await peer.unplug()
            await peer.send(b"lost")
            answer = session.restart(await peer.restart(address))
            await peer.go_on(answer)
            heard.clear()
            await peer.send(b"word %d" % turn)
            await stage.until_packets(turn)
            assert stage.packets[-1][2] == b"word %d" % turn
            await until(lambda: session._next_ice is None)
            session.send(b"mix")
            await until(lambda: heard)
            assert heard[0].payload == b"mix"
            assert len(session._agents) == 1
        assert stage.closed.empty()
        await peer.close()


async def test_an_ice_restart_that_leads_nowhere_leaves_the_connection_as_it_is(monkeypatch):
    monkeypatch.setattr(session_module, "CONNECT_DEADLINE_S", 0.2)
    async with fake_stage() as stage:
        peer = await join(stage)
        (session,) = stage.sessions
        nowhere = f"a=ice-ufrag:gone\r\na=ice-pwd:{'x' * 22}\r\na=candidate:1 1 udp 1 127.0.1.9 9 typ host\r\n"
        first = session.restart(nowhere)
        assert session.restart(nowhere) == first  # asked twice, begun once
        assert session.restart(nowhere.replace("gone", "gone2")) != first
        await until(lambda: session._next_ice is None and len(session._agents) == 1)
        await peer.send(b"frame")
        await stage.until_packets(1)
        await peer.close()


async def test_an_ice_restart_is_refused_before_the_connection_and_without_credentials():
    async with fake_stage() as stage:
        peer = Peer(SystemClock(), lambda _heard: None)
        answer = await stage.post(await peer.offer())
        (session,) = stage.sessions
        with pytest.raises(Unprocessable, match="send a new offer"):
            session.restart(f"a=ice-ufrag:abcd\r\na=ice-pwd:{'x' * 22}\r\n")
        await peer.connect(answer)
        await stage.connected.wait()
        with pytest.raises(BadRequest, match="ice-pwd"):
            session.restart("a=ice-ufrag:abcd\r\n")
        session.restart(f"a=ice-ufrag:abcd\r\na=ice-pwd:{'x' * 22}\r\n")
        await session.close("left while it restarts")
        assert set(stage.mux.sizes.values()) == {0}
        await peer.close()


async def test_lost_packets_are_asked_for_again_where_they_can_be_in_time():
    async with fake_stage() as stage:
        peer = Peer(SystemClock(), lambda _heard: None)
        offer = (await peer.offer()).replace("a=rtpmap:111", "a=rtcp-fb:111 nack\r\na=rtpmap:111")
        answer = await stage.post(offer)
        assert "a=rtcp-fb:111 nack" in answer
        await peer.connect(answer)
        await stage.connected.wait()
        (session,) = stage.sessions
        asked: list[bytes] = []
        protect = session._dtls.protect
        session._dtls.protect = lambda packet: asked.append(packet) or protect(packet)
        session._outgoing.round_trip_ms = 30.0
        for turn, patience_ms in enumerate((35.0, 60.0), 1):
            session.patience_ms = patience_ms
            await peer.send(b"frame")
            peer._sequence += 1
            await peer.send(b"frame")
            await stage.until_packets(2 * turn)
        (nack,) = [packet for packet in asked if packet[:2] == b"\x80\xc9" and b"\x81\xcd" in packet]
        at = nack.index(b"\x81\xcd")
        assert int.from_bytes(nack[at + 12 : at + 14], "big") == peer._sequence - 2
        await peer.close()
