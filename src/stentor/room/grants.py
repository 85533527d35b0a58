"""Grants: signed tokens (JWS with Ed25519, RFC 9864) that say who somebody is.

Three kinds. A *link* stands in the fragment of an invitation and is exchanged for sessions; it is also the
bearer for WHIP clients that cannot exchange it. A *session* belongs to one browser. *operator* is the link of
those who run the installation: no room. What a role may do is decided in room/stage, never here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stentor.errors import Unauthenticated
from stentor.room.documents import Role

Token = NewType("Token", str)

_ALGORITHM = "Ed25519"
_TYPE = "stentor-grant+jwt"
_MAX_TOKEN_CHARACTERS = 2_048


class GrantKind(StrEnum):
    """What a grant is for."""

    LINK = "link"
    SESSION = "session"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Grant:
    """Who the bearer is. ``person`` is the link's id; ``id`` is the session's, or the link's again.

    ``expires_s`` is Unix time in seconds, exclusive.
    """

    kind: GrantKind
    room: str | None
    role: Role
    person: str
    id: str
    expires_s: int


class _Claims(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str
    room: str | None
    role: str
    sub: str = Field(min_length=1, max_length=64)
    jti: str = Field(min_length=1, max_length=64)
    exp: int


def sign(grant: Grant, key: Ed25519PrivateKey) -> Token:
    """Return a grant as a token; the same grant and key always make the same token (RFC 8032)."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    claims = {
        "kind": str(grant.kind),
        "room": grant.room,
        "role": str(grant.role),
        "sub": grant.person,
        "jti": grant.id,
        "exp": grant.expires_s,
    }
    header = {"alg": _ALGORITHM, "typ": _TYPE}
    return Token(jwt.encode(header, claims, OKPKey.import_key(pem), algorithms=[_ALGORITHM]))


class Verifier:
    """Reads tokens with one public key and one algorithm; every process may have one."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self._key = OKPKey.import_key(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def verify(self, token: str, *, now_s: float) -> Grant:
        """Return the grant in a token; raises Unauthenticated, saying whether it expired or never was valid."""
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise _invalid()
        try:
            read = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
            claims = _Claims.model_validate(read.claims)
            grant = Grant(GrantKind(claims.kind), claims.room, Role(claims.role), claims.sub, claims.jti, claims.exp)
        except (JoseError, ValidationError, ValueError) as error:
            raise _invalid() from error
        if read.header.get("typ") != _TYPE or not _is_coherent(grant):
            raise _invalid()
        if now_s >= grant.expires_s:
            raise Unauthenticated("This sign-in has expired. Open your link again.", slug="grant-expired")
        return grant


def _is_coherent(grant: Grant) -> bool:
    """Tell whether kind, role and room go together: operators have no room, everybody else has one."""
    is_operator = grant.role is Role.OPERATOR
    if is_operator != (grant.room is None):
        return False
    return grant.kind is GrantKind.SESSION or is_operator == (grant.kind is GrantKind.OPERATOR)


def _invalid() -> Unauthenticated:
    return Unauthenticated(
        "This link or sign-in is not valid here. Ask whoever invited you for a new link.", slug="grant-invalid"
    )
