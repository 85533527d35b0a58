"""The index of a recording: what the archive has stored of a room, and where replay finds it.

``{room}/index.json`` is rewritten as a whole and is also the archive's place in the log: whoever reads the log from
``after`` with this index at hand goes on exactly where it was written. Segments are not listed one by one: a run of
steps says which there are, because the grid says where each begins. Twelve hours take a few hundred bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from stentor.media.grid import (
    SAMPLE_RATE_HZ,
    STEP_SAMPLES,
    Samples,
    Segment,
    Step,
    first_step,
    first_unit,
    segment_of,
)
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName
from stentor.room.documents import RoomEvent
from stentor.room.states import RoomState

STEP_S = STEP_SAMPLES / SAMPLE_RATE_HZ
RECORDINGS = {"m4a": RenditionName.AAC, "opus": RenditionName.OPUS, "mp3": RenditionName.MP3}
"""The file endings of recordings, and the rendition each carries."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Run(_Part):
    """Steps stored without a hole in one epoch, ``first_step`` to ``last_step``, both included."""

    epoch: int
    first_step: int
    last_step: int


class Stored(_Part):
    """What is stored of one rendition.

    ``before`` is the chain's head before the first stored chunk, ``head`` after the last (hex). ``heard`` is the head
    that the newest chunk carried itself; ``unlinked`` counts the chunks whose own head did not follow from the one
    before. ``epoch`` and ``step`` are the newest position that needs not be read again.
    """

    runs: tuple[Run, ...] = ()
    before: str = ""
    head: str = ""
    heard: str = ""
    unlinked: int = 0
    epoch: int = 0
    step: int = -1


class LoggedEvent(_Part):
    """An event of the room and its sequence in the log."""

    sequence: int
    event: RoomEvent


class RecordingIndex(_Part):
    """Everything about a room's recording but the sound itself.

    ``after``: every record of the log up to this sequence is in the objects that this index names. ``complete``: the
    room is over and proof.json is stored. ``recordings``: the files that are ready to download. ``purged``: the room's
    log has been forgotten. Times in Unix nanoseconds.
    """

    version: int = 1
    room: str
    title: str = ""
    zero_ns: int = 0
    started_ns: int | None = None
    key_fingerprint: str = ""
    after: int = 0
    complete: bool = False
    purged: bool = False
    recordings: tuple[str, ...] = ()
    events: tuple[LoggedEvent, ...] = ()
    renditions: dict[RenditionName, Stored] = {}

    @property
    def start_step(self) -> Step | None:
        """Return the step in which the room first went on air, or None when it never has."""
        return next((Step(e.step) for e in self.states() if e.state is RoomState.LIVE), None)

    @property
    def end_step(self) -> Step | None:
        """Return the first step after the end, or None while the room is not over."""
        return next((Step(e.step) for e in self.states() if e.state is RoomState.ENDED), None)

    def states(self) -> Iterator[RoomEvent]:
        """Yield the events that put the room on air, on hold or to its end, in order."""
        for logged in self.events:
            if logged.event.state in (RoomState.LIVE, RoomState.HELD, RoomState.ENDED):
                yield logged.event

    def holds(self) -> list[tuple[Step, Step | None]]:
        """Return the holds as (first step, step after); the last may still go on (None)."""
        holds: list[tuple[Step, Step | None]] = []
        since: Step | None = None
        for event in self.states():
            if event.state is RoomState.HELD:
                since = Step(event.step) if since is None else since
            elif since is not None:
                holds.append((since, Step(event.step)))
                since = None
        return [*holds, (since, None)] if since is not None else holds

    def runs(self, name: RenditionName) -> tuple[Run, ...]:
        """Return what is stored of a rendition."""
        stored = self.renditions.get(name)
        return stored.runs if stored else ()

    def to_bytes(self) -> bytes:
        """Return the index as JSON."""
        return self.model_dump_json(exclude_defaults=True).encode()


