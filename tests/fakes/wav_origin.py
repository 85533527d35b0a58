"""An origin whose program is a WAV in a loop: real encoders, chunker and bus, no speakers.

Two of them on one room, one after the other, are a takeover. Named scenes for synthetic sound: ``beeps`` (1 kHz, 0.1 s
at each whole second of the room's time) and ``talk`` (two voices of tones that take turns).
"""

import json
import wave
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stentor.bus.port import Bus, Fence, chunk_subject, live_chunk_subject, live_stage_subject, origin_subject
from stentor.bus.ring import pack_messages
from stentor.bus.wire import encode_chunk
from stentor.clock import Clock, MonotonicNs
from stentor.errors import BusUnavailable, Fenced
from stentor.media.chunk import Chunk
from stentor.media.chunker import Chunker
from stentor.media.encoder import Encoder
from stentor.media.fmp4 import init_segment
from stentor.media.grid import (
    SAMPLE_RATE_HZ,
    SEGMENT_NS,
    STEP_SAMPLES,
    TICK_SAMPLES,
    Segment,
    first_step,
)
from stentor.media.proof import genesis
from stentor.media.rendition import RENDITIONS, Rendition, RenditionName
from stentor.room.documents import Role, RoomDocument, StageDocument, StagePerson
from stentor.room.requests import RingRead
from stentor.room.states import RoomState

Mono = NDArray[np.float32]
TICK_NS = 20_000_000
RING_CHUNKS = 208


