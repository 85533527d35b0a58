"""The certificate of the public ports, read again when its files change; connections that exist keep the old one."""

import ssl
from pathlib import Path

from stentor.clock import Clock
from stentor.config import Settings
from stentor.errors import ConfigError
from stentor.telemetry import logger

_LOOK_EVERY_S = 2.0

log = logger("tls")


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context for HTTP/1.1 over TLS 1.2 or later, or None where no certificate is set.

    Raises ConfigError when the files cannot be read or do not fit.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    for flag, path in (("--tls-cert", settings.tls_cert), ("--tls-key", settings.tls_key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{flag} {path} cannot be read ({error.strerror}): name a PEM file that this user may read."
            ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except ssl.SSLError as error:
        why = "they do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "they are no PEM files"
        raise ConfigError(
            f"--tls-cert {settings.tls_cert} and --tls-key {settings.tls_key} cannot be used: {why}. "
            "Give the certificate with its chain, and its unencrypted private key."
        ) from error
    return context


async def renew(context: ssl.SSLContext, settings: Settings, clock: Clock) -> None:
    """Load the files into the context whenever they have changed and fit each other, for ever."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    paths = (settings.tls_cert, settings.tls_key)
    seen = _stamp(*paths)
    while True:
        await clock.sleep(_LOOK_EVERY_S)
        stamp = _stamp(*paths)
        if stamp == seen:
            continue
        try:
            tls_context(settings)  # an ill-fitting pair would spoil the one in use
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
        except (ConfigError, OSError) as error:
            log.warning("certificate_kept", reason=str(error))
        else:
            log.info("certificate_renewed")
        seen = stamp


def _stamp(*paths: Path) -> tuple[tuple[int, int], ...]:
    try:
        return tuple((status.st_mtime_ns, status.st_ino) for status in (path.stat() for path in paths))
    except OSError:
        return ()
