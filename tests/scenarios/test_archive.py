"""The archive at work on a bus: a night goes through it, whatever happens to it on the way."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from stentor.archive.verify import verify
from stentor.clock import SystemClock, UnixNs
from stentor.errors import NotFound, StoreUnavailable
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.replay.replay import Replay
from stentor.room.documents import RoomDocument
from stentor.room.keys import fingerprint
from stentor.room.states import RoomState
from stentor.store.objects import ObstoreObjects, open_objects
from stentor.store.recording import RECORDINGS, duration_s, index_path
from tests.fakes.buses import nats_case
from tests.unit.archive import night
from tests.unit.archive.at_work import KEY, Stage, archive, content, index_of, save, until, until_whole, whole_night
from tests.unit.archive.night import ROOM


@pytest.mark.parametrize("kind", ["directory", "memory"])
async def test_a_night_becomes_a_recording_that_can_be_proven(tmp_path: Path, kind: str) -> None:
    objects = open_objects(str(tmp_path / "objects") if kind == "directory" else "memory:")
    stage = await whole_night(tmp_path, objects)
    assert stage.asked >= 1
    replay = Replay(objects, SystemClock())
    summary = await replay.summary(ROOM)
    assert summary is not None
    assert summary["duration_s"] == pytest.approx(night.ON_AIR_STEPS * 0.24, abs=0.05)
    hold = (night.HOLD - night.START) * 0.24, (night.RESUME - night.START) * 0.24
    assert summary["holds"] == [{"start_s": pytest.approx(hold[0]), "end_s": pytest.approx(hold[1])}]
    assert set(summary["recordings"]) == set(RECORDINGS)  # type: ignore[call-overload]
    proof = await save(replay, "proof.json", tmp_path)
    for ending in RECORDINGS:
        recording = await save(replay, f"recording.{ending}", tmp_path)
        verdict = verify(recording, proof, fingerprint=fingerprint(KEY.public_key()))
        assert verdict.genuine, verdict.sentences()
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_real_bus_that_is_killed_in_the_middle_costs_nothing(tmp_path: Path) -> None:
    objects, entries = open_objects("memory:"), list(night.night())
    plain = open_objects("memory:")
    await whole_night(tmp_path, plain)
    async with nats_case(tmp_path) as case:
        stage = Stage(case.bus)
        await stage.say(RoomState.LIVE)
        async with case.bus.serve("control.published", stage.publish), archive(stage, objects, tmp_path):
            await stage.log(entries[: len(entries) // 2])
            await until(objects, lambda index: bool(index.renditions))
            await case.away()
            await case.back()
            await stage.log(entries[len(entries) // 2 :])
            await stage.say(RoomState.ENDED, ended_ns=night.ZERO_NS)
            await stage.published.wait()
            await until_whole(objects)
    expected = await content(plain)
    made = await content(objects)
    assert made.keys() == expected.keys()
    assert {path for path in made if made[path] != expected[path]} <= {index_path(ROOM)}


def ffprobe(playlist: Path) -> "subprocess.CompletedProcess[bytes]":
    options = ["-v", "error", "-allowed_extensions", "ALL", "-count_packets", "-of", "json"]
    command = ["ffprobe", *options, "-show_format", "-show_streams", str(playlist)]
    return subprocess.run(command, capture_output=True, check=True)


@pytest.mark.parametrize("name", [RenditionName.AAC, RenditionName.OPUS])
async def test_ffprobe_reads_the_replay(tmp_path: Path, name: RenditionName) -> None:
    objects = open_objects("memory:")
    await whole_night(tmp_path, objects)
    replay, site = Replay(objects, SystemClock()), tmp_path / "site"
    await save(replay, "replay.m3u8", site)
    playlist = await save(replay, f"replay/{name}.m3u8", site)
    lines = playlist.read_text().splitlines()
    parts = [line for line in lines if line.endswith(".m4s")]
    parts += [line.split('"')[1] for line in lines if line.startswith("#EXT-X-MAP")]
    for part in parts:
        await save(replay, f"replay/{part}", site)
    assert lines.count("#EXT-X-DISCONTINUITY") == 1
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in lines
    assert any('CLASS="stentor.hold"' in line for line in lines)
    start = site / "replay.m3u8" if name is RenditionName.AAC else playlist
    probed = await asyncio.to_thread(ffprobe, start)
    index = await index_of(objects)
    assert index is not None
    assert b"rror" not in probed.stderr
    said = json.loads(probed.stdout)
    assert float(said["format"]["duration"]) == pytest.approx(duration_s(index), abs=0.05)
    assert int(said["streams"][0]["nb_read_packets"]) == len(night.on_air_units(name))


class Mortal(ObstoreObjects):
    """Objects whose writer is killed before the ``fatal``-th write: that write and all later ones never happen."""

    def __init__(self, inner: ObstoreObjects, fatal: int) -> None:
        super().__init__(inner._store)
        self._left = fatal
        self.killed = asyncio.Event()

    async def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.killed.set()
            await asyncio.Event().wait()

    async def put(self, path: str, data: bytes, *, kind: str | None = None) -> None:
        await self._count()
        await super().put(path, data, kind=kind)

    async def create(self, path: str, data: bytes) -> bool:
        await self._count()
        return await super().create(path, data)

    async def put_file(self, path: str, file: Path) -> None:
        await self._count()
        await super().put_file(path, file)


async def test_killed_again_and_again_it_makes_the_same_objects(tmp_path: Path) -> None:
    plain = open_objects("memory:")
    await whole_night(tmp_path, plain)
    expected = await content(plain)
    objects, stage = open_objects("memory:"), Stage()
    await stage.say(RoomState.LIVE)
    entries = list(night.night())
    third = len(entries) // 3
    async with stage.bus.serve("control.published", stage.publish):
        await stage.log(entries[:third])
        await until_killed(stage, objects, 5, tmp_path)
        await stage.log(entries[third : 2 * third])
        await until_killed(stage, objects, 16, tmp_path)
        await stage.log(entries[2 * third :])
        await stage.say(RoomState.ENDED, ended_ns=night.ZERO_NS)
        deaths = [await until_killed(stage, objects, fatal, tmp_path) for fatal in (0, 1, 20, 30, 2, 1, 2, 3)]
        async with archive(stage, objects, tmp_path):
            await until_whole(objects)
    made = await content(objects)
    assert sum(deaths) >= 5, deaths
    assert made.keys() == expected.keys()
    volatile = {f"{ROOM}/index.json"}
    assert {path for path in made if made[path] != expected[path]} <= volatile
    assert await index_of(objects) == await index_of(plain)


async def until_killed(stage: Stage, objects: ObstoreObjects, fatal: int, folder: Path) -> bool:
    """Run an archive until it is killed before its ``fatal``-th write, or until all is done; return if killed."""
    mortal = Mortal(objects, fatal)
    async with archive(stage, mortal, folder), asyncio.TaskGroup() as group:
        ends = [group.create_task(mortal.killed.wait()), group.create_task(until_whole(objects))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    return mortal.killed.is_set()


async def test_while_it_runs_the_replay_is_an_event_from_the_start(tmp_path: Path) -> None:
    objects, stage = open_objects("memory:"), Stage()
    await stage.say(RoomState.LIVE)
    entries = list(night.night())
    replay = Replay(objects, SystemClock())
    with pytest.raises(NotFound):
        await replay.reply(ROOM, "replay.m3u8", "GET", None)
    async with archive(stage, objects, tmp_path):
        await stage.log(entries[:-40])
        await until(objects, lambda index: bool(index.renditions))
    replay = Replay(objects, SystemClock())
    reply = await replay.reply(ROOM, "replay/opus.m3u8", "GET", None)
    assert isinstance(reply.body, bytes)
    text = reply.body.decode()
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text
    assert "#EXT-X-START:TIME-OFFSET=0" in text
    assert "#EXT-X-ENDLIST" not in text
    first = next(line for line in text.splitlines() if line.endswith(".m4s"))
    assert first == f"opus/1/{night.START // 8}.m4s"
    for lobby in range(night.FIRST // 8, night.START // 8):
        with pytest.raises(NotFound):
            await replay.reply(ROOM, f"replay/opus/1/{lobby}.m4s", "GET", None)
    for later in ("recording.m4a", "proof.json"):
        with pytest.raises(NotFound):
            await replay.reply(ROOM, later, "GET", None)
    assert await replay.summary(ROOM) is None


async def test_an_unrecorded_room_stores_nothing_and_moves_on(tmp_path: Path) -> None:
    objects, stage = open_objects("memory:"), Stage()
    await stage.say(RoomState.LIVE, recorded=False)
    async with stage.bus.serve("control.published", stage.publish), archive(stage, objects, tmp_path):
        await stage.log(list(night.night())[:200])
        await stage.say(RoomState.ENDED, recorded=False, ended_ns=night.ZERO_NS)
        await stage.published.wait()
    assert await content(objects) == {}


async def test_a_room_that_never_started_is_published_without_a_recording(tmp_path: Path) -> None:
    objects, stage = open_objects("memory:"), Stage()
    await stage.say(RoomState.LOBBY, started_ns=None)
    lobby = [entry for entry in night.night()[:30] if entry != night.EVENTS[night.START]]
    async with stage.bus.serve("control.published", stage.publish), archive(stage, objects, tmp_path):
        await stage.log([*lobby, night.state(night.FIRST + 9, RoomState.ENDED)])
        await stage.say(RoomState.ENDED, started_ns=None, ended_ns=night.ZERO_NS)
        await stage.published.wait()
        await until(objects, lambda index: bool(index.complete))
    assert set(await content(objects)) == {index_path(ROOM)}
    assert await Replay(objects, SystemClock()).summary(ROOM) is None


async def test_a_log_in_which_nobody_said_the_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.archive.room.QUIET_WITHOUT_ORIGIN_S", 0.3)
    objects, stage = open_objects("memory:"), Stage()
    await stage.say(RoomState.ENDED, ended_ns=night.ZERO_NS)
    await stage.log(list(night.night())[:-1])
    async with stage.bus.serve("control.published", stage.publish), archive(stage, objects, tmp_path):
        index = await until_whole(objects)
    assert index.end_step == night.END


async def test_control_away_is_asked_again(tmp_path: Path) -> None:
    objects, stage = open_objects("memory:"), Stage()
    await stage.say(RoomState.ENDED, ended_ns=night.ZERO_NS)
    await stage.log(list(night.night()))
    async with archive(stage, objects, tmp_path):
        await until(objects, lambda index: bool(index.complete))
        assert not stage.published.is_set()
        async with stage.bus.serve("control.published", stage.publish):
            await stage.published.wait()
        await until_whole(objects)


async def test_the_log_is_purged_when_the_time_has_come_and_not_before(tmp_path: Path) -> None:
    objects, stage = open_objects("memory:"), Stage()
    await stage.say(RoomState.ENDED, ended_ns=UnixNs(SystemClock().wall_ns()))
    await stage.log(list(night.night()))
    async with stage.bus.serve("control.published", stage.publish), archive(stage, objects, tmp_path, grace_s=600):
        await until_whole(objects)
    assert await stage.bus.last(f"room.{ROOM}.epoch") is not None
    async with archive(stage, objects, tmp_path, grace_s=0.01):
        await until(objects, lambda index: bool(index.purged))
    assert await stage.bus.last(f"room.{ROOM}.epoch") is None
    made = await content(objects)
    async with archive(stage, objects, tmp_path, grace_s=0.01):
        await asyncio.sleep(0.05)
    assert await content(objects) == made


class Failing(ObstoreObjects):
    """Objects that are away for the first few writes."""

    def __init__(self, inner: ObstoreObjects, times: int) -> None:
        super().__init__(inner._store)
        self.left = times

    async def create(self, path: str, data: bytes) -> bool:
        if self.left > 0:
            self.left -= 1
            raise StoreUnavailable("The object store is away.")
        return await super().create(path, data)


async def test_an_object_store_that_was_away_costs_nothing(tmp_path: Path) -> None:
    inner = open_objects("memory:")
    stage = await whole_night(tmp_path, Failing(inner, 3))
    assert stage.published.is_set()
    assert await Replay(inner, SystemClock()).summary(ROOM) is not None


async def test_a_deleted_room_leaves_nothing(tmp_path: Path) -> None:
    objects = open_objects("memory:")
    stage = await whole_night(tmp_path, objects)
    async with archive(stage, objects, tmp_path):
        await until_whole(objects)
        await asyncio.sleep(0.05)
        await stage.bus.delete("rooms", ROOM)
        while await content(objects):  # noqa: ASYNC110 - an object store rings no bell
            await asyncio.sleep(0.02)
    assert await stage.bus.last(f"room.{ROOM}.epoch") is None


async def test_a_new_room_under_an_old_name_begins_anew(tmp_path: Path) -> None:
    objects = open_objects("memory:")
    await whole_night(tmp_path, objects)
    stage = Stage()
    zero_ns = night.ZERO_NS + 1_920_000_000 * 50_000
    await stage.say(RoomState.LIVE, zero_ns=zero_ns)
    async with archive(stage, objects, tmp_path):
        await stage.log(list(night.night())[:300])
        index = await until(objects, lambda index: index.zero_ns == zero_ns)
    assert index.recordings == ()
    assert not [path for path in await content(objects) if "recording" in path]


async def test_a_garbled_document_stops_nobody(tmp_path: Path) -> None:
    objects, stage = open_objects("memory:"), Stage()
    await stage.bus.put("rooms", "other", b"{")
    await stage.bus.put("rooms", "draft", RoomDocument(room="draft", title="", state=RoomState.DRAFT).to_bytes())
    await stage.say(RoomState.ENDED, ended_ns=night.ZERO_NS)
    await stage.log(list(night.night()))
    async with stage.bus.serve("control.published", stage.publish), archive(stage, objects, tmp_path):
        index = await until_whole(objects)
    assert set(index.renditions) == set(RENDITIONS)
