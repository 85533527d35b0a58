"""A speaker without a browser: a real WebRTC client for the demo, tests and benches.

It joins by WHIP (RFC 9725), says what a source of samples gives it, hands over what it hears, and joins again by
itself when the connection is lost.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urljoin

import numpy as np
from numpy.typing import NDArray

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.demo.peer import Heard, Peer
from stentor.demo.staff_api import ProblemError, http_exchange
from stentor.errors import Unavailable
from stentor.media.encoder import OpusEncoder
from stentor.telemetry import logger

TICK_NS = 20_000_000
SILENT_NS = NS_PER_S
_RETRIES_S = (0.1, 0.2, 0.4, 0.8, 1.0)

Pcm = NDArray[np.float32]
log = logger("demo")


class Signalling(Protocol):
    """How offers reach the stage: over HTTP (``HttpWhip``), or directly in tests."""

    async def post(self, offer: str) -> str:
        """Return the answer. Raises Unavailable to be asked again, any other StentorError to give up."""
        ...

    async def delete(self) -> None:
        """End the session that was answered last."""
        ...


class HttpWhip:
    """WHIP over HTTP or HTTPS.

    Args:
        url: the endpoint, ``…/r/{room}/whip``.
        token: the bearer: a link's token or a session.
        tls: how to trust the server, where the system's certificates do not do.
    """

    def __init__(self, url: str, token: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._tls = tls
        self._resource: str | None = None

    async def post(self, offer: str) -> str:
        """POST the offer. Raises Unavailable for 5xx and when nobody answers, ProblemError for 4xx."""
        headers = {**self._headers, "Content-Type": "application/sdp"}
        answer = await asyncio.to_thread(http_exchange, "POST", self._url, headers, offer.encode(), self._tls)
        if answer.status >= 500:
            raise Unavailable(f"The stage answered {answer.status}.")
        if answer.status != 201:
            raise ProblemError(answer.body.decode(errors="replace")[:500], status_code=answer.status)
        self._resource = urljoin(self._url, answer.headers.get("location", ""))
        return answer.body.decode()

    async def delete(self) -> None:
        """DELETE the session, if there is one; who is not there any more cannot be told."""
        if self._resource is None:
            return
        resource, self._resource = self._resource, None
        try:
            await asyncio.to_thread(http_exchange, "DELETE", resource, self._headers, None, self._tls)
        except Unavailable:
            log.info("leave_unheard", url=self._url)


@dataclass(frozen=True, slots=True)
class SpeakerEvents:
    """What the owner is told: the mix-minus, packet by packet; each (re)connection; each loss of one."""

    on_heard: Callable[[Heard], None] = lambda _heard: None
    on_connected: Callable[[], None] = lambda: None
    on_lost: Callable[[], None] = lambda: None


class WhipSpeaker:
    """One synthetic speaker.

    Args:
        signalling: the way to the stage.
        source: called once every 20 ms while connected; (1, 960) float32 at 48 kHz, or a ready Opus packet.
        clock: paces the ticks.
        events: the owner's callbacks.
        direction: sendrecv, or sendonly for a client that hears nothing.
    """

    def __init__(
        self,
        signalling: Signalling,
        source: Callable[[], Pcm | bytes],
        clock: Clock,
        events: SpeakerEvents | None = None,
        *,
        direction: str = "sendrecv",
    ) -> None:
        self._signalling = signalling
        self._source = source
        self._clock = clock
        self._events = events or SpeakerEvents()
        self._direction = direction
        self._encoder = OpusEncoder()
        self._leaving = asyncio.Event()
        self.connected = asyncio.Event()
        self.connections = 0
        self.peer: Peer | None = None

    async def run(self) -> None:
        """Speak until ``leave`` or cancelled; reconnect as often as needed. Raises ProblemError when refused."""
        attempt = 0
        while not self._leaving.is_set():
            peer = Peer(self._clock, self._events.on_heard, self._direction)
            try:
                await peer.connect(await self._signalling.post(await peer.offer()))
                attempt = 0
                self.connections += 1
                self.peer = peer
                self.connected.set()
                self._events.on_connected()
                await self._speak(peer)
                if self._leaving.is_set():
                    await self._signalling.delete()
            except Unavailable as error:
                log.info("not_connected", reason=error.detail)
            finally:
                was_connected = self.connected.is_set()
                self.connected.clear()
                self.peer = None
                await peer.close()
            if self._leaving.is_set():
                break
            if was_connected:
                self._events.on_lost()
            await self._clock.sleep(_RETRIES_S[min(attempt, len(_RETRIES_S) - 1)])
            attempt += 1

    async def _speak(self, peer: Peer) -> None:
        """Send a frame every 20 ms until we leave or hear nothing for a second."""
        due = self._clock.monotonic_ns()
        while not self._leaving.is_set() and not peer.lost.is_set():
            now = self._clock.monotonic_ns()
            if self._direction != "sendonly" and now - peer.heard_ns > SILENT_NS:
                return
            if now - due > NS_PER_S:
                due = now  # we were stopped; what we had not said is not said late
            frame = self._source()
            await peer.send(frame if isinstance(frame, bytes) else self._encoder.encode(frame))
            due = MonotonicNs(due + TICK_NS)
            await self._clock.sleep_until(due)

    def leave(self) -> None:
        """Make ``run`` end the session (DELETE) and return."""
        self._leaving.set()
