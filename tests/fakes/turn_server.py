"""A real coturn with deploy/coturn.conf, on an address and port of the test's."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

CONFIG = Path(__file__).parents[2] / "deploy" / "coturn.conf"
SECRET = "a secret of thirty-two characters"
_READY_S = 10.0


@asynccontextmanager
async def turn_server(folder: Path, host: str, port: int, origin: str) -> AsyncIterator[Path]:
    """Relay to ``origin`` alone, without TLS, until the context ends; yields its log."""
    text = CONFIG.read_text().replace("=SECRET\n", f"={SECRET}\n").replace("=ORIGIN\n", f"={origin}\n")
    text = re.sub(r"^(tls-listening-port|cert|pkey|syslog).*\n", "", text, flags=re.MULTILINE)
    text = text.replace("listening-port=3478", f"listening-port={port}")
    log = folder / "coturn.log"
    own = [f"listening-ip={host}", f"relay-ip={host}", "no-tls", "no-dtls", "no-stdout-log", "simple-log"]
    own += [f"log-file={log}", f"userdb={folder / 'turndb'}", "pidfile=/dev/null"]
    config = folder / "coturn.conf"
    config.write_text(text + "\n".join(own) + "\n")
    process = await asyncio.create_subprocess_exec(
        "turnserver", "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _takes_connections(process, host, port, log)
        yield log
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _takes_connections(process: asyncio.subprocess.Process, host: str, port: int, log: Path) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            assert process.returncode is None, f"coturn ended: {_tail(log)}"
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return


def _tail(log: Path) -> str:
    return log.read_text()[-2_000:]
