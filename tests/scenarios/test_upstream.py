"""Edge behind edge behind edge: the same chunks, one stream each, counts, keys, breaks, replays."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from stentor.bus.port import live_chunk_subject, live_stage_subject, load_subject, meter_subject, origin_subject
from stentor.bus.upstream_wire import VERSION, Kind, pack, pack_after, unpack
from stentor.bus.wire import step_of
from stentor.edge.downstream import RelaySettings
from stentor.errors import BusUnavailable
from stentor.room.crowd_meter import MeterReport
from stentor.room.documents import Role, RoomDocument, StageDocument, StagePerson
from stentor.room.requests import RingRead
from stentor.room.states import RoomState
from tests.fakes.lower_edge import KEY, LowerEdge, lower_edge
from tests.fakes.wav_origin import room_document
from tests.fakes.wav_room import WavRoom, wav_room
from tests.scenarios.test_edge_http import Recordings
from tests.scenarios.test_edge_push import next_media


class Counting(Recordings):
    """A replay desk that counts what it is asked, and takes its time."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def reply(self, room: str, path: str, method: str, range_header: str | None):
        self.asked.append((method, path))
        await asyncio.sleep(0.05)
        reply = await super().reply(room, path, method, range_header)
        if path == "replay.m3u8":
            reply.headers.append(("Cache-Control", "public, max-age=10"))
        return reply


@pytest.fixture
async def room() -> AsyncIterator[WavRoom]:
    async with wav_room(replay=Counting(), relays=RelaySettings(KEY)) as running:
        yield running


def listen(edge: WavRoom | LowerEdge, query: str = "?rendition=aac") -> connect:
    return connect(f"ws://127.0.0.1:{edge.port}/r/demo/push{query}", compression=None, proxy=None)


def relay(edge: WavRoom, **headers: str) -> connect:
    url = f"ws://127.0.0.1:{edge.port}/relay?version={VERSION}"
    return connect(url, compression=None, proxy=None, additional_headers=headers)


async def media(listener: ClientConnection, count: int) -> dict[int, bytes]:
    """Return the next media frames by step."""
    found: dict[int, bytes] = {}
    while len(found) < count:
        kind, _, _, step, payload = await next_media(listener)
        if kind == 2:
            found[step] = payload
    return found


async def playlist_of(edge: WavRoom | LowerEdge, name: str, query: str = "") -> bytes:
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.get(f"{edge.url}/{name}.m3u8{query}")
        assert answer.status_code == 200, answer.text
        return answer.content


async def test_listeners_three_edges_down_get_the_same_over_one_stream(room: WavRoom) -> None:
    async with lower_edge(room.port, "middle") as middle, lower_edge(middle.port, "lowest") as lowest:
        async with listen(room) as above, listen(lowest) as below, listen(lowest) as beside:
            await media(below, 1)
            high, low, third = await media(above, 4), await media(below, 4), await media(beside, 4)
            same = high.keys() & low.keys() & third.keys()
            assert same
            assert all(high[step] == low[step] == third[step] for step in same)
        for name in ("aac", "opus"):
            first = await playlist_of(room, name)
            sequence = int(first.split(b"#EXT-X-MEDIA-SEQUENCE:")[1].split()[0])
            number = sequence + first.count(b"#EXTINF")
            query = f"?_HLS_msn={number}&_HLS_part=1"
            assert await playlist_of(room, name, query) == await playlist_of(lowest, name, query)
        async with httpx.AsyncClient() as client, client.stream("GET", f"{lowest.url}/listen.mp3") as stream:
            async for piece in stream.aiter_bytes():
                assert piece[:1] == b"\xff"
                break
        downstream = room.edge.rooms.downstream
        assert len(downstream._relays) == 1
        assert {key: len(relays) for key, relays in downstream._wanted.items()} == {
            ("demo", "aac"): 1, ("demo", "opus"): 1, ("demo", "mp3"): 1,
        }  # fmt: skip


async def test_a_broken_connection_leaves_no_hole(room: WavRoom) -> None:
    async with lower_edge(room.port) as lower, listen(lower) as listener:
        steps = list(await media(listener, 2))
        for _ in range(3):
            for below in tuple(room.edge.rooms.downstream._relays):
                below.cut()
            steps += await media(listener, 4)
        assert steps == list(range(steps[0], steps[0] + len(steps)))
        assert lower.bus.connected


async def test_a_program_that_begins_anew_is_told_from_the_start(room: WavRoom) -> None:
    subject, first, second = live_chunk_subject("demo", "mp3"), [], []
    async with lower_edge(room.port) as lower, AsyncExitStack() as stack:
        await stack.enter_async_context(lower.bus.subscribe(subject, lambda _, payload: first.append(step_of(payload))))
        await room.until(lambda: len(first) > 2, "chunks come")
        await stack.enter_async_context(
            lower.bus.subscribe(subject, lambda _, payload: second.append(step_of(payload)))
        )
        ask = RingRead(rendition="mp3", after_step=-1).to_bytes()
        assert await lower.bus.request(origin_subject("demo", "ring"), ask, timeout_s=5) == b""
        assert second[: len(first)] == first[: len(second)]
        assert len(second) >= 3
        with pytest.raises(BusUnavailable):
            await lower.bus.request(origin_subject("demo", "offer"), b"", timeout_s=5)
    assert not lower.bus._streams


