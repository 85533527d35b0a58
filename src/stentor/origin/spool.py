"""The spool: what an origin has sent and the log has not yet acknowledged, on disk, so that a successor can log it.

One file a room and epoch. A file survives ``kill -9`` of its writer (the page cache is the kernel's); it is not
synced, as the log is what survives a power cut. Layout, big-endian: magic ``b"STS1"`` · sealed u8 · epoch u32 ·
after u64 · then records: body length u32 · CRC-32 of the body u32 · body (subject length u16 · subject · message id
length u16 · message id · payload). ``after``: every record of the log up to this sequence is older than the file.

A successor *seals* the file before it reads it. From then on its writer adds nothing and knows that it is replaced:
on one machine nothing can be spooled after it was read.
"""

import fcntl
import os
import queue
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Counter

from stentor.clock import Clock
from stentor.telemetry import RateLimitedLog, logger

_MAGIC = b"STS1"
_HEADER = struct.Struct(">4sBIQ")
_SEALED_AT = 4
_AFTER = struct.Struct(">Q")
_AFTER_AT = 9
_FRAME = struct.Struct(">II")
_LENGTH = struct.Struct(">H")
_MAX_BODY_BYTES = 1_048_576
_MAX_WAITING_BYTES = 8_388_608
# When everything is acknowledged a file of more than this is emptied.
_EMPTY_ABOVE_BYTES = 1_048_576
# A write takes some 10 µs; on a disk that stalls the mixer goes on after this long.
_PATIENCE_S = 0.002
_LOCK_PATIENCE_S = 0.5

_failed = Counter("stentor_origin_spool_failed_records_total", "Records that could not be written to the spool")

log = logger("origin")


@dataclass(slots=True, eq=False)
class Entry:
    """One record on its way to the log. ``payload`` is None while it is only in the spool, at ``offset``."""

    subject: str
    message_id: str
    payload: bytes | None
    size_bytes: int
    offset: int | None = None


def entry(subject: str, message_id: str, payload: bytes) -> Entry:
    """Return a new entry, not yet in any spool."""
    return Entry(subject, message_id, payload, len(payload))


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a predecessor's file holds. ``after`` as in the module's docstring."""

    path: Path
    epoch: int
    after: int
    entries: tuple[Entry, ...]


class Spool:
    """The file of one epoch, written by its own thread.

    Made by ``take_over``, closed by the ``LogWriter`` that it is given to. ``sealed`` turns true, for good, when a
    successor has taken the file.
    """

    def __init__(self, directory: Path, room: str, epoch: int, after: int, clock: Clock) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = spool_path(directory, room, epoch)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._end = _HEADER.size
        self._waiting: queue.SimpleQueue[tuple[Entry, threading.Event] | int | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._faults = RateLimitedLog(log, "spool_not_written", clock)
        self._header: bytes | None = _HEADER.pack(_MAGIC, 0, epoch, after)
        self.sealed = False
        try:
            self._write_header()
        except OSError as error:
            self._faults.note(error, path=str(self._path))
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def append(self, added: Entry) -> None:
        """Write an entry; return when it is written or after 2 ms. ``offset`` says whether it is there."""
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            _failed.inc()
            return
        self._waiting_bytes += added.size_bytes
        written = threading.Event()
        self._waiting.put((added, written))
        written.wait(_PATIENCE_S)

    def acknowledged(self, sequence: int) -> None:
        """Everything appended so far is in the log, up to this sequence: the file may forget it."""
        if self._end > _EMPTY_ABOVE_BYTES:
            self._waiting.put(sequence)

    def load(self, wanted: Entry) -> bytes:
        """Return the payload of an entry that is only here. Blocks on the disk; raises OSError when it is garbled."""
        if wanted.offset is None:
            raise OSError("The record is not in the spool.")
        found = _read_entry(self._file, wanted.offset)
        if found is None or found[0].message_id != wanted.message_id or found[0].payload is None:
            raise OSError("The record in the spool is garbled.")
        return found[0].payload

    def close(self, *, delete: bool) -> None:
        """Write what waits, end the thread, and delete the file if asked. Blocks on the disk."""
        self._waiting.put(None)
        self._thread.join()
        os.close(self._file)
        if delete:
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                if isinstance(work, int):
                    self._empty(work)
                else:
                    self._write(work[0])
            except OSError as error:
                _failed.inc()
                self._faults.note(error, path=str(self._path))
            finally:
                if not isinstance(work, int):
                    self._waiting_bytes -= work[0].size_bytes
                    work[1].set()

    def _write(self, added: Entry) -> None:
        body = _body(added)
        frame = _FRAME.pack(len(body), zlib.crc32(body)) + body
        with _locked(self._file):
            if self._is_sealed():
                return
            self._write_header()
            # After a full disk the next record takes the place of the half-written one.
            if os.pwrite(self._file, frame, self._end) != len(frame):
                raise OSError("The record was not written whole; is the disk full?")
        added.offset = self._end
        self._end += len(frame)

    def _write_header(self) -> None:
        if self._header is not None and os.pwrite(self._file, self._header, 0) == len(self._header):
            self._header = None

    def _empty(self, sequence: int) -> None:
        # In this order: a crash in between leaves an empty file with an older ``after``, which is harmless.
        with _locked(self._file):
            if self._is_sealed():
                return
            os.ftruncate(self._file, _HEADER.size)
            self._end = _HEADER.size
            os.pwrite(self._file, _AFTER.pack(sequence), _AFTER_AT)

    def _is_sealed(self) -> bool:
        self.sealed = self.sealed or os.pread(self._file, 1, _SEALED_AT) == b"\x01"
        return self.sealed


@contextmanager
def _locked(file: int) -> Iterator[None]:
    """Hold the file against the other side: a writer for microseconds, a successor while it seals."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def spool_path(directory: Path, room: str, epoch: int) -> Path:
    """Return where an epoch's file is. Room ids hold no dots or slashes."""
    return directory / f"{room}.{epoch}.spool"


