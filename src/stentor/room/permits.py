"""Permits to rehearse: an operator's grant that lets a generator of listeners in, and is checked by edges.

A permit is a signed token (JWS with Ed25519, RFC 9864), as grants are (room/grants), of a type of its own: nothing that
wants a grant takes it. It is in force as long as the installation's document lists it (room/installation), so an
operator can take it back.
"""

from typing import NewType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stentor.errors import Forbidden

PermitToken = NewType("PermitToken", str)

HEADER = "Stentor-Rehearsal"
"""The header of a request that carries a permit."""

MAX_LISTENERS = 1_000_000
MAX_PER_S = 100_000.0
MAX_TOKEN_CHARACTERS = 1_024
_ALGORITHM = "Ed25519"
_TYPE = "stentor-permit+jwt"


class Permit(BaseModel):
    """What may come: so many ``listeners`` at once, so many new ones ``per_second``, within [begins_s, expires_s).

    Times are Unix seconds. ``networks`` are where its generators come from, which the installation does not limit by
    address meanwhile; they stand in its list alone, not in the token.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=8, max_length=32)
    room: str = Field(min_length=1, max_length=64)
    listeners: int = Field(ge=1, le=MAX_LISTENERS)
    per_second: float = Field(gt=0, le=MAX_PER_S)
    begins_s: int = Field(ge=0)
    expires_s: int = Field(ge=0)
    networks: tuple[str, ...] = ()


class _Claims(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    jti: str
    room: str
    listeners: int
    per_second: float
    nbf: int
    exp: int


def sign_permit(permit: Permit, key: Ed25519PrivateKey) -> PermitToken:
    """Return a permit as a token."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    claims = {
        "jti": permit.id,
        "room": permit.room,
        "listeners": permit.listeners,
        "per_second": permit.per_second,
        "nbf": permit.begins_s,
        "exp": permit.expires_s,
    }
    header = {"alg": _ALGORITHM, "typ": _TYPE}
    return PermitToken(jwt.encode(header, claims, OKPKey.import_key(pem), algorithms=[_ALGORITHM]))


class PermitReader:
    """Reads permits with the installation's public key: 32 raw bytes, in hex. Raises ValueError for another key."""

    def __init__(self, public_hex: str) -> None:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_hex))
        self._key = OKPKey.import_key(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def read(self, token: str) -> Permit:
        """Return what a token says, whatever the time; raises Forbidden when it was not signed here."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise _invalid()
        try:
            read = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
            said = _Claims.model_validate(read.claims)
            if read.header.get("typ") != _TYPE:
                raise _invalid()
            return Permit(
                id=said.jti,
                room=said.room,
                listeners=said.listeners,
                per_second=said.per_second,
                begins_s=said.nbf,
                expires_s=said.exp,
            )
        except (JoseError, ValidationError, ValueError) as error:
            raise _invalid() from error


def _invalid() -> Forbidden:
    return Forbidden(
        "This installation did not give this permit. Have its operator make one: `stentor rehearse` does it by itself "
        "with an operator's link.",
        slug="permit-invalid",
    )
