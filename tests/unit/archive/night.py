"""A night of real speech as a room's log: lobby, start in the middle of a segment, a hold, a takeover, the end."""

import shutil
import subprocess
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stentor.bus.port import Record, chunk_subject, event_subject
from stentor.bus.wire import encode_chunk
from stentor.media.chunk import Chunk
from stentor.media.chunker import Chunker
from stentor.media.encoder import Encoder
from stentor.media.grid import STEP_NS, STEP_SAMPLES, Step
from stentor.media.proof import first_head
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.documents import EventKind, RoomDocument, RoomEvent
from stentor.room.states import RoomState

ROOM = "night"
ZERO_NS = 1_795_000_000_640_000_000 // 1_920_000_000 * 1_920_000_000

FIRST = 800
START = 811  # the fourth step of segment 101
HOLD = 827
RESUME = 837
DEATH = 851  # the first step that the first origin did not log
TAKEOVER = 856  # the first step of the second epoch: a hole of five steps
END = 883

ON_AIR_STEPS = (DEATH - START) + (END - TAKEOVER)


@dataclass(frozen=True)
class Entry:
    """Something to append to the log."""

    subject: str
    payload: bytes
    epoch: int


@cache
def speech() -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Return 25 s of speech, (1, n) float32 at 48 kHz."""
    text = "The talk goes on. Nothing said on air is lost, and every loss is marked. " * 8
    with TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        program = shutil.which("espeak-ng") or "espeak-ng"
        subprocess.run([program, "-w", str(file), text], check=True, capture_output=True)
        with wave.open(str(file)) as said:
            pcm = np.frombuffer(said.readframes(said.getnframes()), np.int16).astype(np.float32) / 32768
            rate = said.getframerate()
    at = np.arange(25 * 48_000) * rate / 48_000 % (len(pcm) - 1)
    room_tone = np.random.default_rng(7).normal(0, 0.004, len(at))  # so that no two access units are alike
    return (np.interp(at, np.arange(len(pcm)), pcm) + room_tone).astype(np.float32).reshape(1, -1)


@cache
def _units(name: RenditionName, steps: int, skip: int) -> tuple[bytes, ...]:
    pcm = speech()[:, skip * STEP_SAMPLES : (skip + steps) * STEP_SAMPLES + 4800]
    return tuple(Encoder(RENDITIONS[name]).encode(np.ascontiguousarray(pcm)))


def chunks(
    name: RenditionName, first: int, last: int, *, epoch: int = 1, head: bytes | None = None, room: str = ROOM
) -> list[Chunk]:
    """Return the chunks of one epoch from step ``first`` to before ``last``."""
    chunker = Chunker(
        room,
        RENDITIONS[name],
        epoch=epoch,
        discontinuity=epoch - 1,
        first=Step(first),
        head=head or first_head(room, name),
    )
    made = chunker.add(_units(name, last - first, first - FIRST))
    return [chunk for chunk in made if chunk.step < last]


@cache
def all_chunks() -> dict[RenditionName, tuple[Chunk, ...]]:
    """Return every chunk of the night by rendition."""
    night = {}
    for name in RENDITIONS:
        before = chunks(name, FIRST, DEATH)
        night[name] = (*before, *chunks(name, TAKEOVER, END, epoch=2, head=before[-1].head))
    return night


def state(step: int, to: RoomState, epoch: int = 1) -> Entry:
    """Return the event that the program is ``to`` from ``step`` on."""
    event = RoomEvent(kind=EventKind.STATE, at_ns=ZERO_NS + step * STEP_NS, step=step, epoch=epoch, state=to)
    return Entry(event_subject(ROOM), event.to_bytes(), epoch)


EVENTS = {
    FIRST: state(FIRST, RoomState.LOBBY),
    START: state(START, RoomState.LIVE),
    HOLD: state(HOLD, RoomState.HELD),
    RESUME: state(RESUME, RoomState.LIVE),
    TAKEOVER: state(TAKEOVER, RoomState.LIVE, 2),
}


@cache
def night() -> tuple[Entry, ...]:
    """Return the log in order: each step's event, then its chunks; the end comes last, as origins write it."""
    entries: list[Entry] = []
    for step in range(FIRST, END):
        if step in EVENTS:
            entries.append(EVENTS[step])
        entries += [
            Entry(chunk_subject(ROOM, name), encode_chunk(chunk), chunk.epoch)
            for name, made in all_chunks().items()
            for chunk in made
            if chunk.step == step
        ]
    return (*entries, state(END, RoomState.ENDED, 2))


def records(keep: Callable[[Entry], bool] = lambda _entry: True) -> Iterator[Record]:
    """Yield the night as records of the log; sequences have holes, as other rooms write too."""
    for number, entry in enumerate(night()):
        if keep(entry):
            yield Record(10 + 3 * number, entry.subject, entry.payload)


def on_air_units(name: RenditionName) -> list[bytes]:
    """Return the access units that belong into the recording."""
    return [unit for chunk in all_chunks()[name] if chunk.step >= START for unit in chunk.units]


def document(state: RoomState = RoomState.LIVE, **fields: object) -> RoomDocument:
    """Return the room's document."""
    said = {
        "room": ROOM,
        "title": "A night of speech: أمسية",
        "zero_ns": ZERO_NS,
        "started_ns": ZERO_NS + START * STEP_NS,
        "state": state,
    }
    return RoomDocument.model_validate({**said, **fields})
