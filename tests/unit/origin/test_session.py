import asyncio
import contextlib
import random
import socket
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from stentor.clock import SystemClock
from stentor.demo.peer import Heard, Peer
from stentor.errors import BadRequest, NotAcceptable, TooLarge, Unavailable, Unprocessable
from stentor.origin import session as session_module
from stentor.origin.mux import UdpMux
from stentor.origin.session import MediaSession, SessionEvents
from tests.fakes.stage import FakeStage, fake_stage
from tests.unit.origin.offers import CHROMIUM, FFMPEG, VIDEO_ONLY


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("stentor_origin_datagrams_dropped_total", {"reason": reason}) or 0.0


def held() -> float:
    return REGISTRY.get_sample_value("stentor_origin_sessions") or 0.0


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def join(stage: FakeStage, direction: str = "sendrecv", heard: list[Heard] | None = None) -> Peer:
    peer = Peer(SystemClock(), (heard if heard is not None else []).append, direction)
    await peer.connect(await stage.post(await peer.offer()))
    await stage.connected.wait()
    return peer


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
        await asyncio.sleep(0.01)


async def test_voice_comes_in_and_the_mix_goes_out():
    heard: list[Heard] = []
    async with fake_stage() as stage:
        stage.on_packet = lambda session, packet: session.send(packet[2])
        peer = await join(stage, heard=heard)
        sent = [b"frame %d" % number for number in range(100)]
        for frame in sent:
            await peer.send(frame)
        await stage.until_packets(100)
        assert [payload for _, _, payload, _ in stage.packets] == sent
        numbers = [sequence for sequence, _, _, _ in stage.packets]
        assert numbers == list(range(numbers[0], numbers[0] + 100))
        stamps = [stamp for _, stamp, _, _ in stage.packets]
        assert {(later - earlier) & 0xFFFFFFFF for earlier, later in zip(stamps, stamps[1:], strict=False)} == {960}
        await until(lambda: len(heard) == 100)
        assert [each.payload for each in heard] == sent
        assert {b.timestamp - a.timestamp & 0xFFFFFFFF for a, b in zip(heard, heard[1:], strict=False)} == {960}
        (session,) = stage.sessions
        assert session.sends
        assert (session.stats().packets_received, session.stats().packets_sent) == (100, 100)
        await peer.close()
        assert await stage.closed.get() == "peer-closed"


async def test_a_peer_that_insists_on_opening_the_handshake_is_let_in():
    async with fake_stage() as stage:
        peer = Peer(SystemClock(), lambda _heard: None)
        answer = await stage.post((await peer.offer()).replace("setup:actpass", "setup:active"))
        assert "a=setup:passive" in answer
        await peer.connect(answer)
        await peer.send(b"frame")
        await stage.until_packets(1)
        await peer.close()


async def test_a_lost_handshake_packet_is_sent_again():
    async with fake_stage() as stage:
        route, lost = stage.mux.route, []

        def lossy(index, data, source):
            if 19 < data[0] < 64 and not lost:
                lost.append(data)
            else:
                route(index, data, source)

        stage.mux.route = lossy
        peer = await join(stage)
        assert lost
        await peer.send(b"frame")
        await stage.until_packets(1)
        await peer.close()


@pytest.mark.parametrize("addresses", [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "::1"), ("::1",)])
async def test_a_session_works_over_several_addresses(addresses):
    if "::1" in addresses and not Path("/proc/net/if_inet6").exists():  # noqa: ASYNC240  # not a real file
        pytest.skip("this machine has no IPv6")
    async with fake_stage(addresses) as stage:
        peer = await join(stage)
        await peer.send(b"frame")
        await stage.until_packets(1)
        await peer.close()


async def test_who_only_sends_gets_nothing_and_who_only_listens_gets_the_mix():
    heard: list[Heard] = []
    async with fake_stage() as stage:
        sender = await join(stage, "sendonly", heard)
        stage.sessions[0].send(b"mix")
        assert not stage.sessions[0].sends
        assert stage.sessions[0].stats().packets_sent == 0
        stage.connected.clear()
        listener = await join(stage, "recvonly", heard)
        stage.sessions[1].send(b"mix")
        await until(lambda: heard)
        assert [each.payload for each in heard] == [b"mix"]
        await sender.close()
        await listener.close()


