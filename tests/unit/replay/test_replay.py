"""The replay's answers, over objects in memory."""

import pytest

from stentor.errors import NotFound
from stentor.media.fmp4 import init_segment
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.replay.replay import Replay, Reply
from stentor.room.documents import EventKind, RoomEvent
from stentor.room.states import RoomState
from stentor.store.objects import ObstoreObjects, open_objects
from stentor.store.recording import (
    LoggedEvent,
    RecordingIndex,
    Run,
    Stored,
    index_path,
    init_path,
    proof_path,
    recording_path,
    segment_path,
    segments,
)
from tests.fakes.clock import VirtualClock

ROOM = "night"
RUNS = (Run(epoch=1, first_step=803, last_step=830), Run(epoch=2, first_step=840, last_step=862))
BODY = bytes(range(256)) * 20


def index_with(*, complete: bool = True, recordings: tuple[str, ...] = ("m4a", "opus", "mp3")) -> RecordingIndex:
    said = [(803, RoomState.LIVE), (812, RoomState.HELD), (820, RoomState.LIVE), (825, RoomState.HELD)]
    said += [(863, RoomState.ENDED)] if complete else []
    events = tuple(
        LoggedEvent(sequence=n, event=RoomEvent(kind=EventKind.STATE, at_ns=0, step=step, epoch=1, state=state))
        for n, (step, state) in enumerate(said)
    )
    return RecordingIndex(
        room=ROOM,
        title='Fire & "Ice": أمسية / 1',
        zero_ns=1_795_000_320_000_000_000,
        started_ns=1_795_000_512_720_000_000,
        complete=complete,
        recordings=recordings,
        events=events,
        renditions={name: Stored(runs=RUNS) for name in RENDITIONS},
    )


async def stored(index: RecordingIndex) -> ObstoreObjects:
    objects = open_objects("memory:")
    await objects.put(index_path(ROOM), index.to_bytes())
    for name in RENDITIONS:
        for entry in segments(name, RUNS):
            path = segment_path(ROOM, name, entry.epoch, entry.number)
            await objects.put(path, path.encode())
            await objects.put(init_path(ROOM, name, entry.epoch), init_segment(RENDITIONS[name]))
    for ending in index.recordings:
        await objects.put(recording_path(ROOM, ending), BODY)
    await objects.put(proof_path(ROOM), b"{}")
    await objects.put(segment_path(ROOM, RenditionName.AAC, 1, 99), b"from before the start")
    return objects


async def replay_of(index: RecordingIndex) -> Replay:
    return Replay(await stored(index), VirtualClock())


async def body(reply: Reply) -> bytes:
    return reply.body if isinstance(reply.body, bytes) else b"".join([block async for block in reply.body])


async def test_multivariant_offers_aac() -> None:
    reply = await (await replay_of(index_with())).reply(ROOM, "replay.m3u8", "GET", None)
    text = (await body(reply)).decode()
    assert 'CODECS="mp4a.40.2"' in text
    assert text.splitlines()[-1] == "replay/aac.m3u8"
    assert ("Access-Control-Allow-Origin", "*") in reply.headers


async def test_vod_has_every_segment_once_and_marks_the_hole() -> None:
    replay = await replay_of(index_with())
    text = (await body(await replay.reply(ROOM, "replay/opus.m3u8", "GET", None))).decode()
    parts = [line for line in text.splitlines() if line.endswith(".m4s")]
    assert parts == [f"opus/1/{n}.m4s" for n in (100, 101, 102, 103)] + [f"opus/2/{n}.m4s" for n in (105, 106, 107)]
    lengths = [float(line[8:-1]) for line in text.splitlines() if line.startswith("#EXTINF:")]
    assert lengths == pytest.approx([5 * 0.24, 1.92, 1.92, 7 * 0.24, 1.92, 1.92, 7 * 0.24])
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert text.count("#EXT-X-MAP") == 2
    for part in parts:
        assert await body(await replay.reply(ROOM, f"replay/{part}", "GET", None)) == f"{ROOM}/{part}".encode()


async def test_segments_and_initialisation_are_immutable() -> None:
    replay = await replay_of(index_with())
    init = await replay.reply(ROOM, "replay/aac/2/init.mp4", "GET", None)
    assert await body(init) == init_segment(RENDITIONS[RenditionName.AAC])
    assert any("immutable" in value for _, value in init.headers)


