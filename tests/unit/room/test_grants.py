"""The verification matrix: each way in which a token can be wrong."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from stentor.errors import Unauthenticated
from stentor.room.documents import Role
from stentor.room.grants import Grant, GrantKind, Verifier, sign
from stentor.room.keys import fingerprint, raw_public

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = Verifier(KEY.public_key())
NOW = 1_800_000_000
GRANT = Grant(GrantKind.SESSION, "demo", Role.SPEAKER, "person1", "session1", NOW + 60)
CLAIMS = {"kind": "session", "room": "demo", "role": "speaker", "sub": "person1", "jti": "session1", "exp": NOW + 60}
HEADER = {"alg": "Ed25519", "typ": "stentor-grant+jwt"}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def made(claims: dict[str, object], header: dict[str, str] = HEADER) -> str:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return jwt.encode(header, claims, OKPKey.import_key(pem), algorithms=["Ed25519"])


@pytest.mark.parametrize(
    "grant",
    [
        GRANT,
        replace(GRANT, kind=GrantKind.LINK),
        replace(GRANT, role=Role.HOST),
        replace(GRANT, kind=GrantKind.OPERATOR, role=Role.OPERATOR, room=None),
        replace(GRANT, kind=GrantKind.SESSION, role=Role.OPERATOR, room=None),
    ],
)
def test_what_is_signed_is_read(grant: Grant) -> None:
    token = sign(grant, KEY)
    assert VERIFIER.verify(token, now_s=NOW) == grant
    assert sign(grant, KEY) == token


def test_expired_to_the_second() -> None:
    token = sign(GRANT, KEY)
    assert VERIFIER.verify(token, now_s=NOW + 59.999)
    with pytest.raises(Unauthenticated, match="has expired. Open your link again") as refused:
        VERIFIER.verify(token, now_s=NOW + 60)
    assert refused.value.kind == "grant-expired"


def _payload_changed(token: str) -> str:
    head, _, tail = token.split(".")
    return f"{head}.{part({**CLAIMS, 'role': 'host'})}.{tail}"


def _symmetric(_token: str) -> str:
    key = OctKey.import_key(raw_public(KEY.public_key()))
    return jwt.encode({"alg": "HS256", "typ": HEADER["typ"]}, CLAIMS, key, algorithms=["HS256"])


WRONG: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "no token": lambda _: "hello",
    "not ASCII": lambda _: "é.é.é",
    "too long": lambda token: token + "A" * 3000,
    "signature cut": lambda token: token[:-4],
    "signature missing": lambda token: token.rpartition(".")[0] + ".",
    "payload changed": _payload_changed,
    "another key": lambda _: sign(GRANT, Ed25519PrivateKey.generate()),
    "algorithm none": lambda _: f"{part({**HEADER, 'alg': 'none'})}.{part(CLAIMS)}.",
    "algorithm symmetric with the public key": _symmetric,
    "another type of token": lambda _: made(dict(CLAIMS), {"alg": "Ed25519", "typ": "JWT"}),
    "no room": lambda _: made({key: value for key, value in CLAIMS.items() if key != "room"}),
    "no expiry": lambda _: made({key: value for key, value in CLAIMS.items() if key != "exp"}),
    "expiry is text": lambda _: made({**CLAIMS, "exp": str(NOW + 60)}),
    "unknown kind": lambda _: made({**CLAIMS, "kind": "ticket"}),
    "unknown role": lambda _: made({**CLAIMS, "role": "king"}),
    "one claim more": lambda _: made({**CLAIMS, "admin": True}),
    "empty person": lambda _: made({**CLAIMS, "sub": ""}),
    "operator of a room": lambda _: made({**CLAIMS, "role": "operator"}),
    "speaker without a room": lambda _: made({**CLAIMS, "room": None}),
    "operator's kind for a host": lambda _: made({**CLAIMS, "kind": "operator", "role": "host"}),
    "link's kind for an operator": lambda _: made({**CLAIMS, "kind": "link", "role": "operator", "room": None}),
}


@pytest.mark.parametrize("how", list(WRONG))
def test_wrong_tokens_are_refused(how: str) -> None:
    token = WRONG[how](sign(GRANT, KEY))
    with pytest.raises(Unauthenticated, match="not valid here. Ask whoever invited you") as refused:
        VERIFIER.verify(token, now_s=NOW)
    assert refused.value.kind == "grant-invalid"


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        VERIFIER.verify(text, now_s=NOW)


def test_fingerprint_is_of_the_raw_public_key() -> None:
    raw = raw_public(KEY.public_key())
    assert len(raw) == 32
    assert fingerprint(KEY.public_key()) == sha256(raw).hexdigest()
