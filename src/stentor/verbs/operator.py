"""Asking a running Stentor as its operator: what these verbs have in common.

Whoever can read the data folder is an operator: the folder holds the key that signs operators' links. The verbs use one
link, "command line", which they find or make in the catalogue, and then the staff API like any page.
"""

import contextlib
import json
import os
import ssl

from stentor.app import command_line_link
from stentor.config import Settings
from stentor.demo.staff_api import StaffApi, token_of
from stentor.errors import ConfigError, Unavailable
from stentor.store.keys import GRANTS_KEY


async def operator_api(settings: Settings) -> StaffApi:
    """Return a client of the staff API, signed in, of the Stentor that runs with these settings.

    Its ``call(method, path, body)`` raises StentorError with the server's own sentence.

    Raises ConfigError when the data folder is no Stentor's, and Unavailable when none answers.
    """
    if not (settings.data_dir / GRANTS_KEY).exists():
        raise ConfigError(
            f"{settings.data_dir} is not the data folder of a Stentor that has run: name it with --data-dir, "
            "or the file with its settings with --config."
        )
    trusted = ssl.create_default_context(cafile=settings.tls_cert) if settings.tls else None
    api = StaffApi(_staff_url(settings), tls=trusted)
    try:
        await api.enter(token_of(await command_line_link(settings)))
    except Unavailable as error:
        raise Unavailable(f"{error.detail} Start Stentor, or say where its staff port is with --staff-url.") from error
    return api


def _staff_url(settings: Settings) -> str:
    """Return where the staff port is: as a ``serve`` that runs in this folder has written it down, or as set."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        written = json.loads((settings.run_dir / "serve.json").read_text())
        os.kill(written["pid"], 0)
        return str(written["staff_url"])
    return settings.staff_url
