"""The room's grid of time, counted in samples from the room's zero.

A step is 0.24 s; a part of LL-HLS is 2 steps, a segment 4 parts. All renditions cut their access
units on this grid: 12 Opus, 10 MP3 or 12/11/11/11 AAC access units start in each step.
"""

from typing import NewType

Samples = NewType("Samples", int)
Step = NewType("Step", int)
Segment = NewType("Segment", int)

SAMPLE_RATE_HZ = 48_000
TICK_SAMPLES = 960
STEP_SAMPLES = 11_520
STEPS_PER_PART = 2
PARTS_PER_SEGMENT = 4
STEPS_PER_SEGMENT = STEPS_PER_PART * PARTS_PER_SEGMENT
STEP_NS = 240_000_000
SEGMENT_NS = STEP_NS * STEPS_PER_SEGMENT


def segment_of(step: Step) -> Segment:
    """Return the segment that a step belongs to."""
    return Segment(step // STEPS_PER_SEGMENT)


def first_step(segment: Segment) -> Step:
    """Return the first step of a segment."""
    return Step(segment * STEPS_PER_SEGMENT)


def first_unit(step: Step, frame_samples: int) -> int:
    """Return the index, from the room's zero, of the first access unit that starts in a step or later.

    Access unit k of a codec with ``frame_samples`` starts at sample ``k * frame_samples``. Segments hold
    whole numbers of access units in every rendition, so an epoch that begins on a segment is aligned.
    """
    return -(-step * STEP_SAMPLES // frame_samples)


def units_in(step: Step, frame_samples: int) -> int:
    """Return how many access units start within a step."""
    return first_unit(Step(step + 1), frame_samples) - first_unit(step, frame_samples)
