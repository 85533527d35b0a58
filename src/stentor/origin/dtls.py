"""DTLS and SRTP for one session: aiortc's handshake, our own packets.

aiortc's transport does the handshake, checks the peer's fingerprint and derives the keys. Protected packets never
pass through it: they are opened and closed here, synchronously.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import cast

import pylibsrtp
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport

from stentor.errors import MediaError
from stentor.origin.ice import IceConnection
from stentor.origin.rtp import MAX_PACKET_BYTES, is_rtcp


@lru_cache(maxsize=1)
def process_certificate() -> RTCCertificate:
    """Return this process's certificate (ECDSA, P-256), made at the first call and shared by all its sessions."""
    return RTCCertificate.generateCertificate()


def fingerprint(certificate: RTCCertificate) -> str:
    """Return the certificate's SHA-256 as it stands in SDP: ``sha-256 AB:CD:…``."""
    (found,) = [each for each in certificate.getFingerprints() if each.algorithm == "sha-256"]
    return f"{found.algorithm} {found.value}"


class _Link:
    """All that aiortc's DTLS transport asks of an ICE transport, over the agent of the present ICE generation."""

    role = "controlled"

    def __init__(self, ice: IceConnection) -> None:
        self.ice = ice

    async def _recv(self) -> bytes:
        while True:
            ice = self.ice
            try:
                return await ice.recv()
            except ConnectionError:
                if ice is self.ice:
                    raise

    async def _send(self, data: bytes) -> None:
        await self.ice.send(data)


class DtlsSrtp:
    """One session's DTLS association and SRTP keys.

    Args:
        ice: the connected agent.
        certificate: ours.
        on_closed: called when the association has ended by the peer's wish or with ICE; ``start`` tells of a failure.
    """

    def __init__(self, ice: IceConnection, certificate: RTCCertificate, on_closed: Callable[[], None]) -> None:
        self._link = _Link(ice)
        self._dtls = RTCDtlsTransport(cast("RTCIceTransport", self._link), [certificate])
        self._on_closed = on_closed
        self._dtls.on("statechange", self._state_changed)

    @property
    def connected(self) -> bool:
        """Tell whether packets can be protected."""
        return self._dtls.state == "connected"

    async def start(self, *, client: bool, fingerprints: Sequence[tuple[str, str]]) -> bool:
        """Shake hands as client or server; return whether the peer is who its SDP says.

        ``fingerprints`` are (algorithm, value) pairs of the peer's certificate.
        """
        self._dtls._set_role("client" if client else "server")  # noqa: SLF001  # pinned by test_contract
        parameters = RTCDtlsParameters([RTCDtlsFingerprint(algorithm, value) for algorithm, value in fingerprints])
        await self._dtls.start(parameters)
        return self.connected

    def follow(self, ice: IceConnection) -> None:
        """Go on over the agent of an ICE restart; the one before it may be closed then. Keys and counters stay."""
        self._link.ice = ice

    def protect(self, packet: bytes) -> bytes:
        """Return an RTP or RTCP packet of ours, encrypted. Raises MediaError."""
        session = self._dtls._tx_srtp  # noqa: SLF001  # pinned by test_contract
        try:
            protect = session.protect_rtcp if is_rtcp(packet) else session.protect
            return protect(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise MediaError(f"The packet cannot be protected: {error}.") from error

    def unprotect(self, packet: bytes) -> bytes:
        """Return a packet of the peer, decrypted and known to be its own and new. Raises MediaError."""
        if len(packet) > MAX_PACKET_BYTES:
            raise MediaError("The packet is larger than any packet of speech.")
        session = self._dtls._rx_srtp  # noqa: SLF001  # pinned by test_contract
        try:
            unprotect = session.unprotect_rtcp if is_rtcp(packet) else session.unprotect
            return unprotect(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise MediaError(f"The packet is not the peer's: {error}.") from error

    async def stop(self) -> None:
        """Say close_notify and end aiortc's reader."""
        self._dtls.remove_all_listeners()
        reader = self._dtls._task  # noqa: SLF001  # pinned by test_contract; stop() forgets it without waiting
        await self._dtls.stop()
        if reader is not None:
            await asyncio.wait({reader})
            if not reader.cancelled():
                reader.exception()  # seen: asyncio need not warn of it

    def _state_changed(self) -> None:
        if self._dtls.state == "closed":
            self._on_closed()
