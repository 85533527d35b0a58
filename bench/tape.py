"""The program as it goes out on the bus, and what is wrong with it: steps that are missing, frames that are."""

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

from bench.fidelity import Material, Sender, find
from bench.speech import BrowserEncoder, Pcm, decoded, digits, missing_or_repeated, numbered, read_digits
from stentor.bus.wire import decode_chunk
from stentor.media.grid import TICK_SAMPLES

_FRAMES_A_STEP = 12
_LOOK_S = 10.0


class Numbers:
    """A microphone: silence, and on ``say`` a run of sound in which each 20 ms frame has the pitch of its number."""

    def __init__(self, seconds: float) -> None:
        tones = numbered(int(seconds * 50))
        self.material = Material("numbered", tones, BrowserEncoder(64_000).encode(tones))
        self._sender = Sender([self.material])

    def __call__(self) -> bytes:
        """Return the next packet."""
        return self._sender()

    def say(self) -> None:
        """Begin a run."""
        self._sender = Sender([self.material])
        self._sender.begin = True

    @property
    def over(self) -> bool:
        """Tell whether the run has been sent."""
        return self._sender.over


@dataclass
class Tape:
    """The Opus of one room, off the bus, from ``begin`` on."""

    room: str
    units: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    last_at: float = 0.0
    longest_gap_s: float = 0.0

    @property
    def subject(self) -> str:
        """Return what to subscribe to."""
        return f"live.{self.room}.chunk.opus"

    def hear(self, _subject: str, payload: bytes) -> None:
        """Keep a chunk."""
        now, chunk = time.monotonic(), decode_chunk(payload)
        if self.units:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_at)
        self.last_at = now
        self.units[chunk.step] = chunk.units

    def begin(self) -> None:
        """Forget what was heard so far."""
        self.units.clear()
        self.longest_gap_s = 0.0

    def missing_steps(self) -> int:
        """Return how many steps between the first and the last are missing."""
        return max(self.units) - min(self.units) + 1 - len(self.units) if self.units else 0

    def sound(self) -> Pcm:
        """Return it decoded."""
        return decoded(unit for step in sorted(self.units) for unit in self.units[step])

    def frames_wrong(self, said: Material) -> int:
        """Return how many of the numbered frames are missing or came twice; looked for in the first ten seconds."""
        sound = self.sound()
        begin = find(sound, said.sound, 0, _LOOK_S)
        heard = sound[begin : begin + len(said.sound)]
        short = (len(said.sound) - len(heard)) // TICK_SAMPLES
        return short + missing_or_repeated(digits(len(said.packets)), read_digits(heard))[0]

    async def glitches(self, said: Material) -> int:
        """Return all that is wrong, in frames of 20 ms; raises AssertionError when nothing was heard at all."""
        assert len(self.units) * _FRAMES_A_STEP * TICK_SAMPLES > len(said.sound) / 2, f"{self.room} was not heard"
        level = float(np.abs(self.sound()[-len(said.sound) :]).max())
        assert level > 0.01, f"{self.room} was silent (peak {level:.4f} in {len(self.units)} steps)"
        wrong = await asyncio.to_thread(self.frames_wrong, said)
        return wrong + _FRAMES_A_STEP * self.missing_steps()
