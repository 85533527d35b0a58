"""Push as a client that nobody here wrote sees it."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from stentor.edge.http import Limits
from stentor.edge.push import START_STEPS
from stentor.media.fmp4 import fragment, init_segment
from stentor.media.grid import Samples, Step, first_unit
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.room.states import RoomState
from tests.fakes.listener import unwrap
from tests.fakes.wav_room import WavRoom, wav_room

HEADER = struct.Struct(">BBHIQ")


@pytest.fixture
async def room() -> AsyncIterator[WavRoom]:
    async with wav_room() as running:
        yield running


def listen(room: WavRoom, query: str = "") -> connect:
    return connect(f"ws://127.0.0.1:{room.port}/r/demo/push{query}", compression=None, proxy=None)


async def next_media(listener: ClientConnection) -> tuple[int, int, int, int, bytes]:
    """Return (kind, discontinuity, epoch, step, payload) of the next binary frame."""
    while True:
        message = await listener.recv()
        if isinstance(message, bytes):
            version, *fields = HEADER.unpack_from(message)
            assert version == 1
            return (*fields, message[HEADER.size :])


async def until_closed(listener: ClientConnection) -> list[bytes]:
    """Return the binary frames that came before the close."""
    frames: list[bytes] = []
    with suppress(ConnectionClosedError):  # what any code but 1000 and 1001 is to this library
        async with asyncio.timeout(10):
            async for message in listener:
                frames += [message] if isinstance(message, bytes) else []
    return frames


async def test_says_hello_state_init_and_then_chunks_without_a_hole(room: WavRoom) -> None:
    async with listen(room, "?rendition=opus") as listener:
        hello, state = json.loads(await listener.recv()), json.loads(await listener.recv())
        assert hello == {
            "type": "hello",
            "rendition": "opus",
            "mime": 'audio/mp4; codecs="opus"',
            "step_s": 0.24,
            "zero_ms": (room.document.zero_ns or 0) // 1_000_000,
            "block_steps": 1,
            "retry_spread_s": 3.0,
        }
        assert (state["type"], state["state"], state["room"]) == ("state", "live", "demo")
        opus = RENDITIONS[RenditionName.OPUS]
        kind, _, epoch, _, payload = await next_media(listener)
        assert (kind, epoch, payload) == (1, 1, init_segment(opus))
        had = None
        for _ in range(6):
            kind, _, epoch, step, payload = await next_media(listener)
            assert (kind, epoch) == (2, 1)
            first = step - START_STEPS + 1 if had is None else had + 1
            chunks = {c.step: c for c in room.origin.published if c.rendition is RenditionName.OPUS}
            start = max(first, min(chunks))
            units = [unit for each in range(start, step + 1) for unit in chunks[Step(each)].units]
            assert payload == fragment(opus, step, Samples(first_unit(Step(start), 960) * 960), units)
            had = step


async def test_resumes_after_the_step_it_had(room: WavRoom) -> None:
    async with listen(room, "?rendition=aac") as first:
        while (await next_media(first))[0] != 2:
            pass
        had = (await next_media(first))[3]
        await next_media(first)
    for _ in range(2):
        async with listen(room, f"?rendition=aac&after={had}") as second:
            assert (await next_media(second))[0] == 1
            *_, step, payload = await next_media(second)
            assert step > had
            assert unwrap(payload)[0] == first_unit(Step(had + 1), 1024) * 1024
            assert (await next_media(second))[3] == step + 1


async def test_state_reaches_listeners_when_it_changes(room: WavRoom) -> None:
    async with listen(room) as listener:
        await next_media(listener)
        await room.put(RoomState.HELD)
        async with asyncio.timeout(10):
            while True:
                message = await listener.recv()
                if isinstance(message, str) and json.loads(message).get("state") == "held":
                    break


async def test_a_takeover_brings_a_new_initialisation_and_a_discontinuity(room: WavRoom) -> None:
    async with listen(room) as listener:
        before = heard = await next_media(listener)
        await room.kill_origin()
        room.start_origin()
        async with asyncio.timeout(15):
            while heard[2] == 1:
                before, heard = heard, await next_media(listener)
        assert heard[:3] == (1, 1, 2)
        kind, discontinuity, epoch, step, _ = await next_media(listener)
        assert (kind, discontinuity, epoch, step % 8) == (2, 1, 2, 0)
        assert step > before[3]


async def test_two_origins_that_fight_are_heard_as_one(room: WavRoom) -> None:
    async with listen(room) as listener:
        while (await next_media(listener))[0] != 2:
            pass
        room.start_origin()  # the first goes on and does not heed the fence
        steps: list[int] = []
        epochs: list[int] = []
        async with asyncio.timeout(20):
            while epochs.count(2) < 6:
                kind, _, epoch, step, _ = await next_media(listener)
                if kind == 2:
                    steps.append(step)
                    epochs.append(epoch)
        assert steps == sorted(set(steps))
        assert epochs == sorted(epochs)
        assert room.origins[0][0].fenced
        assert room.origins[0][0].published[-1].step >= steps[-1] - 1


async def test_the_end_is_a_normal_close_after_the_last_chunk(room: WavRoom) -> None:
    async with listen(room) as listener:
        while (await next_media(listener))[0] != 2:
            pass
        await room.put(RoomState.ENDED)
        await room.kill_origin()
        last = max(c.step for c in room.origin.published if c.rendition is RenditionName.OPUS)
        frames = await until_closed(listener)
        assert listener.close_code == 1000
        assert all(HEADER.unpack_from(frame)[4] <= last for frame in frames)


@pytest.mark.parametrize(
    ("state", "name", "code"),
    [(RoomState.SCHEDULED, "demo", 4425), (RoomState.DRAFT, "demo", 4404), (RoomState.LIVE, "x", 4404)],
)
async def test_close_codes_say_why_nobody_is_let_in(state: RoomState, name: str, code: int) -> None:
    async with (
        wav_room(state=state, origin=False) as room,
        connect(f"ws://127.0.0.1:{room.port}/r/{name}/push", proxy=None) as listener,
    ):
        assert await until_closed(listener) == []
        assert listener.close_code == code


async def test_a_stop_sends_listeners_elsewhere() -> None:
    async with wav_room() as room:
        listener = await listen(room)
        await next_media(listener)
        room.edge.stop()
        await until_closed(listener)
        assert listener.close_code == 1001
        assert (listener.close_reason or "").startswith("retry=")


async def test_after_the_bus_was_away_the_hole_is_filled(room: WavRoom) -> None:
    async with listen(room) as listener:
        while (await next_media(listener))[0] != 2:
            pass
        before = (await next_media(listener))[3]
        made = len(room.origin.published)
        room.bus.away()
        assert not room.edge.ready
        await room.until(lambda: len(room.origin.published) > made + 9, "three steps are lost")
        room.bus.back()
        steps = [(await next_media(listener))[3] for _ in range(5)]
        assert steps == list(range(before + 1, before + 6))
        assert room.edge.ready


async def test_one_who_does_not_read_is_cut_and_the_others_are_not() -> None:
    async with wav_room(limits=Limits(send_buffer_bytes=2_048, stall_s=1.0)) as room:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            deaf.connect(("127.0.0.1", room.port))
            deaf.sendall(
                b"GET /r/demo/push?rendition=aac HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            async with listen(room, "?rendition=aac") as good:
                before = await next_media(good)
                push = room.edge.rooms.get("demo").program(RenditionName.AAC).push
                assert push is not None
                await room.until(lambda: len(push.listeners) == 2, "both listen")
                await room.until(lambda: len(push.listeners) == 1, "the slow one is cut", 40)
                while (await next_media(good))[3] <= before[3]:
                    pass
                assert room.edge.rooms.get("demo").tally.cuts == {"push": {"too-slow": 1}}
                await room.until(lambda: room.edge.connections == 1, "its connection is gone")
