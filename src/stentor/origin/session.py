"""One speaker's WebRTC connection: offer and answer, ICE, DTLS, SRTP, our RTP and RTCP.

An ICE restart (RFC 8445, section 9) is a second agent on the same port: media goes on over the first one until the
second has a nominated pair, and DTLS and SRTP never notice.

Who closes whom: the owner runs ``run`` in its task group; it ends when ``close`` is called, when the peer leaves, or
when the connection is not up 10 s after it began, and then frees everything. Nothing here raises into the owner, and
nothing that a peer sends ends the session of another.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from aiortc import RTCCertificate
from prometheus_client import Gauge, Histogram

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.errors import BadRequest, MediaError, Unprocessable
from stentor.origin import rtcp, rtp, sdp
from stentor.origin.dtls import DtlsSrtp, fingerprint, process_certificate
from stentor.origin.guard import drop
from stentor.origin.ice import IceConnection
from stentor.origin.mux import UdpMux
from stentor.origin.streams import Incoming, Outgoing
from stentor.telemetry import logger

CONNECT_DEADLINE_S = 10.0
REPORT_S = 1.0
RETURN_MARGIN_MS = 10.0
"""How long before its turn a packet that is sent again must be expected, to be worth the asking."""

_SESSIONS = Gauge("stentor_origin_sessions", "WebRTC sessions that are held, connected or not")
_CONNECT_S = Histogram("stentor_origin_connect_seconds", "From the offer to a connection that carries media")
log = logger("origin")


@dataclass(frozen=True, slots=True)
class SessionEvents:
    """What the owner is told, on the event loop; none of these may block.

    ``on_packet(sequence, timestamp, payload, arrival_ns)``: an Opus payload with its extended sequence number, its
    32-bit RTP timestamp and its arrival in monotonic nanoseconds, None if it was asked for again.
    ``on_closed(reason)`` comes exactly once: ``connect-timeout``, ``dtls-failed``, ``peer-closed``, ``consent-lost``,
    ``cancelled``, ``fault``, or what ``close`` was given.
    """

    on_packet: Callable[[int, int, bytes, int | None], None]
    on_connected: Callable[[], None]
    on_closed: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SessionStats:
    """How a connection is. Losses are 0 to 1: ``loss`` of all we received, ``loss_there`` as the peer last said."""

    packets_received: int
    packets_lost: int
    loss: float
    jitter_ms: float
    packets_sent: int
    loss_there: float
    round_trip_ms: float | None
    level_dbov: int | None
    silent_ms: float


class MediaSession:
    """One connection of one speaker. ``dropping`` makes it discard what it receives (a mute that needs no owner).

    ``patience_ms`` is how long what is missing is still of use, as the owner's playout says: lost packets that can be
    here within it are asked for again (RFC 4585), where the offer allows that.

    Args:
        mux: the process's port.
        clock: arrival times, report times.
        events: the owner's callbacks.
        certificate: ours; by default the process's own.
    """

    def __init__(
        self, mux: UdpMux, clock: Clock, events: SessionEvents, *, certificate: RTCCertificate | None = None
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.dropping = False
        self.patience_ms = 0.0
        self._clock = clock
        self._events = events
        self._certificate = certificate or process_certificate()
        self._mux = mux
        self._ice = IceConnection(mux, self._received)
        self._next_ice: IceConnection | None = None
        self._agents = {self._ice}
        self._moving: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._dtls = DtlsSrtp(self._ice, self._certificate, self._transport_closed)
        self._offer: sdp.Offer | None = None
        self._incoming = Incoming(0, None)
        self._outgoing = Outgoing()
        self._began_ns = clock.monotonic_ns()
        self._alive_ns = self._began_ns
        self._reason: str | None = None
        self._ended = asyncio.Event()
        self._freed = asyncio.Event()
        self._freeing = False
        self._running = False
        _SESSIONS.inc()

    async def accept(self, offer_sdp: str) -> str:
        """Return the answer to a WHIP offer; then ``run`` must follow.

        Raises BadRequest, TooLarge or NotAcceptable; the session is freed then, and ``on_closed`` is not called.
        """
        try:
            self._offer = offer = sdp.parse_offer(offer_sdp)
            self._incoming = Incoming(offer.payload_type, offer.level_extension, offer.red_type)
            self._ice.remote_username, self._ice.remote_password = offer.ufrag, offer.password
            for candidate in offer.candidates:
                self._ice.add_remote(candidate)
            local = sdp.LocalMedia(
                session=secrets.randbits(62),
                ufrag=self._ice.local_username,
                password=self._ice.local_password,
                fingerprint=fingerprint(self._certificate),
                candidates=self._ice.candidate_lines,
                port=self._mux.port,
                ssrc=self._outgoing.ssrc,
                cname=self._outgoing.cname,
            )
            return sdp.answer(offer, local)
        except BaseException:
            self._reason = "refused"
            await self._free()
            raise

    async def run(self) -> None:
        """Connect, keep the connection, and free everything when it ends. Call it once, after ``accept``."""
        if self._freeing:
            return
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                work = group.create_task(self._work())
                await self._ended.wait()
                work.cancel()
                if self._moving is not None:
                    self._moving.cancel()
        finally:
            self._reason = self._reason or "cancelled"
            await self._free()

    def add_candidates(self, fragment: str) -> None:
        """Take trickled candidates (WHIP PATCH). Raises BadRequest, TooLarge, Unprocessable for another generation."""
        trickled = sdp.parse_fragment(fragment)
        agents = [agent for agent in (self._ice, self._next_ice) if agent is not None]
        meant = [agent for agent in agents if trickled.ufrag in (None, agent.remote_username)]
        if self._offer is None or not meant:
            raise Unprocessable("These candidates are for an ICE session that is over.", slug="no-ice-session")
        for candidate in trickled.candidates:
            meant[-1].add_remote(candidate)

    def restart(self, fragment: str) -> str:
        """Begin an ICE restart (RFC 9725, 4.3.3) and return our fragment. A newer one takes the place of an older.

        Raises BadRequest, TooLarge, or Unprocessable while there is no connection yet that could be kept.
        """
        asked = sdp.parse_fragment(fragment)
        if asked.ufrag is None or asked.password is None:
            raise BadRequest("An ICE restart needs a=ice-ufrag and a=ice-pwd.", slug="bad-sdp")
        if self._offer is None or self._group is None or not self.connected:
            raise Unprocessable(
                "There is no connection yet that could be kept: send a new offer.", slug="not-connected"
            )
        agent = self._next_ice
        if agent is None or (agent.remote_username, agent.remote_password) != (asked.ufrag, asked.password):
            if self._moving is not None:
                self._moving.cancel()
            agent = self._next_ice = IceConnection(self._mux, self._received)
            self._agents.add(agent)
            agent.remote_username, agent.remote_password = asked.ufrag, asked.password
            for candidate in asked.candidates:
                agent.add_remote(candidate)
            self._moving = self._group.create_task(self._move(agent))
        return sdp.restarted(self._offer, agent.local_username, agent.local_password, agent.candidate_lines)

    async def _move(self, agent: IceConnection) -> None:
        """Go over to the agent once it is connected; if it never is, the one before stays."""
        unused = agent
        for stale in self._agents - {self._ice, agent}:
            await stale.close()
            self._agents.discard(stale)
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await agent.connect()
            unused, self._ice = self._ice, agent
            self._dtls.follow(agent)
            log.info("ice_restarted", session=self.id[:8])
        except (TimeoutError, ConnectionError):
            log.info("ice_restart_failed", session=self.id[:8])
        finally:
            if self._next_ice is agent:
                self._next_ice = None
            await unused.close()
            self._agents.discard(unused)

    def end(self, reason: str) -> None:
        """Make ``run`` end; ``close`` for who does not wait. Nothing happens before ``run``."""
        self._end(reason)

    async def close(self, reason: str) -> None:
        """Say goodbye (RTCP BYE, DTLS close_notify) and return when everything is freed."""
        self._end(reason)
        if self._running or self._freeing:
            await self._freed.wait()
        else:
            await self._free()

    @property
    def connected(self) -> bool:
        """Tell whether media can flow."""
        return self._dtls.connected and not self._ended.is_set()

    @property
    def sends(self) -> bool:
        """Tell whether the client asked for the mix-minus."""
        return self._offer is not None and self._offer.direction is not sdp.Direction.SENDONLY

    @property
    def silent_ms(self) -> float:
        """Return milliseconds since the last packet that was surely the peer's (or since the session began)."""
        return (self._clock.monotonic_ns() - self._alive_ns) / 1e6

    def send(self, payload: bytes) -> None:
        """Send the next 20 ms of the mix-minus as one Opus frame; nothing happens unless the client wants it."""
        if self.connected and self._offer is not None and self.sends:
            now_ns = self._clock.monotonic_ns()
            self._send_protected(self._outgoing.packet(self._offer.payload_type, payload, now_ns))
        else:
            self._outgoing.skip()

    def stats(self) -> SessionStats:
        """Return how the connection is at this moment."""
        seen, sent = self._incoming.statistics, self._outgoing
        lost = max(0, seen.lost) if seen else 0
        return SessionStats(
            packets_received=seen.received if seen else 0,
            packets_lost=lost,
            loss=lost / seen.expected if seen and seen.expected else 0.0,
            jitter_ms=seen.jitter_ms if seen else 0.0,
            packets_sent=sent.packets,
            loss_there=sent.loss_there,
            round_trip_ms=sent.round_trip_ms,
            level_dbov=self._incoming.level_dbov,
            silent_ms=self.silent_ms,
        )

    async def _work(self) -> None:
        """Connect and report until cancelled; whatever goes wrong ends this session and nothing else."""
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                failure = await self._connect()
            if failure is None:
                await self._report_for_ever()
        except TimeoutError:
            failure = "connect-timeout"
        except Exception:
            log.exception("session_failed", session=self.id[:8])
            failure = "fault"
        self._end(failure or "fault")

    async def _connect(self) -> str | None:
        """Bring ICE and DTLS up; return why not, if not."""
        if self._offer is None:
            return "refused"
        try:
            await self._ice.connect()
        except ConnectionError:
            return "connect-timeout"
        up = await self._dtls.start(client=self._offer.we_are_client, fingerprints=self._offer.fingerprints)
        return None if up else "dtls-failed"

    async def _report_for_ever(self) -> None:
        self._alive_ns = self._clock.monotonic_ns()
        _CONNECT_S.observe((self._alive_ns - self._began_ns) / NS_PER_S)
        self._tell(self._events.on_connected)
        while True:
            # Spread out, so that the sessions of a room do not report in step (RFC 3550, 6.3.1).
            await self._clock.sleep(REPORT_S * (0.8 + secrets.randbelow(400) / 1_000))
            now_ns = self._clock.monotonic_ns()
            sender = self._outgoing.sender_info(now_ns, self._clock.wall_ns())
            blocks = self._incoming.blocks(now_ns)
            self._send_protected(rtcp.report(self._outgoing.ssrc, self._outgoing.cname, sender, blocks))

    def _transport_closed(self) -> None:
        self._end("consent-lost" if self._ice.closed else "peer-closed")

    def _end(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._ended.set()

    async def _free(self) -> None:
        if self._freeing:
            return
        self._freeing = True
        if self._dtls.connected:
            self._send_protected(rtcp.goodbye(self._outgoing.ssrc, self._outgoing.cname))
        try:
            await self._dtls.stop()
        finally:
            for agent in list(self._agents):
                await agent.close()
            _SESSIONS.dec()
            self._freed.set()
            if self._reason != "refused":
                self._tell(self._events.on_closed, self._reason or "")

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call the owner back; its mistakes must not end the connection."""
        try:
            callback(*arguments)
        except Exception:
            log.exception("callback_failed", session=self.id[:8])

    def _send_protected(self, packet: bytes) -> None:
        try:
            self._ice.send_now(self._dtls.protect(packet))
        except MediaError:
            drop("protect")

    def _received(self, data: bytes) -> None:
        """Take a protected packet from a validated address. Never raises."""
        if not self.connected:
            drop("early")
            return
        try:
            self._admit(data, self._mux.arrived_ns)
        except MediaError:
            drop("srtp")
        except Exception:
            drop("fault")
            log.exception("packet_failed", session=self.id[:8])

    def _admit(self, data: bytes, now_ns: MonotonicNs) -> None:
        control = rtp.is_rtcp(data)
        ssrc = int.from_bytes(data[4:8], "big") if control else rtp.ssrc_of(data)
        intake = self._incoming.intake
        if not intake.admits_datagram(ssrc, now_ns, media=not control):
            return
        plain = self._dtls.unprotect(data)
        intake.authenticated(ssrc)
        self._alive_ns = now_ns
        if control:
            said = rtcp.parse(plain)
            self._incoming.reported(said, now_ns)
            for block in said.blocks:
                self._outgoing.reported(block, self._clock.wall_ns())
            return
        for voice in self._incoming.take(plain, now_ns):
            if not self.dropping:
                arrival_ns = None if voice.asked else now_ns
                self._tell(self._events.on_packet, voice.sequence, voice.timestamp, voice.payload, arrival_ns)
        if self._incoming.holes and not self.dropping:
            self._ask_again(self._incoming.holes, ssrc)

    def _ask_again(self, holes: list[int], ssrc: int) -> None:
        """Ask for lost packets where they can be here in time."""
        trip_ms = self._outgoing.round_trip_ms
        if self._offer is None or not self._offer.nack or trip_ms is None:
            return
        if trip_ms + RETURN_MARGIN_MS < self.patience_ms:
            self._incoming.asked(holes)
            self._send_protected(rtcp.nack(self._outgoing.ssrc, self._outgoing.cname, ssrc, holes))
