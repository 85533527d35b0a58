import resource
from pathlib import Path

import pytest

from stentor.origin.spool import Spool, entry, leftovers, spool_path
from tests.fakes.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def fill(spool: Spool, count: int, size: int = 3000) -> list:
    entries = [entry("room.demo.chunk.opus", f"demo.1.opus.{n}", bytes([n % 256]) * size) for n in range(count)]
    for each in entries:
        spool.append(each)
    return entries


def read(directory: Path, below: int = 2) -> list[tuple[str, str, bytes]]:
    return [
        (each.subject, each.message_id, each.payload)
        for found in leftovers(directory, "demo", below_epoch=below)
        for each in found.entries
    ]


def wanted(entries) -> list[tuple[str, str, bytes]]:
    return [(each.subject, each.message_id, each.payload) for each in entries]


def test_a_successor_reads_what_was_written_while_the_writer_lives(tmp_path, clock) -> None:
    spool = Spool(tmp_path, "demo", 1, 7, clock)
    entries = fill(spool, 20)
    (found,) = leftovers(tmp_path, "demo", below_epoch=2)
    assert wanted(found.entries) == wanted(entries)
    assert (found.epoch, found.after) == (1, 7)
    spool.close(delete=False)


def test_after_the_seal_nothing_is_added_and_the_writer_knows(tmp_path, clock) -> None:
    spool = Spool(tmp_path, "demo", 1, 0, clock)
    entries = fill(spool, 2)
    assert read(tmp_path) == wanted(entries)
    assert not spool.sealed
    late = entry("room.demo.event", "late", b"x")
    spool.append(late)
    spool.close(delete=False)
    assert spool.sealed
    assert late.offset is None
    assert read(tmp_path) == wanted(entries), "a second successor reads the same"


def test_only_earlier_epochs_of_this_room_oldest_first(tmp_path, clock) -> None:
    for room, epoch in (("demo", 10), ("demo", 9), ("demo", 11), ("demo-2", 1)):
        spool = Spool(tmp_path, room, epoch, 0, clock)
        fill(spool, 1)
        spool.close(delete=False)
    (tmp_path / "demo.x.spool").write_bytes(b"")
    assert [found.epoch for found in leftovers(tmp_path, "demo", below_epoch=11)] == [9, 10]


def test_a_file_cut_anywhere_gives_what_is_whole(tmp_path, clock) -> None:
    spool = Spool(tmp_path, "demo", 1, 0, clock)
    entries = fill(spool, 3, size=40)
    spool.close(delete=False)
    path = spool_path(tmp_path, "demo", 1)
    whole = path.read_bytes()
    ends = [each.offset for each in entries][1:] + [len(whole)]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert read(tmp_path) == wanted(entries[: sum(end <= length for end in ends)])


def test_a_flipped_bit_ends_the_reading(tmp_path, clock) -> None:
    spool = Spool(tmp_path, "demo", 1, 0, clock)
    entries = fill(spool, 3)
    spool.close(delete=False)
    path = spool_path(tmp_path, "demo", 1)
    data = bytearray(path.read_bytes())
    data[entries[1].offset + 100] ^= 1
    path.write_bytes(data)
    assert read(tmp_path) == wanted(entries[:1])


def test_an_acknowledged_file_is_emptied_once_it_is_large(tmp_path, clock) -> None:
    spool = Spool(tmp_path, "demo", 1, 5, clock)
    fill(spool, 10)
    spool.acknowledged(15)
    fill(spool, 400)
    spool.acknowledged(415)
    last = fill(spool, 2)
    (found,) = leftovers(tmp_path, "demo", below_epoch=2)
    assert wanted(found.entries) == wanted(last)
    assert found.after == 415
    spool.close(delete=False)


def test_load_reads_one_back(tmp_path, clock) -> None:
    spool = Spool(tmp_path, "demo", 1, 0, clock)
    entries = fill(spool, 3)
    assert spool.load(entries[1]) == entries[1].payload
    with pytest.raises(OSError, match="not in the spool"):
        spool.load(entry("s", "i", b"x"))
    spool.close(delete=True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_survived_and_the_next_record_has_its_place(tmp_path, clock, capsys) -> None:
    spool = Spool(tmp_path, "demo", 1, 0, clock)
    first = fill(spool, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        lost = fill(spool, 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    again = fill(spool, 1)
    spool.close(delete=False)
    assert [each.offset for each in lost] == [None] * 5
    assert read(tmp_path) == wanted(first + again)
    assert capsys.readouterr().err.count("spool_not_written") == 1
