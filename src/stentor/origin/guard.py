"""The guard: what may cost us anything at all, counted by reason when it is turned away.

Before DTLS only datagrams from addresses that ICE has validated count (mux, ice). Behind it, each speaker has
caps on packets, bytes and SSRCs. Nothing here raises.
"""

from prometheus_client import Counter

from stentor.clock import NS_PER_S

MAX_DATAGRAM_BYTES = 2_048
MAX_HANDSHAKE_BACKLOG = 64
MAX_SSRCS = 8
PACKETS_PER_S = 200
BYTES_PER_S = 64_000
DATAGRAMS_PER_S = 1_000
CHECKS_PER_S = 100
STRANGERS_CHECKS_PER_S = 50
SSRC_SILENCE_NS = NS_PER_S

_DROPPED = Counter("stentor_origin_datagrams_dropped", "Datagrams of speakers turned away, by reason", ["reason"])


def drop(reason: str) -> None:
    """Count one datagram or packet that goes no further."""
    _DROPPED.labels(reason).inc()


class RateCap:
    """A token bucket: ``per_second`` in the long run, one second's worth at once."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._level = float(per_second)
        self._filled_ns: int | None = None

    def admits(self, amount: int, now_ns: int) -> bool:
        """Take ``amount`` if it is there."""
        if self._filled_ns is not None:
            gained = (now_ns - self._filled_ns) * self._per_second / NS_PER_S
            self._level = min(float(self._per_second), self._level + gained)
        self._filled_ns = now_ns
        if amount > self._level:
            return False
        self._level -= amount
        return True


class CheckCaps:
    """The caps on STUN for one session, whose integrity costs us something to check.

    Addresses that it knows have one of their own, so that who has seen its username fragment and sends from anywhere
    cannot use up what the speaker needs to stay.
    """

    def __init__(self) -> None:
        self._known = RateCap(CHECKS_PER_S)
        self._strangers = RateCap(STRANGERS_CHECKS_PER_S)

    def admits(self, now_ns: int, *, known: bool) -> bool:
        """Decide on a STUN message; ``known``: from an address of which a check was verified, or that was offered."""
        return (self._known if known else self._strangers).admits(1, now_ns)


class Intake:
    """The caps of one speaker.

    ``admits_datagram`` comes before SRTP and is wide, so that who forges a source address cannot use up the
    speaker's own rate; ``admits_packet`` comes after it and is the real cap.
    """

    def __init__(self) -> None:
        self.ssrc: int | None = None
        self._heard_ns = 0
        self._seen: set[int] = set()
        self._datagrams = RateCap(DATAGRAMS_PER_S)
        self._packets = RateCap(PACKETS_PER_S)
        self._bytes = RateCap(BYTES_PER_S)

    def admits_datagram(self, ssrc: int, now_ns: int, *, media: bool) -> bool:
        """Decide on a protected packet; ``media`` is RTP, else RTCP."""
        if not self._datagrams.admits(1, now_ns):
            drop("flood")
        elif ssrc not in self._seen and len(self._seen) >= MAX_SSRCS:
            drop("ssrcs")
        elif media and self.ssrc not in (None, ssrc) and now_ns - self._heard_ns < SSRC_SILENCE_NS:
            drop("second_ssrc")
        else:
            return True
        return False

    def authenticated(self, ssrc: int) -> None:
        """Remember an SSRC whose packet SRTP has accepted: it costs SRTP state from now on."""
        self._seen.add(ssrc)

    def admits_packet(self, ssrc: int, size_bytes: int, now_ns: int) -> bool:
        """Decide on an RTP packet that SRTP has accepted, and make its SSRC the speaker's own."""
        if not self._packets.admits(1, now_ns):
            drop("packets_per_s")
            return False
        if not self._bytes.admits(size_bytes, now_ns):
            drop("bytes_per_s")
            return False
        self.ssrc, self._heard_ns = ssrc, now_ns
        return True

    def forget(self, ssrc: int) -> None:
        """Let another SSRC follow at once: this one has said goodbye."""
        if self.ssrc == ssrc:
            self.ssrc = None
