"""What the two people of the demo say, and who says it when."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stentor.demo.speech import speak
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES


@dataclass(frozen=True, slots=True)
class Voice:
    """A synthetic person: how espeak-ng makes them sound."""

    name: str
    english: str
    arabic: str
    pitch: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that one person says; ``speaker`` is 0 or 1."""

    speaker: int
    language: str
    text: str


VOICES = (Voice("Layla", "en+f3", "ar+f3", 55), Voice("Omar", "en-us", "ar", 38))

TURNS = (
    Turn(0, "en", "Good evening, and welcome. I am Layla, and this room runs on a server of your own."),
    Turn(
        1,
        "en",
        "And I am Omar. We are two computer voices, but the way of the sound is real: every word goes over WebRTC.",
    ),
    Turn(0, "en", "What you hear was mixed twenty milliseconds at a time, and encoded once for everybody."),
    Turn(1, "ar", "مساء الخير. أنا عمر، ونحن نتحدث بالعربية أيضا."),
    Turn(0, "ar", "أهلا وسهلا بكم. كل كلمة تقال هنا تحفظ كما هي، بلا حذف ولا تعديل."),
    Turn(1, "en", "If you open the speaker's link in another window, you can join us and talk."),
    Turn(0, "en", "We will not wait for an answer, I am afraid. We are rather single minded."),
    Turn(1, "ar", "وعندما تنتهي الجلسة، تجدون التسجيل في العنوان نفسه."),
    Turn(0, "ar", "شكرا لكم على الاستماع. لنبدأ من جديد."),
    Turn(1, "en", "Thank you for listening. Let us begin again."),
)

_PAUSE_S = 0.55


def render(
    turns: tuple[Turn, ...] = TURNS, progress: Callable[[int, int], None] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return one loop of the conversation: a track for each voice, equally long, whole ticks of 48 kHz float32.

    Where one speaks the other track is silent. ``progress`` is called with (turns done, all turns).
    """
    tracks: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    for index, turn in enumerate(turns):
        voice = VOICES[turn.speaker]
        words = speak(turn.text, voice=voice.english if turn.language == "en" else voice.arabic, pitch=voice.pitch)
        length = len(words) + int(_PAUSE_S * SAMPLE_RATE_HZ)
        length += -length % TICK_SAMPLES
        spoken = np.zeros(length, np.float32)
        spoken[: len(words)] = words
        tracks[turn.speaker].append(spoken)
        tracks[1 - turn.speaker].append(np.zeros(length, np.float32))
        if progress:
            progress(index + 1, len(turns))
    return np.concatenate(tracks[0]), np.concatenate(tracks[1])
