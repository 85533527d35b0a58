"""A real PostgreSQL 15 for tests: a fresh cluster on a Unix socket, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BINARIES = Path("/usr/lib/postgresql/15/bin")
_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c synchronous_commit=off"


def _as_postgres(*command: str) -> None:
    """Run a command of PostgreSQL, which refuses root, as the user postgres."""
    prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server and yield its URL; the database is empty."""
    if not (_BINARIES / "initdb").exists():
        raise AssertionError(f"{_BINARIES} has no initdb: install PostgreSQL 15 (apt-get install postgresql).")
    folder = Path(tempfile.mkdtemp(prefix="stentor-pg-", dir="/tmp"))
    data, control = folder / "data", str(_BINARIES / "pg_ctl")
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        initdb = [str(_BINARIES / "initdb"), "-D", str(data), "-A", "trust", "-U", "app"]
        _as_postgres(*initdb, "--no-sync", "--no-locale", "-E", "UTF8")
        # Its output goes to a file: the server would keep a pipe of ours open.
        log = str(folder / "log")
        _as_postgres(control, "-w", "-D", str(data), "-l", log, "-o", f"{_OPTIONS} -k {folder}", "start")
        try:
            yield f"postgresql+asyncpg://app@/postgres?host={folder}"
        finally:
            _as_postgres(control, "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