@dataclass(frozen=True, slots=True)
class Piece:
    """The stored steps of one segment without a hole: what one entry of the proof's heads speaks of."""

    epoch: int
    first_step: Step
    last_step: Step

    @property
    def segment(self) -> Segment:
        """Return the segment this is a piece of, nearly always the whole."""
        return segment_of(self.first_step)


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One stored segment object. ``follows``: it plays on from the entry before without a discontinuity."""

    epoch: int
    number: Segment
    first_sample: Samples
    samples: Samples
    follows: bool


def samples_of(rendition: Rendition, first_step: int, last_step: int) -> Samples:
    """Return how long the access units that start in these steps are, both included."""
    units = first_unit(Step(last_step + 1), rendition.frame_samples) - first_unit(
        Step(first_step), rendition.frame_samples
    )
    return Samples(units * rendition.frame_samples)


def pieces(run: Run) -> Iterator[Piece]:
    """Yield a run cut at the segments."""
    first = run.first_step
    while first <= run.last_step:
        end_of_segment = first_step(Segment(segment_of(Step(first)) + 1)) - 1
        last = min(run.last_step, end_of_segment)
        yield Piece(run.epoch, Step(first), Step(last))
        first = last + 1


def segments(name: RenditionName, runs: Sequence[Run]) -> Iterator[SegmentEntry]:
    """Yield the stored segments of a rendition in order; pieces of the same segment are one entry."""
    rendition = RENDITIONS[name]
    pending: SegmentEntry | None = None
    previous: Piece | None = None
    for piece in (piece for run in runs for piece in pieces(run)):
        samples = samples_of(rendition, piece.first_step, piece.last_step)
        if pending and (piece.epoch, piece.segment) == (pending.epoch, pending.number):
            pending = SegmentEntry(
                pending.epoch, pending.number, pending.first_sample, Samples(pending.samples + samples), pending.follows
            )
        else:
            if pending:
                yield pending
            follows = (
                previous is not None and previous.epoch == piece.epoch and previous.last_step + 1 == piece.first_step
            )
            first_sample = Samples(first_unit(piece.first_step, rendition.frame_samples) * rendition.frame_samples)
            pending = SegmentEntry(piece.epoch, piece.segment, first_sample, samples, follows)
        previous = piece
    if pending:
        yield pending


def duration_s(index: RecordingIndex) -> float:
    """Return how long the recording plays: what is stored of the longest rendition."""
    return max(
        (
            sum(samples_of(RENDITIONS[name], run.first_step, run.last_step) for run in stored.runs) / SAMPLE_RATE_HZ
            for name, stored in index.renditions.items()
        ),
        default=0.0,
    )


def played_s(index: RecordingIndex, step: Step) -> float:
    """Return where in the recording, in seconds, a step of the room begins; holes take no time."""
    runs = max((stored.runs for stored in index.renditions.values()), key=_steps, default=())
    return sum(max(0, min(step, run.last_step + 1) - run.first_step) for run in runs) * STEP_S


def _steps(runs: Sequence[Run]) -> int:
    return sum(run.last_step + 1 - run.first_step for run in runs)


def step_sample(step: Step) -> Samples:
    """Return where a step begins, in samples from the room's zero."""
    return Samples(step * STEP_SAMPLES)


def index_path(room: str) -> str:
    """Return the object that holds a room's index."""
    return f"{room}/index.json"


def init_path(room: str, name: RenditionName, epoch: int) -> str:
    """Return the object that holds an initialisation segment."""
    return f"{room}/{name}/{epoch}/init.mp4"


def segment_path(room: str, name: RenditionName, epoch: int, number: int) -> str:
    """Return the object that holds a segment."""
    return f"{room}/{name}/{epoch}/{number}.{'mp3' if name is RenditionName.MP3 else 'm4s'}"


def recording_path(room: str, ending: str) -> str:
    """Return the object that holds the whole recording as one file (m4a, opus or mp3)."""
    return f"{room}/recording.{ending}"


def proof_path(room: str) -> str:
    """Return the object that holds the proof."""
    return f"{room}/proof.json"
