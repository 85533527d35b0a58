"""The installation's private keys as files in the data folder: ``keys/grants.key`` and ``keys/proof.key``.

Each is an Ed25519 private key in PKCS 8 PEM, readable by its owner alone, made at the first start.
"""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from stentor.errors import ConfigError

GRANTS_KEY = Path("keys/grants.key")
PROOF_KEY = Path("keys/proof.key")


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in ``path``, making it if there is none; of two processes that make it, one wins.

    Raises ConfigError, with what to do, when the file cannot be read or written or holds something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _create(path)
        pem = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The key {path} cannot be read or made ({error.strerror}): make its folder writable for this user."
        ) from error
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} holds no key: restore it from a backup, or remove it to make one.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is not an Ed25519 key: restore it from a backup, or remove it to make one.")
    return key


def _create(path: Path) -> None:
    """Write a new key under a name of our own and link it into place: never seen half-written."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
