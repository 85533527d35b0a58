import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stentor.errors import ConfigError
from stentor.room.keys import fingerprint
from stentor.store.keys import GRANTS_KEY, load_or_create_key


def test_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / GRANTS_KEY
    first = load_or_create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert fingerprint(load_or_create_key(path).public_key()) == fingerprint(first.public_key())
    assert [file.name for file in path.parent.iterdir()] == ["grants.key"]


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_broken_key_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "proof.key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="restore it from a backup, or remove it to make one"):
        load_or_create_key(path)
    assert path.read_bytes() == content


def test_key_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "proof.key"
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match="is not an Ed25519 key"):
        load_or_create_key(path)


def test_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(ConfigError, match="make its folder writable for this user"):
        load_or_create_key(tmp_path / GRANTS_KEY)
