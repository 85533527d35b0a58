"""The installation's Ed25519 keys, as values: one signs grants, the other signs proofs. Files are store/keys."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def raw_public(public: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of a public key (RFC 8032, 5.1.5)."""
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint(public: Ed25519PublicKey) -> str:
    """Return the lower-case hex SHA-256 of the raw public key: what a room's page shows before it opens."""
    return sha256(raw_public(public)).hexdigest()