def leftovers(directory: Path, room: str, *, below_epoch: int) -> list[Leftover]:
    """Seal and read the files of a room's earlier epochs, oldest first. Blocks on the disk.

    A file that is cut or garbled gives what is whole in front of the damage; one without a header is left out.
    """
    found = []
    for path in directory.glob(f"{room}.*.spool"):
        epoch = path.name.removeprefix(f"{room}.").removesuffix(".spool")
        if epoch.isdigit() and int(epoch) < below_epoch and (read := _seal_and_read(path)) is not None:
            found.append(read)
    return sorted(found, key=lambda each: each.epoch)


def _seal_and_read(path: Path) -> Leftover | None:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    lock = threading.Thread(target=fcntl.flock, args=(file, fcntl.LOCK_EX), daemon=True)
    lock.start()
    # A writer that was frozen within its microseconds must not hold its successor up.
    lock.join(_LOCK_PATIENCE_S)
    try:
        header = os.pread(file, _HEADER.size, 0)
        if len(header) < _HEADER.size or header[:4] != _MAGIC:
            return None
        os.pwrite(file, b"\x01", _SEALED_AT)
        _, _, epoch, after = _HEADER.unpack(header)
        return Leftover(path, epoch, after, tuple(_read_entries(file)))
    finally:
        os.close(file)


def _read_entries(file: int) -> Iterator[Entry]:
    at = _HEADER.size
    while (found := _read_entry(file, at)) is not None:
        yield found[0]
        at = found[1]


def _read_entry(file: int, at: int) -> tuple[Entry, int] | None:
    """Return the entry at an offset and the offset after it, or None where there is no whole one."""
    frame = os.pread(file, _FRAME.size, at)
    if len(frame) < _FRAME.size:
        return None
    length, crc = _FRAME.unpack(frame)
    if length > _MAX_BODY_BYTES:
        return None
    body = os.pread(file, length, at + _FRAME.size)
    if len(body) != length or zlib.crc32(body) != crc:
        return None
    subject, next_at = _text(body, 0)
    message_id, next_at = _text(body, next_at)
    payload = body[next_at:]
    return Entry(subject, message_id, payload, len(payload), at), at + _FRAME.size + length


def _body(added: Entry) -> bytes:
    subject, message_id = added.subject.encode(), added.message_id.encode()
    parts = (_LENGTH.pack(len(subject)), subject, _LENGTH.pack(len(message_id)), message_id, added.payload or b"")
    return b"".join(parts)


def _text(body: bytes, at: int) -> tuple[str, int]:
    (length,) = _LENGTH.unpack_from(body, at)
    end = at + _LENGTH.size + length
    return body[at + _LENGTH.size : end].decode(), end
