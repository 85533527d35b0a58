"""The data folder in one file, and back: consistent also while Stentor runs.

The catalogue is copied by SQLite's own backup, keys and recordings are files that do not change. The bus's log is
copied as it stands on disk: while the bus runs, what is written during the copy may be missing from it, and the
bus's own recovery cuts off what is half-written. Spools go with it, sockets and locks do not.
"""

import io
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from stentor.clock import SystemClock, iso_utc
from stentor.config import Settings
from stentor.errors import ConfigError
from stentor.supervisor.machine import hold_folder

_MARK = "stentor-backup"
_LEFT_OUT = {"run", "scratch"}
_CATALOGUE = "stentor.db"
_COPY_TRIES = 5


def backup(settings: Settings, file: Path) -> str:
    """Write the data folder into ``file`` (tar.gz) and return a sentence that says what was done.

    Raises ConfigError when there is nothing to back up or the file cannot be written.
    """
    folder = settings.data_dir
    paths = list(_contents(folder))
    if not paths:
        raise ConfigError(f"There is nothing in {folder}: name the data folder with --data-dir.")
    running = _is_running(settings)
    draft = file.with_name(f".{file.name}.part")
    try:
        with _progress("Backing up", _size(paths)) as advance, tarfile.open(draft, "w:gz", compresslevel=3) as archive:
            _add_bytes(archive, _MARK, f"1 {iso_utc(SystemClock().wall_ns())}\n".encode())
            for path in paths:
                _add(archive, folder, path)
                advance(path)
        draft.chmod(0o600)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"The backup {file} cannot be written ({error.strerror}): choose another place.") from error
    how = "while Stentor was running" if running else "while Stentor was stopped"
    outside = _outside(settings)
    return (
        f"Backed up {len(paths)} files from {folder} to {file} ({_megabytes(file.stat().st_size)}), {how}. "
        f"It holds the private keys: keep it safe.{outside}"
    )


def restore(settings: Settings, file: Path, *, force: bool) -> str:
    """Put a backup into the data folder and return a sentence that says what was done.

    Raises ConfigError when Stentor runs there, the folder holds something and ``force`` is not given, or the file is
    no backup; nothing has been changed then.
    """
    folder = settings.data_dir
    try:
        with tarfile.open(file, "r:gz") as archive:
            members = _checked(archive, file)
            held = sorted(folder.iterdir()) if folder.is_dir() else []
            held = [path for path in held if path.name not in _LEFT_OUT]
            if held and not force:
                raise ConfigError(f"The data folder {folder} is not empty: choose another, or replace it with --force.")
            with hold_folder(settings):
                aside = _put_aside(folder, held) if held else None
                with _progress("Restoring", sum(member.size for member in members)) as advance:
                    for member in members:
                        archive.extract(member, folder, filter="data")
                        advance(folder / member.name)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ConfigError(f"The backup {file} cannot be read: {error}.") from error
    kept = f" What was there is in {aside}." if aside else ""
    return f"Restored {len(members)} files from {file} to {folder}.{kept} Start Stentor to go on from there."


def _contents(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        relative = path.relative_to(folder)
        beside_catalogue = relative.name in {f"{_CATALOGUE}-wal", f"{_CATALOGUE}-shm", f"{_CATALOGUE}-journal"}
        aside = relative.parts[0].startswith("before-restore-")
        if path.is_file() and relative.parts[0] not in _LEFT_OUT and not beside_catalogue and not aside:
            yield path


def _add(archive: tarfile.TarFile, folder: Path, path: Path) -> None:
    name = str(PurePosixPath(path.relative_to(folder)))
    if name == _CATALOGUE:
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / _CATALOGUE
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            archive.add(copy, name)
        return
    # A file of the log may grow, shrink or vanish while it is read: what is taken is one reading of it.
    for _ in range(_COPY_TRIES):
        try:
            if _is_log(name):
                _add_bytes(archive, name, path.read_bytes(), mode=path.stat().st_mode)
            else:
                archive.add(path, name)
        except FileNotFoundError:
            continue
        return


def _is_log(name: str) -> bool:
    return name.startswith(("nats/", "spool/"))


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes, *, mode: int = 0o600) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), mode & 0o777, SystemClock().wall_ns() // 1_000_000_000
    archive.addfile(member, io.BytesIO(data))


def _checked(archive: tarfile.TarFile, file: Path) -> list[tarfile.TarInfo]:
    members = archive.getmembers()
    if not members or members[0].name != _MARK:
        raise ConfigError(f"{file} is no backup of Stentor.")
    for member in members:
        parts = PurePosixPath(member.name).parts
        if not member.isreg() or member.name.startswith("/") or ".." in parts:
            raise ConfigError(f"{file} holds {member.name!r}, which no backup of Stentor does; nothing was restored.")
    return members[1:]


def _put_aside(folder: Path, held: list[Path]) -> Path:
    aside = folder / f"before-restore-{SystemClock().wall_ns() // 1_000_000_000}"
    aside.mkdir()
    for path in held:
        path.rename(aside / path.name)
    return aside


def _is_running(settings: Settings) -> bool:
    try:
        with hold_folder(settings):
            return False
    except ConfigError:
        return True


def _outside(settings: Settings) -> str:
    outside = []
    if not settings.database_url.endswith(f"{settings.data_dir / _CATALOGUE}"):
        outside.append("the database")
    if settings.objects_url != (settings.data_dir / "objects").as_uri():
        outside.append("the object store")
    if not settings.embedded_bus:
        outside.append("the NATS servers")
    return f" Not in it, back it up by its own means: {', '.join(outside)}." if outside else ""


def _size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.exists())


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"


class _progress:  # noqa: N801 - reads as a word at its place
    """A progress bar on a terminal, silence elsewhere; gives what is to be called with each path that is done."""

    def __init__(self, what: str, total_bytes: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task(what, total=total_bytes)

    def __enter__(self) -> Callable[[Path], None]:
        self._bar.start()
        return self._advance

    def __exit__(self, *_exc: object) -> None:
        self._bar.stop()

    def _advance(self, path: Path) -> None:
        self._bar.advance(self._task, path.stat().st_size if path.exists() else 0)
