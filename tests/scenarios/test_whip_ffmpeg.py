"""A WHIP client that no one here wrote, and that hears nothing: FFmpeg's muxer."""

import asyncio
import datetime
import sys
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stentor.media.decoder import OpusDecoder
from tests.fakes.stage import fake_stage
from tests.fakes.whip_door import whip_door

ROOT = Path(__file__).parents[2]


def p256_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = serialization.PrivateFormat.TraditionalOpenSSL
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


async def test_ffmpeg_publishes_and_leaves(tmp_path: Path):
    certificate, key = p256_certificate(tmp_path)
    async with fake_stage() as stage, whip_door(stage) as door:
        arguments = ["-m", "tests.fakes.ffmpeg_publisher", f"{door.url}/whip", "the-token", certificate, key, "3"]
        publisher = await asyncio.create_subprocess_exec(sys.executable, *map(str, arguments), cwd=ROOT)
        assert await stage.closed.get() == "left"
        assert await publisher.wait() == 0
        assert door.bearers == ["Bearer the-token", "Bearer the-token"]
        (session,) = stage.sessions
        assert not session.sends
        assert session.stats().packets_lost == 0
        assert len(stage.packets) >= 140
        decoder = OpusDecoder()
        pcm = np.concatenate([decoder.decode(payload)[0].copy() for _, _, payload, _ in stage.packets])
        spectrum = np.abs(np.fft.rfft(pcm[9_600:105_600]))
        assert abs(np.argmax(spectrum) / 2 - 1_000) < 5