@pytest.mark.parametrize(
    "path",
    [
        "replay/aac/1/99.m4s",  # from before the start, although somebody put it there
        "replay/aac/1/104.m4s",
        "replay/aac/2/103.m4s",
        "replay/aac/3/init.mp4",
        "replay/aac/1/-1.m4s",
        "replay/aac/1/../../index.json",
        "replay/mp3/1/101.m4s",
        "replay/mp3.m3u8",
        "recording.wav",
        "index.json",
        "replay",
        "",
    ],
)
async def test_nothing_else_can_be_had(path: str) -> None:
    with pytest.raises(NotFound):
        await (await replay_of(index_with())).reply(ROOM, path, "GET", None)


async def test_an_unknown_room_has_no_replay() -> None:
    replay = await replay_of(index_with())
    with pytest.raises(NotFound):
        await replay.reply("other", "replay.m3u8", "GET", None)
    assert await replay.summary("other") is None


async def test_recordings_download_whole_and_in_ranges() -> None:
    replay = await replay_of(index_with())
    whole = await replay.reply(ROOM, "recording.opus", "GET", None)
    assert (whole.status, await body(whole)) == (200, BODY)
    assert ("Content-Length", str(len(BODY))) in whole.headers
    assert ("Accept-Ranges", "bytes") in whole.headers
    assert ("Content-Type", "audio/ogg") in whole.headers
    part = await replay.reply(ROOM, "recording.opus", "GET", "bytes=300-399")
    assert (part.status, await body(part)) == (206, BODY[300:400])
    assert ("Content-Range", f"bytes 300-399/{len(BODY)}") in part.headers
    beyond = await replay.reply(ROOM, "recording.opus", "GET", f"bytes={len(BODY)}-")
    assert (beyond.status, await body(beyond)) == (416, b"")
    assert ("Content-Range", f"bytes */{len(BODY)}") in beyond.headers
    head = await replay.reply(ROOM, "recording.opus", "HEAD", None)
    assert (head.status, head.headers) == (200, whole.headers)


async def test_a_recording_is_named_after_room_and_day() -> None:
    reply = await (await replay_of(index_with())).reply(ROOM, "recording.m4a", "HEAD", None)
    (name,) = [value for header, value in reply.headers if header == "Content-Disposition"]
    assert name.startswith("attachment; filename=\"night 2026-11-18.m4a\"; filename*=UTF-8''Fire%20Ice%20")
    assert name.isascii()


async def test_only_get_and_head() -> None:
    assert (await (await replay_of(index_with())).reply(ROOM, "replay.m3u8", "POST", None)).status == 405


async def test_the_summary_for_the_page() -> None:
    summary = await (await replay_of(index_with(recordings=("m4a",)))).summary(ROOM)
    assert summary == {
        "hls": "/r/night/replay.m3u8",
        "recordings": {"m4a": "/r/night/recording.m4a"},
        "proof": "/r/night/proof.json",
        "duration_s": pytest.approx(51 * 0.24, abs=0.03),
        # Nine steps that no origin put out lie within the second hold: they take no time in the replay.
        "holds": [
            {"start_s": pytest.approx(9 * 0.24), "end_s": pytest.approx(17 * 0.24)},
            {"start_s": pytest.approx(22 * 0.24), "end_s": pytest.approx(51 * 0.24)},
        ],
    }


async def test_what_is_not_ready_is_not_there() -> None:
    replay = await replay_of(index_with(recordings=()))
    with pytest.raises(NotFound):
        await replay.reply(ROOM, "recording.m4a", "GET", None)
    running = await replay_of(index_with(complete=False))
    assert await running.summary(ROOM) is None
    for path in ("recording.m4a", "proof.json"):
        with pytest.raises(NotFound):
            await running.reply(ROOM, path, "GET", None)
    text = (await body(await running.reply(ROOM, "replay/aac.m3u8", "GET", None))).decode()
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text
    assert text.count('CLASS="stentor.hold"') == 1, "a hold that goes on has no length yet"


async def test_the_index_is_read_once_a_while() -> None:
    clock = VirtualClock()
    objects = await stored(index_with(complete=False, recordings=()))
    replay = Replay(objects, clock)
    assert await replay.summary(ROOM) is None
    await objects.put(index_path(ROOM), index_with().to_bytes())
    assert await replay.summary(ROOM) is None
    await clock.advance(1.1)
    assert await replay.summary(ROOM) is not None
