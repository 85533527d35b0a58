"""The client's end of one WebRTC connection, on aiortc's own transports and packets.

It shares no code with the origin, so that the two check each other. One Opus stream goes each way.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from aioice import Candidate, Connection
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import AnyRtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSenderInfo, RtcpSrPacket, RtpPacket
from aiortc.sdp import SessionDescription

from stentor.clock import Clock
from stentor.errors import Unavailable
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES

CONNECT_S = 5.0
PAYLOAD_TYPE = 111
_NTP_EPOCH_S = 2_208_988_800
_REPORT_PACKETS = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """One packet of the mix-minus: RTP numbers, Opus payload, arrival in monotonic nanoseconds."""

    sequence: int
    timestamp: int
    payload: bytes
    arrival_ns: int


class _LoopbackConnection(Connection):
    """An ICE agent that also has 127.0.0.1, for machines without a network."""

    async def get_component_candidates(  # type: ignore[explicit-override]  # from Python 3.12
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109  # aioice's signature
    ) -> list[Candidate]:
        """Gather host candidates."""
        return await super().get_component_candidates(component, [*addresses, "127.0.0.1"], timeout)


class _Gatherer(RTCIceGatherer):
    def __init__(self) -> None:
        super().__init__(iceServers=[])
        self._connection = _LoopbackConnection(ice_controlling=True)


class Peer:
    """One connection; make a new one to connect again.

    Args:
        clock: arrival times.
        on_heard: called with each packet of the mix-minus.
        direction: sendrecv, sendonly or recvonly, as in SDP.
    """

    def __init__(self, clock: Clock, on_heard: Callable[[Heard], None], direction: str = "sendrecv") -> None:
        self._clock = clock
        self._on_heard = on_heard
        self._direction = direction
        self._gatherer = _Gatherer()
        self._ice = RTCIceTransport(self._gatherer)
        self._certificate = RTCCertificate.generateCertificate()
        self._dtls = RTCDtlsTransport(self._ice, [self._certificate])
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(32)
        self._sent_packets = 0
        self._sent_bytes = 0
        self._statistics: tuple[int, StreamStatistics] | None = None
        self.heard_ns = clock.monotonic_ns()
        self.reports: list[RtcpReceiverInfo] = []
        self.lost = asyncio.Event()

    async def offer(self) -> str:
        """Gather candidates and return the offer."""
        await self._gatherer.gather()
        ice = self._gatherer.getLocalParameters()
        (digest,) = [each for each in self._certificate.getFingerprints() if each.algorithm == "sha-256"]
        candidates = [
            f"a=candidate:{each.foundation} 1 udp {each.priority} {each.ip} {each.port} typ {each.type}"
            for each in self._gatherer.getLocalCandidates()
        ]
        lines = [
            "v=0",
            f"o=- {secrets.randbits(62)} 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            f"m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}",
            "c=IN IP4 0.0.0.0",
            "a=mid:0",
            "a=rtcp-mux",
            f"a={self._direction}",
            f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2",
            f"a=fmtp:{PAYLOAD_TYPE} minptime=10;useinbandfec=1",
            f"a=ssrc:{self._ssrc} cname:demo",
            f"a=ice-ufrag:{ice.usernameFragment}",
            f"a=ice-pwd:{ice.password}",
            f"a=fingerprint:{digest.algorithm} {digest.value}",
            "a=setup:actpass",
            *candidates,
        ]
        return "".join(f"{line}\r\n" for line in lines)

    async def connect(self, answer: str) -> None:
        """Connect to who has answered. Raises Unavailable if that does not come about in five seconds."""
        (media, *_) = SessionDescription.parse(answer).media
        if media.ice is None or media.dtls is None:
            raise Unavailable("The stage's answer has no ICE or DTLS parameters.")
        try:
            async with asyncio.timeout(CONNECT_S):
                for candidate in media.ice_candidates:
                    await self._ice.addRemoteCandidate(candidate)
                await self._ice.addRemoteCandidate(None)
                await self._ice.start(media.ice)
                # The role in the answer is theirs: "client" for setup:active.
                self._dtls._set_role("server" if media.dtls.role == "client" else "client")  # noqa: SLF001  # no public way
                codec = RTCRtpCodecParameters("audio/opus", SAMPLE_RATE_HZ, 2, payloadType=PAYLOAD_TYPE)
                self._dtls._register_rtp_receiver(self, RTCRtpReceiveParameters(codecs=[codec]))  # noqa: SLF001  # no public way
                self._dtls._rtp_router.register_sender(self, self._ssrc)  # noqa: SLF001  # no public way
                if self._ice.state == "completed":
                    await self._dtls.start(media.dtls)
        except TimeoutError:
            pass
        if self._dtls.state != "connected":
            raise Unavailable("The stage's media port does not answer; is its UDP port open?")
        self.heard_ns = self._clock.monotonic_ns()

    async def send(self, payload: bytes) -> None:
        """Send the next 20 ms as one Opus frame, and a sender report every second."""
        packet = RtpPacket(
            payload_type=PAYLOAD_TYPE,
            marker=int(self._sent_packets == 0),
            sequence_number=self._sequence,
            timestamp=self._timestamp,
            ssrc=self._ssrc,
            payload=payload,
        )
        self._sequence = self._sequence + 1 & 0xFFFF
        self._timestamp = self._timestamp + TICK_SAMPLES & 0xFFFFFFFF
        self._sent_packets += 1
        self._sent_bytes += len(payload)
        await self._send(packet.serialize())
        if self._sent_packets % _REPORT_PACKETS == 1:
            await self._send(self._report())

    async def _send(self, data: bytes) -> None:
        try:
            await self._dtls._send_rtp(data)  # noqa: SLF001  # no public way
        except ConnectionError:
            self.lost.set()

    def _report(self) -> bytes:
        seconds, rest = divmod(self._clock.wall_ns(), 1_000_000_000)
        info = RtcpSenderInfo(
            ntp_timestamp=(seconds + _NTP_EPOCH_S) << 32 | (rest << 32) // 1_000_000_000,
            rtp_timestamp=self._timestamp,
            packet_count=self._sent_packets,
            octet_count=self._sent_bytes,
        )
        reports = []
        if self._statistics is not None:
            ssrc, seen = self._statistics
            reports = [
                RtcpReceiverInfo(
                    ssrc=ssrc,
                    fraction_lost=seen.fraction_lost,
                    packets_lost=seen.packets_lost,
                    highest_sequence=(seen.max_seq or 0) + seen.cycles,
                    jitter=seen.jitter,
                    lsr=0,
                    dlsr=0,
                )
            ]
        return bytes(RtcpSrPacket(ssrc=self._ssrc, sender_info=info, reports=reports))

    async def close(self) -> None:
        """Say close_notify and give the sockets back."""
        await self._dtls.stop()
        await self._ice.stop()

    # What aiortc's router calls.

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        del arrival_time_ms  # whole milliseconds; our own clock says it better
        self.heard_ns = self._clock.monotonic_ns()
        if self._statistics is None or self._statistics[0] != packet.ssrc:
            self._statistics = (packet.ssrc, StreamStatistics(SAMPLE_RATE_HZ))
        self._statistics[1].add(packet)
        self._on_heard(Heard(packet.sequence_number, packet.timestamp, packet.payload, self.heard_ns))

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            self.reports += [each for each in packet.reports if each.ssrc == self._ssrc]
            del self.reports[:-10]

    def _handle_disconnect(self) -> None:
        self.lost.set()