def read_wav(path: Path) -> Mono:
    """Return a 48 kHz, 16-bit mono WAV as float32."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE_HZ, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32_768)


def beeps(seconds: int = 2) -> Mono:
    """Return silence with a 1 kHz beep of 0.1 s at each whole second."""
    time_s = np.arange(seconds * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return (0.5 * np.sin(2 * np.pi * 1_000 * time_s) * (time_s % 1.0 < 0.1)).astype(np.float32)


def talk() -> Mono:
    """Return 12 s in which two voices of harmonics take turns, word by word."""
    time_s = np.arange(12 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pitch = np.where(time_s % 12 < 6, 120.0, 210.0)
    voice = sum(np.sin(2 * np.pi * n * pitch * time_s) / n for n in range(1, 8))
    words = np.clip(np.sin(2 * np.pi * 1.7 * time_s) + 0.4, 0, 1) * (time_s % 6 < 5.2)
    return np.asarray(0.15 * voice * words, np.float32)


def room_document(room: str, clock: Clock, state: RoomState = RoomState.LIVE, **fields: object) -> RoomDocument:
    """Return a document of a room that opened some seconds ago."""
    now = clock.wall_ns()
    zero = (now // SEGMENT_NS - 3) * SEGMENT_NS
    opened = state not in (RoomState.DRAFT, RoomState.SCHEDULED)
    values: dict[str, object] = {
        "room": room,
        "title": "A demo room",
        "description": "Two voices of tones, taking turns.",
        "state": state,
        "planned_start_ns": now + 600_000_000_000 if state is RoomState.SCHEDULED else zero,
        "time_zone": "Asia/Beirut",
        "zero_ns": zero if opened else None,
        "started_ns": zero if opened and state is not RoomState.LOBBY else None,
        "ended_ns": now if state in (RoomState.ENDED, RoomState.PUBLISHED) else None,
        "key_fingerprint": "0123456789abcdef" * 4,
    }
    return RoomDocument.model_validate(values | fields)


class WavOrigin:
    """One origin's tenure of a room. ``run`` claims the room and goes on until it is cancelled."""

    def __init__(
        self, bus: Bus, clock: Clock, document: RoomDocument, pcm: Mono, *, log: bool = True, on_air: bool = True
    ) -> None:
        assert document.zero_ns is not None
        self.document = document
        self.published: list[Chunk] = []
        self.ring: dict[RenditionName, deque[tuple[int, bytes]]] = {
            name: deque(maxlen=RING_CHUNKS) for name in RENDITIONS
        }
        self._bus = bus
        self._clock = clock
        self._zero_ns = document.zero_ns
        self._pcm = pcm
        self._log = log
        self.on_air = on_air
        self._room = document.room
        self._spool: deque[tuple[Chunk, bytes]] = deque()
        self.fenced = False

    async def run(self) -> None:
        """Claim the room, begin on the next segment, and send."""
        fence = await self._bus.claim(self._room, json.dumps({"fake": "wav"}).encode())
        number = Segment((self._clock.wall_ns() - self._zero_ns) // SEGMENT_NS + 1)
        first = first_step(number)
        ways = [_Way(self._room, rendition, fence.epoch, number) for rendition in RENDITIONS.values()]
        start = first * STEP_SAMPLES
        offset_ns = self._clock.monotonic_ns() - self._clock.wall_ns() + self._zero_ns
        async with self._bus.serve(origin_subject(self._room, "ring"), self._answer_ring):
            at = start
            while True:
                due = offset_ns + (at + TICK_SAMPLES) * 1_000_000_000 // SAMPLE_RATE_HZ
                await self._clock.sleep_until(MonotonicNs(due))
                block = self._pcm.take(range(at, at + TICK_SAMPLES), mode="wrap")
                for way in ways:
                    for chunk in way.encode(block, at):
                        await self._send(fence, chunk)
                if (at - start) // TICK_SAMPLES % 10 == 0:
                    await self._say(fence.epoch, at)
                at += TICK_SAMPLES

    async def _send(self, fence: Fence, chunk: Chunk) -> None:
        message = encode_chunk(chunk)
        self.published.append(chunk)
        del self.published[:-1_000]
        self.ring[chunk.rendition].append((chunk.step, message))
        await self._bus.publish(live_chunk_subject(self._room, chunk.rendition), message)
        if self._log and not self.fenced:
            self._spool.append((chunk, message))
            await self._write_log(fence)

    async def _write_log(self, fence: Fence) -> None:
        """Log what is spooled. Once fenced it logs no more and talks on: the stale origin that edges must ignore."""
        while self._spool:
            chunk, message = self._spool[0]
            subject = chunk_subject(self._room, chunk.rendition)
            try:
                await self._bus.append(fence, subject, f"{subject}:{chunk.epoch}:{chunk.step}", message)
            except BusUnavailable:
                return
            except Fenced:
                self.fenced = True
                return
            self._spool.popleft()

    async def _answer_ring(self, _subject: str, payload: bytes) -> bytes:
        ask = RingRead.model_validate_json(payload)
        held = self.ring[RenditionName(ask.rendition)]
        return pack_messages([message for step, message in held if step > ask.after_step])

    async def _say(self, epoch: int, at: int) -> None:
        first_talks = at // SAMPLE_RATE_HZ % 12 < 6
        people = tuple(
            StagePerson(person=f"p{index}", name=name, role=role, speaking=self.on_air and talks, heard=True)
            for index, (name, role, talks) in enumerate(
                [("Amal", Role.HOST, first_talks), ("Boris", Role.SPEAKER, not first_talks)]
            )
        )
        stage = StageDocument(
            room=self._room, epoch=epoch, at_ns=self._clock.wall_ns(), on_air=self.on_air, people=people
        )
        await self._bus.publish(live_stage_subject(self._room), stage.to_bytes())


class _Way:
    """Encoder and chunker of one rendition; skips the samples that the encoder puts in front (docs/design.md)."""

    def __init__(self, room: str, rendition: Rendition, epoch: int, number: Segment) -> None:
        first = first_step(number)
        self._skip_to = first * STEP_SAMPLES + rendition.priming_samples
        self._encoder = Encoder(rendition)
        self._chunker = Chunker(
            room,
            rendition,
            epoch=epoch,
            discontinuity=epoch - 1,
            first=first,
            head=genesis(room, rendition.name, init_segment(rendition)),
        )

    def encode(self, block: Mono, at: int) -> list[Chunk]:
        """Take the program's samples from ``at``; return the chunks that are due."""
        ahead = max(0, self._skip_to - at)
        if ahead >= len(block):
            return []
        return self._chunker.add(self._encoder.encode(block[None, ahead:]))
