"""Sounds that are encoded once and put out again and again: the hold sound, and the silence that fills a hole.

A loop lasts a whole number of segments or steps in which every codec has whole access units, and access unit k of
the room takes place ``k mod n`` of the loop's n. Nothing is encoded while it plays, so nothing that is said then
can reach the program.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stentor.errors import MediaError
from stentor.media.encoder import Encoder, Pcm
from stentor.media.grid import SAMPLE_RATE_HZ, STEP_SAMPLES, STEPS_PER_SEGMENT, Step, first_unit
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName

Wave = NDArray[np.float64]

HOLD_STEPS = 100  # 24 s: 1200 Opus, 1125 AAC, 1000 MP3 access units
HOLD_SAMPLES = HOLD_STEPS * STEP_SAMPLES
_SEGMENT_SAMPLES = STEPS_PER_SEGMENT * STEP_SAMPLES
_WARM_UP_SAMPLES = _SEGMENT_SAMPLES
_MAGIC = b"STL1"
_HOLD_RMS = 0.0345  # -30 LUFS for this sound (ITU-R BS.1770), see the test

# Slow chords (MIDI notes), one every 6 s, and the marimba's notes, one every 0.75 s (None: a rest).
_CHORDS = ((48, 55, 64, 71), (45, 52, 60, 67), (41, 48, 57, 64), (43, 50, 59, 69))
_MELODY = (
    (76, None, 79, None, 83, 79, None, 74),
    (72, None, 76, None, 79, None, 76, None),
    (69, None, 72, 76, None, 79, None, 72),
    (74, None, 71, None, 74, 79, None, None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loop:
    """The access units of a sound that repeats, by rendition."""

    units: Mapping[RenditionName, tuple[bytes, ...]]

    def between(self, rendition: Rendition, first: int, end: int) -> list[bytes]:
        """Return access units ``[first, end)``, counted from the room's zero."""
        units = self.units[rendition.name]
        return [units[index % len(units)] for index in range(first, end)]

    def step(self, rendition: Rendition, step: Step) -> list[bytes]:
        """Return the access units that start in a step."""
        frame = rendition.frame_samples
        return self.between(rendition, first_unit(step, frame), first_unit(Step(step + 1), frame))

    def to_bytes(self) -> bytes:
        """Return the loop for a file, so that the next process need not encode it."""
        parts = [_MAGIC, bytes((len(self.units),))]
        for name, units in self.units.items():
            parts += (bytes((len(name),)), name.encode("ascii"))
            parts.append(struct.pack(f">I{len(units)}H", len(units), *map(len, units)))
            parts += units
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Loop":
        """Return a loop that was saved; raises MediaError if it is not one, or not whole."""
        try:
            return cls(_read(data))
        except (struct.error, IndexError, ValueError) as error:
            raise MediaError("A file of encoded sound is cut short or garbled: delete it.") from error


def encode_loop(pcm: Pcm) -> Loop:
    """Encode (1, n) float32 in all renditions so that its end runs into its beginning.

    ``n`` must be whole access units in every rendition. The encoders hear the end before the beginning, so the
    seam sounds like any other place; their priming is left out, as in the program.

    Raises:
        MediaError: the length does not fit.
    """
    samples = pcm.shape[1]
    if any(samples % rendition.frame_samples for rendition in RENDITIONS.values()):
        raise MediaError("A loop must be whole access units in every rendition.")
    return Loop({name: _encode(pcm, rendition) for name, rendition in RENDITIONS.items()})


@cache
def silence_loop() -> Loop:
    """Return encoded silence, one segment long."""
    return encode_loop(np.zeros((1, _SEGMENT_SAMPLES), np.float32))


@cache
def hold_loop() -> Loop:
    """Return the hold sound, encoded (about two seconds of work: keep it in a file)."""
    return encode_loop(hold_sound())


def hold_sound() -> Pcm:
    """Return 24 s of slow chords with a soft marimba, (1, 1152000) float32, about -30 LUFS; it loops."""
    sound = np.zeros(HOLD_SAMPLES)
    chord_samples = HOLD_SAMPLES // len(_CHORDS)
    for index, (chord, notes) in enumerate(zip(_CHORDS, _MELODY, strict=True)):
        at = index * chord_samples
        for note in chord:
            _put(sound, at, _pad(note, chord_samples * 3 // 2))
        for beat, melody_note in enumerate(notes):
            if melody_note is not None:
                _put(sound, at + beat * chord_samples // len(notes), _marimba(melody_note))
    sound *= _HOLD_RMS / np.sqrt(np.mean(sound**2))
    return sound.astype(np.float32)[None]


def _put(sound: Wave, at: int, note: Wave) -> None:
    """Add a note, running over the end into the beginning."""
    first = min(len(note), len(sound) - at)
    sound[at : at + first] += note[:first]
    sound[: len(note) - first] += note[first:]


def _hertz(note: int) -> float:
    return float(440.0 * 2.0 ** ((note - 69) / 12))


def _pad(note: int, samples: int) -> Wave:
    time = np.arange(samples) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * _hertz(note) * time
    slow = 0.8 + 0.2 * np.sin(2 * np.pi * 0.5 * time)
    tone = np.sin(phase) + 0.25 * np.sin(2 * phase) + 0.08 * np.sin(3 * phase)
    return np.asarray(0.22 * slow * tone * np.hanning(samples))


def _marimba(note: int) -> Wave:
    samples = 2 * SAMPLE_RATE_HZ
    time = np.arange(samples) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * _hertz(note) * time
    attack = np.minimum(1.0, time / 0.006)
    tone = np.sin(phase) * np.exp(-2.6 * time) + 0.15 * np.sin(3.93 * phase) * np.exp(-11 * time)
    return np.asarray(0.34 * attack * tone * np.minimum(1.0, (samples - np.arange(samples)) / 2400))


def _encode(pcm: Pcm, rendition: Rendition) -> tuple[bytes, ...]:
    frame, samples = rendition.frame_samples, pcm.shape[1]
    warm_up = _WARM_UP_SAMPLES // frame
    wanted = samples // frame
    encoder = Encoder(rendition)
    units: list[bytes] = []
    at = rendition.priming_samples - warm_up * frame
    while len(units) < warm_up + wanted:
        units += encoder.encode(pcm[:, np.arange(at, at + frame) % samples])
        at += frame
    return tuple(units[warm_up : warm_up + wanted])


def _read(data: bytes) -> dict[RenditionName, tuple[bytes, ...]]:
    if data[:4] != _MAGIC:
        raise ValueError("magic")
    loops: dict[RenditionName, tuple[bytes, ...]] = {}
    at = 5
    for _ in range(data[4]):
        name_end = at + 1 + data[at]
        name = RenditionName(data[at + 1 : name_end].decode("ascii"))
        (count,) = struct.unpack_from(">I", data, name_end)
        lengths = struct.unpack_from(f">{count}H", data, name_end + 4)
        at = name_end + 4 + 2 * count
        units = []
        for length in lengths:
            units.append(data[at : at + length])
            at += length
        loops[name] = tuple(units)
    if at != len(data) or set(loops) != set(RENDITIONS) or not all(loops.values()):
        raise ValueError("length")
    return loops