async def test_a_lower_edge_that_begins_has_the_whole_window(room: WavRoom) -> None:
    await playlist_of(room, "aac")
    async with lower_edge(room.port) as lower:
        first = await playlist_of(lower, "aac")
        upper = await playlist_of(room, "aac")
        assert first.split(b"\n")[:8] == upper.split(b"\n")[:8]


async def test_counts_go_up_and_down(room: WavRoom) -> None:
    def listeners(edge: WavRoom | LowerEdge) -> int:
        return edge.edge.rooms.get("demo").listeners()

    async with (
        lower_edge(room.port, "middle") as middle,
        lower_edge(middle.port, "lowest") as lowest,
        listen(room),
        listen(middle),
        listen(lowest),
        listen(lowest),
    ):
        for edge in (room, middle, lowest):
            await room.until(lambda edge=edge: listeners(edge) == 4, f"all know of four: {listeners(edge)}")


async def test_what_edges_below_say_of_themselves_goes_up(room: WavRoom) -> None:
    heard: set[str] = set()

    def hear(subject: str, _payload: bytes) -> None:
        heard.add(subject)

    async with (
        lower_edge(room.port, "middle") as middle,
        lower_edge(middle.port, "lowest") as lowest,
        room.bus.subscribe("load.*", hear),
        room.bus.subscribe("meter.*", hear),
    ):
        await lowest.bus.publish(meter_subject("lowest"), MeterReport(edge="lowest", at_ns=1).to_bytes())
        wanted = {load_subject("middle"), load_subject("lowest"), meter_subject("lowest")}
        await room.until(lambda: wanted <= heard, f"all is heard: {heard}")
        assert lowest.edge.ready


async def test_without_the_key_nobody_is_let_in(room: WavRoom) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f'Stentor-Relay edge="x", mac="{"0" * 64}"'}):
        with pytest.raises(InvalidStatus) as refused:
            async with relay(room, **headers):
                pass
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["www-authenticate"].startswith('Stentor-Relay nonce="')
    async with lower_edge(room.port, key="quite another key", ready=False) as lower:
        await room.until(lambda: "refuses our relay key" in lower.bus.problem, "the wrong key is said")
        assert not lower.bus.synced.is_set()
        assert not lower.edge.ready
    async with lower_edge(room.port, key="", ready=False) as lower:
        await room.until(lambda: "relay key" in lower.bus.problem, "the missing key is said")


async def test_a_public_relay_hears_and_is_not_believed() -> None:
    async with wav_room(relays=RelaySettings("", 1)) as room:
        async with lower_edge(room.port, key="") as lower, listen(lower), listen(room):
            listener_room = lower.edge.rooms.get("demo")
            await room.until(lambda: listener_room.listeners() == 2, "the lower edge adds its own to what is above")
            assert room.edge.rooms.get("demo").listeners() == 1
            with pytest.raises(InvalidStatus) as refused:
                async with relay(room):
                    pass
            assert refused.value.response.status_code == 503
        async with relay(room) as stranger:
            report = b'{"edge": "x", "listeners": 1000}'
            await stranger.send(pack(Kind.MESSAGE, "live.demo.audience", report))
            await stranger.wait_closed()
            assert stranger.close_code == 1002


async def test_drafts_and_what_only_staff_may_know_stay_here() -> None:
    async with wav_room(origin=False, relays=RelaySettings("", 1)) as room:
        draft = room_document("secret", room.clock, RoomState.DRAFT, title="Not yet")
        await room.bus.put("rooms", "secret", draft.to_bytes())
        inner = json.loads(room_document("second", room.clock).to_bytes()) | {"internal": "of control"}
        await room.bus.put("rooms", "second", json.dumps(inner).encode())
        people = (
            StagePerson(person="p", name="Amal", role=Role.HOST, speaking=True, heard=True, level_dbfs=-12.0),
            StagePerson(person="q", name="Boris", role=Role.SPEAKER, muted_by="host", speaking=True),
            StagePerson(person="r", name="Gone", role=Role.SPEAKER, connected=False),
        )
        for name in ("demo", "secret"):
            stage = StageDocument(
                room=name, epoch=1, at_ns=1, on_air=True, people=people, level_dbfs=-9.0, silent_s=3.0
            )
            await room.bus.publish(live_stage_subject(name), stage.to_bytes())
        await room.until(lambda: len(room.edge.rooms.all()) == 2, "the second room is known")
        said: list[tuple[Kind, str, bytes]] = []
        async with relay(room) as stranger:
            while not said or said[-1][0] is not Kind.COMPLETE:
                said += [unpack(frame) for frame in [await stranger.recv()] if isinstance(frame, bytes)]
            await stranger.send(pack(Kind.SUBSCRIBE, "live.secret.chunk.opus", pack_after(-1)))
            await stranger.send(pack(Kind.ALIVE))
        assert sorted(name for kind, name, _ in said if kind is Kind.DOCUMENT) == [
            "rooms/demo", "rooms/second", "stages/demo",
        ]  # fmt: skip
        assert b"internal" not in b"".join(payload for _, _, payload in said)
        stage = StageDocument.model_validate_json(next(payload for _, name, payload in said if name == "stages/demo"))
        shown = [(each.name, each.speaking, each.muted_by, each.heard, each.level_dbfs) for each in stage.people]
        assert shown == [("Amal", True, None, False, -90.0), ("Boris", False, "self", False, -90.0)]
        assert (stage.level_dbfs, stage.silent_s) == (-90.0, 0.0)
        assert not room.edge.rooms.downstream._wanted


