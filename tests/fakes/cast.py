"""A speaker's session without a network: what the person says is put in by hand, what they hear is kept."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from stentor.errors import BadRequest
from stentor.media.encoder import OpusEncoder
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from stentor.origin.session import SessionEvents, SessionStats


class FakeSession:
    """The face of origin.session.MediaSession that a cast uses."""

    def __init__(self, events: SessionEvents, number: int) -> None:
        self.id = f"session-{number}"
        self.sends = True
        self.silent_ms = 0.0
        self.patience_ms = 0.0
        self.heard: list[bytes] = []
        self.closed: str | None = None
        self.answering = asyncio.Event()
        self.answering.set()
        self._events = events
        self._ended = asyncio.Event()
        self._encoder = OpusEncoder()
        self._spoken = 0

    async def accept(self, sdp: str) -> str:
        if sdp == "rubbish":
            raise BadRequest("This is no offer.")
        await self.answering.wait()
        return f"answer to {sdp}"

    async def run(self) -> None:
        await self._ended.wait()

    def send(self, payload: bytes) -> None:
        self.heard.append(payload)

    def stats(self) -> SessionStats:
        return SessionStats(
            packets_received=self._spoken,
            packets_lost=0,
            loss=0.0,
            jitter_ms=0.0,
            packets_sent=len(self.heard),
            loss_there=0.0,
            round_trip_ms=None,
            level_dbov=None,
            silent_ms=self.silent_ms,
        )

    def restart(self, fragment: str) -> str:
        return f"answer to {fragment}"

    def end(self, reason: str) -> None:
        if self.closed is None:
            self.closed = reason
            self._ended.set()
            self._events.on_closed(reason)

    def add_candidates(self, fragment: str) -> None:
        self.fragment = fragment

    async def close(self, reason: str) -> None:
        self.end(reason)

    def say(self, pitch_hz: float, arrival_ns: int, amplitude: float = 0.3) -> None:
        """Let 20 ms of a pitch arrive."""
        at = (self._spoken * TICK_SAMPLES + np.arange(TICK_SAMPLES)) / SAMPLE_RATE_HZ
        sound: NDArray[np.float32] = (amplitude * np.sin(2 * np.pi * pitch_hz * at)).astype(np.float32).reshape(1, -1)
        payload = self._encoder.encode(sound)
        self._events.on_packet(self._spoken, self._spoken * TICK_SAMPLES, payload, arrival_ns)
        self._spoken += 1


class FakeDoor:
    """Opens fake sessions and keeps them."""

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.slow = False

    def __call__(self, events: SessionEvents) -> FakeSession:
        self.sessions.append(FakeSession(events, len(self.sessions)))
        if self.slow:
            self.sessions[-1].answering.clear()
        return self.sessions[-1]
