"""One suite for every object store."""

import asyncio
from pathlib import Path

import pytest

from stentor.errors import ConfigError, StoreUnavailable
from stentor.store.object_port import Objects
from stentor.store.objects import open_objects


@pytest.fixture(params=["directory", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    return open_objects(str(tmp_path / "objects") if request.param == "directory" else "memory:")


async def test_what_was_put_is_read_back(objects: Objects) -> None:
    await objects.put("room/index.json", b"one")
    await objects.put("room/index.json", b"two")
    assert await objects.get("room/index.json") == b"two"


async def test_missing_is_none_everywhere(objects: Objects) -> None:
    assert await objects.get("room/none") is None
    assert await objects.info("room/none") is None
    assert await objects.get_range("room/none", start=0, length=4) is None
    await objects.delete("room/none")


async def test_create_refuses_what_is_there(objects: Objects) -> None:
    assert await objects.create("room/aac/1/7.m4s", b"first")
    assert not await objects.create("room/aac/1/7.m4s", b"second")
    assert await objects.get("room/aac/1/7.m4s") == b"first"


async def test_one_of_many_rivals_creates(objects: Objects) -> None:
    async with asyncio.TaskGroup() as group:
        rivals = [group.create_task(objects.create("room/x", bytes([n]))) for n in range(20)]
    assert sum(rival.result() for rival in rivals) == 1


async def test_ranges(objects: Objects) -> None:
    await objects.put("room/recording.mp3", bytes(range(100)))
    assert await objects.get_range("room/recording.mp3", start=10, length=5) == bytes(range(10, 15))
    assert await objects.get_range("room/recording.mp3", start=95, length=50) == bytes(range(95, 100))


async def test_stream_yields_exactly_the_range(objects: Objects, tmp_path: Path) -> None:
    content = bytes(n * 7 % 251 for n in range(3_000_000))
    file = tmp_path / "large"
    file.write_bytes(content)
    await objects.put_file("room/recording.m4a", file)
    blocks = [block async for block in objects.stream("room/recording.m4a", start=5, length=2_500_000)]
    assert b"".join(blocks) == content[5:2_500_005]
    assert max(map(len, blocks)) <= 1 << 20


async def test_a_stream_past_the_end_fails(objects: Objects) -> None:
    await objects.put("room/x", b"four")
    with pytest.raises(StoreUnavailable):
        async for _ in objects.stream("room/x", start=0, length=9):
            pass


async def test_info_follows_the_content(objects: Objects) -> None:
    await objects.put("room/x", b"12345")
    before = await objects.info("room/x")
    await objects.put("room/x", b"1234567")
    after = await objects.info("room/x")
    assert before is not None
    assert after is not None
    assert (before.path, before.size_bytes, after.size_bytes) == ("room/x", 5, 7)
    assert before.etag != after.etag


async def test_list_by_prefix(objects: Objects) -> None:
    for path in ("a/index.json", "a/aac/1/0.m4s", "ab/index.json"):
        await objects.put(path, b"x")
    assert {found.path async for found in objects.list("a/")} == {"a/index.json", "a/aac/1/0.m4s"}


async def test_deleted_is_gone(objects: Objects) -> None:
    await objects.put("room/x", b"x")
    await objects.delete("room/x")
    assert await objects.get("room/x") is None


async def test_a_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path / "objects"))
    (tmp_path / "objects" / "room").write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        await objects.put("room/x", b"x")


@pytest.mark.parametrize("url", ["ftp://host/x", "s3:///prefix", "s3://bucket?colour=red"])
def test_an_address_that_is_wrong_is_a_sentence(url: str) -> None:
    with pytest.raises(ConfigError, match="object store"):
        open_objects(url)
