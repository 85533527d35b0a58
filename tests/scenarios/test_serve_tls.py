"""TLS on both public ports, and a certificate that is replaced while everything runs."""

import asyncio
import socket
import ssl
import time
from urllib.parse import urlsplit

from tests.fakes.certificates import write_certificate
from tests.fakes.installation import Installation, installation


def shown(url: str) -> bytes:
    """Return the certificate that a new connection is shown, as DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    parts = urlsplit(url)
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def all_shown(running: Installation) -> set[bytes]:
    """Ask each port several times: edges share theirs."""
    return {shown(url) for url in (running.audience_url, running.staff_url) for _ in range(12)}


async def test_both_ports_and_a_new_certificate(tmp_path):
    old = write_certificate(tmp_path)
    async with installation(tmp_path, tls=(tmp_path / "cert.pem", tmp_path / "key.pem")) as running:
        assert await asyncio.to_thread(all_shown, running) == {old}
        assert running.audience_url.startswith("https://")
        assert (await running.get("/rooms.json")).status == 200
        assert (await running.get("/api/v1/openapi.json", base=running.staff_url)).status == 200
        (tmp_path / "new").mkdir()
        new = write_certificate(tmp_path / "new")
        for name in ("cert.pem", "key.pem"):
            (tmp_path / "new" / name).replace(tmp_path / name)
        end = time.monotonic() + 20
        while (seen := await asyncio.to_thread(all_shown, running)) != {new}:
            assert time.monotonic() < end, f"{len(seen)} certificates are shown"
            await asyncio.sleep(0.2)