async def test_close_says_goodbye_frees_everything_and_tells_the_owner_once():
    async with fake_stage() as stage:
        peer = await join(stage)
        (session,) = stage.sessions
        await session.close("removed")
        assert set(stage.mux.sizes.values()) == {0}
        await session.close("again")
        await peer.lost.wait()
        assert await stage.closed.get() == "removed"
        assert stage.closed.empty()
        session.send(b"late")
        await peer.close()


async def test_the_owners_mistakes_do_not_end_the_connection():
    def fail(session, packet):
        raise RuntimeError("the owner's mistake")

    async with fake_stage() as stage:
        stage.on_packet = fail
        peer = await join(stage)
        for _ in range(3):
            await peer.send(b"frame")
        await stage.until_packets(3)
        assert stage.sessions[0].connected
        await peer.close()


async def test_dropping_discards_what_comes_and_nothing_else():
    async with fake_stage() as stage:
        peer = await join(stage)
        (session,) = stage.sessions
        session.dropping = True
        await peer.send(b"unheard")
        await until(lambda: session.stats().packets_received == 1)
        session.dropping = False
        await peer.send(b"heard")
        await stage.until_packets(1)
        assert stage.packets[0][2] == b"heard"
        await peer.close()


async def test_we_report_the_loss_that_was():
    dice = random.Random(3)
    async with fake_stage() as stage:
        peer = await join(stage)
        route = stage.mux.route

        def lossy(index, data, source):
            if data[0] <= 127 or dice.random() > 0.2:
                route(index, data, source)

        stage.mux.route = lossy
        while not any(report.fraction_lost for report in peer.reports):
            for _ in range(10):
                await peer.send(b"frame")
            await asyncio.sleep(0.02)
        stage.mux.route = route
        assert peer.reports[-1].packets_lost > 0
        stats = stage.sessions[0].stats()
        assert 0.05 < stats.loss < 0.4
        await peer.close()


async def test_hostile_datagrams_do_not_touch_a_session():
    dice = random.Random(5)
    hello = bytes.fromhex("16fefd0000000000000000") + b"\x00\xc8\x01" + bytes(199)
    async with fake_stage() as stage:
        peer = await join(stage)
        (session,) = stage.sessions
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number in range(2_000):
                noise = dice.randbytes(dice.randrange(1, 1_400))
                for data in (noise, hello, b"\x80\x6f" + noise, b"\x00\x01\x00\x08\x21\x12\xa4\x42" + noise, b""):
                    stranger.sendto(data, ("127.0.0.1", stage.mux.port))
                if number % 50 == 0:
                    await peer.send(b"frame")
                await asyncio.sleep(0)
            stranger.sendto(bytes([22]) * 3_000, ("127.0.0.1", stage.mux.port))
        await stage.until_packets(40)
        # Everything but what its first byte makes a STUN message, and that only with our tag: the kernel keeps it out.
        assert (REGISTRY.get_sample_value("stentor_origin_datagrams_filtered") or 0) == 10_001
        assert session.connected
        assert session.stats().packets_lost == 0
        assert session._ice._queue.qsize() == 0
        await peer.close()


async def test_rubbish_from_the_speakers_own_address_does_not_end_the_session():
    dice = random.Random(6)
    async with fake_stage() as stage:
        peer = await join(stage)
        (session,) = stage.sessions
        index, source = next(iter(stage.mux._routes))
        for _ in range(300):
            stage.mux.route(
                index, bytes([dice.choice([0x80, 0x90, 0xBF])]) + dice.randbytes(dice.randrange(60)), source
            )
        for _ in range(300):
            stage.mux.route(index, bytes([22]) + dice.randbytes(dice.randrange(60)), source)
        assert session._ice._queue.qsize() <= 64
        await peer.send(b"frame")
        await stage.until_packets(1)
        assert session.connected
        await peer.close()


async def test_a_peer_with_another_certificate_is_not_let_in():
    async with fake_stage() as stage:
        peer = Peer(SystemClock(), lambda _heard: None)
        offer = (await peer.offer()).splitlines()
        wrong = "a=fingerprint:sha-256 " + ":".join(["00"] * 32)
        text = "\r\n".join(wrong if line.startswith("a=fingerprint") else line for line in offer) + "\r\n"
        answer = await stage.post(text)

        async def connect() -> None:
            with contextlib.suppress(Unavailable):
                await peer.connect(answer)

        async with asyncio.TaskGroup() as group:
            connecting = group.create_task(connect())
            assert await stage.closed.get() == "dtls-failed"
            connecting.cancel()
        assert not stage.connected.is_set()
        await peer.close()


