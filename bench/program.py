"""An origin that costs next to nothing: twelve seconds of program, encoded once, sent again and again at due time.

What goes out is real: Opus at a constant 32 kbit/s (and AAC, MP3 where asked for) on the room's grid, each chunk on the
bus when its step has ended.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable

import av
import numpy as np

from stentor.bus.port import Bus, live_chunk_subject, live_stage_subject, origin_subject
from stentor.bus.ring import pack_messages
from stentor.bus.wire import encode_chunk
from stentor.clock import Clock, MonotonicNs
from stentor.media.chunk import Chunk
from stentor.media.encoder import Encoder
from stentor.media.grid import SAMPLE_RATE_HZ, SEGMENT_NS, STEP_NS, STEPS_PER_SEGMENT, Samples, Step, first_unit
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.documents import RoomDocument, StageDocument
from stentor.room.requests import RingRead

_LOOP_STEPS = 48
_RING_CHUNKS = 128
_STAGE_EVERY_STEPS = 4


def encoded_loop(name: RenditionName) -> list[bytes]:
    """Return the access units of 48 steps of noise; Opus at a constant bitrate, so that every chunk has 960 bytes."""
    rendition = RENDITIONS[name]
    count = first_unit(Step(_LOOP_STEPS), rendition.frame_samples)
    samples = (count + 8) * rendition.frame_samples
    noise = (np.random.default_rng(1).standard_normal((1, samples)) * 0.05).astype(np.float32)
    if name is not RenditionName.OPUS:
        return Encoder(rendition).encode(noise)[:count]
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE_HZ, "mono", "flt"
    codec.bit_rate, codec.options = rendition.bitrate_bps, {"vbr": "off"}
    units = []
    for at in range(0, samples, rendition.frame_samples):
        frame = av.AudioFrame.from_ndarray(noise[:, at : at + rendition.frame_samples], format="flt", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, at
        units += [bytes(packet) for packet in codec.encode(frame)]
    return units[:count]


class LoopedOrigin:
    """One origin's tenure of a room, epoch 1, unlogged. ``run`` goes on until it is cancelled."""

    def __init__(self, bus: Bus, clock: Clock, document: RoomDocument, renditions: Iterable[RenditionName]) -> None:
        assert document.zero_ns is not None
        self.sent: list[Callable[[Step, bytes], None]] = []
        self._bus = bus
        self._clock = clock
        self._room = document.room
        self._zero_ns = document.zero_ns
        self._loops = {name: encoded_loop(name) for name in renditions}
        self._rings: dict[str, deque[tuple[int, bytes]]] = {name: deque(maxlen=_RING_CHUNKS) for name in self._loops}

    async def run(self) -> None:
        """Send a chunk of each rendition at the end of each step, from the next segment on."""
        step = ((self._clock.wall_ns() - self._zero_ns) // SEGMENT_NS + 1) * STEPS_PER_SEGMENT
        to_monotonic_ns = self._clock.monotonic_ns() - self._clock.wall_ns()
        async with self._bus.serve(origin_subject(self._room, "ring"), self._answer_ring):
            while True:
                due_ns = self._zero_ns + (step + 1) * STEP_NS + to_monotonic_ns
                await self._clock.sleep_until(MonotonicNs(due_ns))
                for name in self._loops:
                    await self._send(name, Step(step))
                if step % _STAGE_EVERY_STEPS == 0:
                    stage = StageDocument(room=self._room, epoch=1, at_ns=self._clock.wall_ns(), on_air=True)
                    await self._bus.publish(live_stage_subject(self._room), stage.to_bytes())
                step += 1

    async def _send(self, name: RenditionName, step: Step) -> None:
        loop, frame = self._loops[name], RENDITIONS[name].frame_samples
        begin, end = first_unit(step, frame), first_unit(Step(step + 1), frame)
        units = tuple(loop[unit % len(loop)] for unit in range(begin, end))
        head = hashlib.sha256(b"%d" % step).digest()
        chunk = Chunk(self._room, name, 1, 0, step, Samples(begin * frame), units, head)
        message = encode_chunk(chunk)
        self._rings[name].append((step, message))
        await self._bus.publish(live_chunk_subject(self._room, name), message)
        for listener in self.sent:
            listener(step, message)

    async def _answer_ring(self, _subject: str, payload: bytes) -> bytes:
        ask = RingRead.model_validate_json(payload)
        held = self._rings.get(ask.rendition, deque())
        return pack_messages([message for step, message in held if step > ask.after_step])
