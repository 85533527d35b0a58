"""Finds out where a recording is what was broadcast and where it is not.

Every piece (nearly always a segment of 1.92 s) is checked by itself: from the signed head before it and the access
units found in the recording follows a head, which is the signed one after it or is not. Where a piece fails, the place
is looked for at which the recording fits again, so that what was cut out, put in or changed is said as such.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from stentor.archive.demux import Units
from stentor.archive.proof import ProvenRendition, unbase64
from stentor.errors import MediaError
from stentor.media.grid import SAMPLE_RATE_HZ, Step, first_unit, units_in
from stentor.media.rendition import RenditionName

MAX_CHECKS = 300_000
"""Checks of pieces spent on looking for a place, in all: about ten seconds."""

_NEAR_PIECES = 4
_FAR_PIECES = 50
_MAX_EXTRA_UNITS = 6_000
_LINK = b"stentor/proof/1/link"
_PLACE = struct.Struct(">QQQ")


class Kind(StrEnum):
    """How a stretch of a recording differs from the broadcast."""

    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch that differs, in seconds of the recording.

    ``broadcast_s``: how long it was in the broadcast; the difference to ``end_s - start_s`` is missing or extra.
    """

    kind: Kind
    start_s: float
    end_s: float
    broadcast_s: float


@dataclass(frozen=True, slots=True)
class _Expected:
    """A piece of the broadcast: its steps with their counts of access units, and the heads around it."""

    steps: tuple[tuple[bytes, int], ...]
    before: bytes
    after: bytes
    units: int


def compare(units: Units, room: str, rendition: RenditionName, proven: ProvenRendition) -> list[Difference]:
    """Return where a recording differs from what was proven, in order; nothing when it is identical.

    Raises MediaError when the proof contradicts itself.
    """
    return _Comparison(units, room, rendition, proven).run()


class _Comparison:
    def __init__(self, units: Units, room: str, rendition: RenditionName, proven: ProvenRendition) -> None:
        init = unbase64(proven.init)
        init_hash = hashlib.sha256(init).digest()
        if init_hash.hex() != proven.init_sha256:
            raise MediaError("The proof's initialisation segment does not have the hash that the proof says.")
        texts = b"".join(struct.pack(">I", len(text)) + text for text in (room.encode(), rendition.encode()))
        self._middle = texts + init_hash
        self._units = units
        self._frame = proven.frame_samples
        self._pieces = list(_expected(proven))
        self._left = MAX_CHECKS

    def run(self) -> list[Difference]:
        found: list[Difference] = []
        piece = at = 0
        while piece < len(self._pieces):
            if self._fits(piece, at):
                at += self._pieces[piece].units
                piece += 1
                continue
            next_piece, next_at = self._look_on(piece, at) or (len(self._pieces), len(self._units))
            found.append(self._difference(piece, next_piece, at, next_at))
            piece, at = next_piece, next_at
        if at < len(self._units):
            found.append(self._difference(piece, piece, at, len(self._units)))
        return found

    def _fits(self, piece: int, at: int) -> bool:
        """Tell whether the access units from ``at`` are those of a piece."""
        expected = self._pieces[piece]
        if at + expected.units > len(self._units):
            return False
        head = expected.before
        for place, count in expected.steps:
            content = self._units.hash(at, count)
            head = hashlib.sha256(b"".join((_LINK, head, self._middle, place, content))).digest()
            at += count
        return head == expected.after

    def _look_on(self, piece: int, at: int) -> tuple[int, int] | None:
        """Return (piece, access unit) where the recording fits the broadcast again, or None."""
        for candidate in self._candidates(piece, at):
            if candidate[1] + self._pieces[candidate[0]].units > len(self._units):
                continue
            self._left -= 1
            if self._left < 0:
                return None
            if self._fits(*candidate):
                return candidate
        return None

    def _candidates(self, piece: int, at: int) -> Iterator[tuple[int, int]]:
        """Yield places in the order of likelihood: something changed, cut out, put in; near before far."""
        in_step = list(self._in_step(piece, at))
        yield from in_step[:_NEAR_PIECES]
        last = len(self._pieces)
        yield from self._after_a_cut(range(piece, min(last, piece + _FAR_PIECES)), at)
        for number in range(piece, min(last, piece + 2)):
            yield from ((number, at + extra) for extra in range(1, _MAX_EXTRA_UNITS))
        yield from in_step[_NEAR_PIECES:]
        yield from self._after_a_cut(range(piece + _FAR_PIECES, last), at)

    def _in_step(self, piece: int, at: int) -> Iterator[tuple[int, int]]:
        """Yield the pieces after this one where they are if nothing was cut out or put in."""
        for number in range(piece, len(self._pieces) - 1):
            at += self._pieces[number].units
            yield number + 1, at

    def _after_a_cut(self, pieces: range, at: int) -> Iterator[tuple[int, int]]:
        """Yield where a piece may begin if sound before it was cut out: within two pieces' length."""
        for number in pieces:
            reach = 2 * self._pieces[number].units
            yield from ((number, at + offset) for offset in range(reach + 1))

    def _difference(self, piece: int, next_piece: int, at: int, next_at: int) -> Difference:
        broadcast = sum(expected.units for expected in self._pieces[piece:next_piece])
        recorded = next_at - at
        kind = Kind.CHANGED if recorded == broadcast else Kind.MISSING if recorded < broadcast else Kind.EXTRA
        return Difference(kind, self._seconds(at), self._seconds(next_at), self._seconds(broadcast))

    def _seconds(self, units: int) -> float:
        return units * self._frame / SAMPLE_RATE_HZ


def _expected(proven: ProvenRendition) -> Iterator[_Expected]:
    frame = proven.frame_samples
    try:
        head = bytes.fromhex(proven.head_before)
    except ValueError as error:
        raise MediaError("The proof's first head is not hexadecimal.") from error
    for run in proven.runs:
        for piece, after in run.pieces():
            steps = tuple(
                (_PLACE.pack(piece.epoch, step, first_unit(Step(step), frame) * frame), units_in(Step(step), frame))
                for step in range(piece.first_step, piece.last_step + 1)
            )
            yield _Expected(steps, head, after, sum(count for _, count in steps))
            head = after
    if head.hex() != proven.head:
        raise MediaError("The proof's last head is not the one its runs end with.")
