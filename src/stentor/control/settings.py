"""What control is told at its start."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stentor.room.keys import fingerprint

WEB_DIST = Path(__file__).parents[1] / "web" / "dist"


@dataclass(frozen=True, slots=True)
class ControlKeys:
    """The installation's private keys (store/keys)."""

    grants: Ed25519PrivateKey
    proof: Ed25519PrivateKey

    @property
    def key_fingerprint(self) -> str:
        """Return what rooms show of the proof key."""
        return fingerprint(self.proof.public_key())


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Where things are and how long grants last. The URLs have no slash at their end.

    ``fingerprint`` changes with every setting that may change how much an installation bears (a rehearsal's verdict
    is void then). ``turn_urls``: relays (RFC 7065) that know ``turn_secret``.
    """

    public_url: str
    staff_url: str
    web_dist: Path = WEB_DIST
    session_hours: int = 24
    link_days: int = 400
    origin_timeout_s: float = 5.0
    turn_urls: tuple[str, ...] = ()
    fingerprint: str = ""
    turn_secret: str = field(default="", repr=False)