async def test_rooms_come_change_and_go_while_the_upper_edge_is_away(room: WavRoom) -> None:
    def titles(lower: LowerEdge) -> dict[str, str]:
        return {each.document.room: each.document.title for each in lower.edge.rooms.all()}

    async def put(name: str, **fields: object) -> None:
        document: RoomDocument = room_document(name, room.clock, **fields)
        await room.bus.put("rooms", name, document.to_bytes())

    async with lower_edge(room.port) as lower:
        await put("two", title="Two")
        await room.until(lambda: titles(lower) == {"demo": "A demo room", "two": "Two"}, "a room came")
        for below in tuple(room.edge.rooms.downstream._relays):
            below.cut()
        await room.bus.delete("rooms", "two")
        await put("three", title="Three")
        await room.until(lambda: titles(lower) == {"demo": "A demo room", "three": "Three"}, f"{titles(lower)}")
        room.bus.away()
        await room.until(lambda: "its bus does not answer" in lower.bus.problem, "the lower edge says why")
        assert not lower.edge.ready
        room.bus.back()
        await room.until(lambda: lower.edge.ready, "all is well again")


async def test_one_request_upstream_however_many_ask_for_a_replay(room: WavRoom) -> None:
    desk = room.edge.rooms._replay
    assert isinstance(desk, Counting)
    async with lower_edge(room.port, "middle") as middle, lower_edge(middle.port, "lowest") as lowest:
        async with httpx.AsyncClient(timeout=10) as client, asyncio.TaskGroup() as group:
            asked = [group.create_task(client.get(f"{lowest.url}/replay.m3u8")) for _ in range(20)]
        for task in asked:
            answer = task.result()
            assert (answer.status_code, answer.content) == (200, b"demo GET")
            assert int(answer.headers["age"]) < 10
        assert desk.asked == [("GET", "replay.m3u8")]
        async with httpx.AsyncClient(timeout=10) as client:
            whole = await client.get(f"{lowest.url}/recording.m4a")
            assert (whole.headers["content-length"], whole.content) == (str(desk.size), bytes(desk.size))
            part = await client.get(f"{lowest.url}/recording.m4a", headers={"Range": "bytes=0-2"})
            assert (part.status_code, part.headers["content-range"], part.content) == (206, "bytes 0-2/9", b"bytes=0-2")
            head = await client.head(f"{lowest.url}/recording.m4a")
            assert (head.headers["content-length"], head.content) == (str(desk.size), b"")
            assert (await client.get(f"{lowest.url}/proof.json")).status_code == 404
            assert (await client.get(f"{lowest.url}/replay/../../x")).status_code == 404
        assert await lowest.replay.summary("demo") is None
        await room.until(lambda: lowest.replay._streams == middle.replay._streams == 0, "no download is left open")
        await room.put(RoomState.PUBLISHED)
        lowest_room = lowest.edge.rooms.get("demo")
        summary = {"hls": "/r/demo/replay.m3u8"}
        await room.until(lambda: json.loads(lowest_room.state_bytes())["replay"] == summary, "the replay is known")


async def test_a_relay_that_does_not_read_is_cut() -> None:
    async with wav_room(relays=RelaySettings("", 1)) as room:
        reader, writer = await asyncio.open_connection("127.0.0.1", room.port, limit=1)
        writer.write(
            f"GET /relay?version={VERSION} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        downstream = room.edge.rooms.downstream
        await room.until(lambda: len(downstream._relays) == 1, "it has joined")
        (below,) = downstream._relays
        below.heard_at += 3_600_000_000_000
        for _ in range(2_000):
            below.send(bytes(10_000))
            await asyncio.sleep(0)
            if not downstream._relays:
                break
        assert not downstream._relays
        downstream.taken(below, pack(Kind.SUBSCRIBE, "live.demo.chunk.opus", pack_after(-1)))
        assert not downstream._wanted, "what it still says changes nothing"
        writer.transport.abort()
        assert reader is not None
