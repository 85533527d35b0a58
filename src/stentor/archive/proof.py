"""The proof of a recording: what was broadcast, as a hash chain under one signature. See docs/proof.md."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stentor.errors import MediaError
from stentor.media.fmp4 import init_segment
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.keys import fingerprint
from stentor.store.recording import Piece, RecordingIndex, Run, pieces

FORMAT = "stentor-proof-1"
HEAD_BYTES = 32


class ProvenRun(BaseModel):
    """Steps broadcast without a hole in one epoch; ``heads``: base64 of one 32-byte head for each piece."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    epoch: int = Field(ge=0)
    first_step: int = Field(ge=0)
    last_step: int = Field(ge=0)
    heads: str

    def pieces(self) -> Iterator[tuple[Piece, bytes]]:
        """Yield the run cut at segments, each piece with the head after it. Raises MediaError."""
        run = Run(epoch=self.epoch, first_step=self.first_step, last_step=self.last_step)
        heads = unbase64(self.heads)
        count = self.last_step // 8 - self.first_step // 8 + 1
        if self.last_step < self.first_step or len(heads) != count * HEAD_BYTES:
            raise MediaError("A run of the proof does not have one head for each segment.")
        for number, piece in enumerate(pieces(run)):
            yield piece, heads[number * HEAD_BYTES : (number + 1) * HEAD_BYTES]


class ProvenRendition(BaseModel):
    """One rendition: its initialisation segment, the chain's ends and what lies between."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    codec: str
    frame_samples: int = Field(gt=0)
    init: str
    init_sha256: str
    head_before: str
    head: str
    unlinked: int
    runs: tuple[ProvenRun, ...]


class Signed(BaseModel):
    """What the signature covers."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: str
    room: str
    zero_ms: int
    start_step: int
    end_step: int
    public_key: str
    key_fingerprint: str
    renditions: dict[RenditionName, ProvenRendition]


class Proof(BaseModel):
    """The content of proof.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    signed: Signed
    signature: str
    LIMIT_BYTES: ClassVar[int] = 64 << 20

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return the proof in a file; raises MediaError when it is none or of a later format."""
        try:
            proof = cls.model_validate_json(data)
        except (ValidationError, RecursionError) as error:
            raise MediaError("The proof is not a proof.json of Stentor, or it is damaged.") from error
        if proof.signed.format != FORMAT:
            raise MediaError(f"The proof has the format {proof.signed.format}; this program reads {FORMAT}.")
        return proof

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return canonical(self.model_dump(mode="json"))

    def signature_is_valid(self) -> bool:
        """Tell whether the key that the proof names has signed it, and the fingerprint is that key's."""
        try:
            raw = unbase64(self.signed.public_key)
            key = Ed25519PublicKey.from_public_bytes(raw)
            key.verify(unbase64(self.signature), canonical(self.signed.model_dump(mode="json")))
        except (InvalidSignature, ValueError, MediaError):
            return False
        return hashlib.sha256(raw).hexdigest() == self.signed.key_fingerprint


def canonical(value: object) -> bytes:
    """Return JSON in its one form: keys sorted, no white space, UTF-8 (RFC 8785 for the types used here)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def make_proof(index: RecordingIndex, heads: dict[RenditionName, list[bytes]], key: Ed25519PrivateKey) -> Proof:
    """Return the signed proof of a recording that has ended; ``heads`` has one head for each stored piece."""
    start, end = index.start_step, index.end_step
    if start is None or end is None:
        raise ValueError("A room that never was on air has nothing to prove.")
    public = key.public_key()
    renditions = {}
    for name, stored in index.renditions.items():
        init = init_segment(RENDITIONS[name])
        known = iter(heads[name])
        runs = [
            ProvenRun(
                epoch=run.epoch,
                first_step=run.first_step,
                last_step=run.last_step,
                heads=base64.b64encode(b"".join(next(known) for _ in pieces(run))).decode(),
            )
            for run in stored.runs
        ]
        renditions[name] = ProvenRendition(
            codec=RENDITIONS[name].codec,
            frame_samples=RENDITIONS[name].frame_samples,
            init=base64.b64encode(init).decode(),
            init_sha256=hashlib.sha256(init).hexdigest(),
            head_before=stored.before,
            head=stored.head,
            unlinked=stored.unlinked,
            runs=tuple(runs),
        )
    signed = Signed(
        format=FORMAT,
        room=index.room,
        zero_ms=index.zero_ns // 1_000_000,
        start_step=start,
        end_step=end,
        public_key=base64.b64encode(public.public_bytes_raw()).decode(),
        key_fingerprint=fingerprint(public),
        renditions=renditions,
    )
    signature = key.sign(canonical(signed.model_dump(mode="json")))
    return Proof(signed=signed, signature=base64.b64encode(signature).decode())


def unbase64(text: str) -> bytes:
    """Return the bytes of strict base64; raises MediaError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MediaError("The proof holds a value that is not base64.") from error