@pytest.mark.parametrize(
    ("offer", "error"),
    [("rubbish", BadRequest), (VIDEO_ONLY, NotAcceptable), (FFMPEG + "a=x\r\n" * 20_000, TooLarge)],
)
async def test_a_refused_offer_leaves_nothing(offer, error):
    before = held()
    async with fake_stage() as stage:
        with pytest.raises(error):
            await stage.post(offer)
        assert set(stage.mux.sizes.values()) == {0}
        assert stage.closed.empty()
    assert held() == before


async def test_two_hundred_offers_that_never_connect_leave_nothing(monkeypatch):
    monkeypatch.setattr(session_module, "CONNECT_DEADLINE_S", 0.3)
    before, tasks = held(), len(asyncio.all_tasks())
    files = open_files()
    async with fake_stage() as stage:
        for number in range(200):
            await stage.post(CHROMIUM if number % 2 else FFMPEG)
            if number % 10 == 0:
                await stage.sessions[-1].close("left")
        assert stage.mux.sizes["members"] == 180
        reasons = [await stage.closed.get() for _ in range(200)]
        assert (reasons.count("connect-timeout"), reasons.count("left")) == (180, 20)
        assert set(stage.mux.sizes.values()) == {0}
    assert held() == before
    await until(lambda: len(asyncio.all_tasks()) == tasks)
    assert open_files() <= files


async def test_an_owner_that_is_cancelled_leaves_nothing():
    mux, closed = UdpMux(["127.0.0.1"]), []
    mux.open()
    session = MediaSession(mux, SystemClock(), SessionEvents(lambda *_: None, lambda: None, closed.append))
    await session.accept(CHROMIUM)
    running = asyncio.ensure_future(session.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert closed == ["cancelled"]
    assert set(mux.sizes.values()) == {0}
    mux.close()


async def test_a_session_closed_before_it_ran_leaves_nothing():
    mux, closed = UdpMux(["127.0.0.1"]), []
    session = MediaSession(mux, SystemClock(), SessionEvents(lambda *_: None, lambda: None, closed.append))
    await session.accept(CHROMIUM)
    await session.close("left")
    await session.run()
    assert closed == ["left"]
    assert set(mux.sizes.values()) == {0}
    mux.close()


async def test_the_answer_carries_advertised_addresses_first():
    mux = UdpMux(["127.0.0.1"], advertise=["203.0.113.7", "198.51.100.1:41000"])
    session = MediaSession(mux, SystemClock(), SessionEvents(lambda *_: None, lambda: None, lambda _: None))
    lines = [line for line in (await session.accept(CHROMIUM)).splitlines() if line.startswith("a=candidate:")]
    assert [line.split()[4:6] for line in lines] == [
        ["203.0.113.7", str(mux.port)],
        ["198.51.100.1", "41000"],
        ["127.0.0.1", str(mux.port)],
    ]
    await session.close("over")
    mux.close()


async def test_trickled_candidates_are_taken_for_this_generation_alone():
    async with fake_stage() as stage:
        await stage.post(FFMPEG)
        (session,) = stage.sessions
        session.add_candidates("a=ice-ufrag:9f6a12bc\r\na=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\n")
        assert [each.port for each in session._ice.remote_candidates] == [5000]
        for port in range(6_000, 6_100):
            session.add_candidates(f"a=candidate:1 1 udp 1 127.0.0.1 {port} typ host\r\n")
        assert len(session._ice.remote_candidates) == 32
        with pytest.raises(Unprocessable, match="is over"):
            session.add_candidates("a=ice-ufrag:other\r\n")


async def test_sessions_share_one_port_and_do_not_hear_each_other():
    async with fake_stage() as stage:
        peers = []
        for _ in range(5):
            stage.connected.clear()
            peers.append(await join(stage))
        voices: dict[int, set[bytes]] = {number: set() for number in range(5)}
        stage.on_packet = lambda session, packet: voices[stage.sessions.index(session)].add(packet[2])
        for number, peer in enumerate(peers):
            for _ in range(20):
                await peer.send(b"voice %d" % number)
        await stage.until_packets(100)
        assert voices == {number: {b"voice %d" % number} for number in range(5)}
        assert len({session.id for session in stage.sessions}) == 5
        assert stage.mux.sizes["members"] == 5
        for peer in peers:
            await peer.close()
