"""One published night for all tests of proofs and recordings: its files in a folder, and the key that signed."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stentor.archive.ledger import Ledger
from stentor.archive.proof import make_proof
from stentor.archive.recordings import make_recording
from stentor.room.keys import fingerprint
from stentor.store.objects import open_objects
from stentor.store.recording import RECORDINGS, RecordingIndex, recording_path
from tests.unit.archive import night


@dataclass(frozen=True)
class Published:
    """Where recordings and proof of the night are."""

    folder: Path
    fingerprint: str
    index: RecordingIndex

    @property
    def proof(self) -> Path:
        return self.folder / "proof.json"

    def recording(self, ending: str) -> Path:
        return self.folder / f"recording.{ending}"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return asyncio.run(_publish(tmp_path_factory.mktemp("published")))


async def _publish(folder: Path) -> Published:
    objects = open_objects("memory:")
    ledger = Ledger(RecordingIndex(room=night.ROOM, title="Night", zero_ns=night.ZERO_NS), {})
    new = [item for record in night.records() for item in ledger.take(record)]
    for item in [*new, *ledger.finish()]:
        await objects.put(item.path, item.data)
    key = Ed25519PrivateKey.generate()
    (folder / "proof.json").write_bytes(make_proof(ledger.index, ledger.heads, key).to_bytes())
    for ending in RECORDINGS:
        await make_recording(objects, ledger.index, ending, folder)
        (folder / f"recording.{ending}").write_bytes(await objects.get(recording_path(night.ROOM, ending)) or b"")
    return Published(folder, fingerprint(key.public_key()), ledger.index)
