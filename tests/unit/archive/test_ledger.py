"""Log to objects, without any store."""

from dataclasses import replace

import pytest

from stentor.archive.ledger import HEAD_BYTES, HEADS_PER_BLOCK, Ledger, NewObject
from stentor.archive.m4a import fragment_units
from stentor.bus.port import Record, chunk_subject
from stentor.bus.wire import encode_chunk
from stentor.media.fmp4 import fragment
from stentor.media.rendition import RENDITIONS, RenditionName
from stentor.media.window import Window
from stentor.room.states import RoomState
from stentor.store.recording import RecordingIndex, Run, pieces, segment_path, segments
from tests.unit.archive import night
from tests.unit.archive.night import ROOM


def empty() -> Ledger:
    return Ledger(RecordingIndex(room=ROOM, zero_ns=night.ZERO_NS), {})


def archived(log: list[Record]) -> tuple[dict[str, bytes], Ledger]:
    ledger, objects = empty(), {}
    for record in log:
        store(objects, ledger.take(record))
    store(objects, ledger.finish())
    return objects, ledger


def store(objects: dict[str, bytes], new: list[NewObject]) -> None:
    for item in new:
        if item.immutable:
            assert objects.get(item.path, item.data) == item.data, f"{item.path} was made in two ways"
        objects[item.path] = item.data


@pytest.mark.parametrize("name", RENDITIONS)
def test_stored_is_exactly_what_was_on_air(name: RenditionName) -> None:
    objects, ledger = archived(list(night.records()))
    stored = [
        objects[segment_path(ROOM, name, entry.epoch, entry.number)]
        for entry in segments(name, ledger.index.runs(name))
    ]
    if name is RenditionName.MP3:
        assert b"".join(stored) == b"".join(night.on_air_units(name))
    else:
        assert [unit for segment in stored for unit in fragment_units(segment)] == night.on_air_units(name)


def test_runs_start_hold_end_and_over() -> None:
    _, ledger = archived(list(night.records()))
    index = ledger.index
    assert ledger.over
    assert (index.start_step, index.end_step) == (night.START, night.END)
    assert index.holds() == [(night.HOLD, night.RESUME)]
    for name in RENDITIONS:
        assert index.runs(name) == (
            Run(epoch=1, first_step=night.START, last_step=night.DEATH - 1),
            Run(epoch=2, first_step=night.TAKEOVER, last_step=night.END - 1),
        )
        assert index.renditions[name].unlinked == 0
        assert index.renditions[name].head == night.all_chunks()[name][-1].head.hex()


def test_the_chain_begins_with_the_lobbys_last_head() -> None:
    _, ledger = archived(list(night.records()))
    for name, made in night.all_chunks().items():
        lobby = [chunk for chunk in made if chunk.step < night.START]
        assert ledger.index.renditions[name].before == lobby[-1].head.hex()


def test_nothing_of_the_lobby_is_stored() -> None:
    objects, _ = archived(list(night.records()))
    lobby = {
        unit for chunk in night.all_chunks()[RenditionName.OPUS] if chunk.step < night.START for unit in chunk.units
    }
    assert len(lobby) > 100
    assert not [unit for unit in lobby for data in objects.values() if unit in data]


def test_a_room_that_never_started_stores_nothing() -> None:
    ended = night.state(night.START, RoomState.ENDED)
    log = [record for record in night.records() if record.sequence < 10 + 3 * 20]
    objects, ledger = archived([*log, Record(9_999, ended.subject, ended.payload)])
    assert ledger.over
    assert objects == {}
    assert ledger.index.start_step is None


@pytest.mark.parametrize("stop", range(7, len(night.night()), 23))
def test_killed_anywhere_and_resumed_is_the_same(stop: int) -> None:
    log = list(night.records())
    whole, ledger = archived(log)
    objects: dict[str, bytes] = {}
    first = empty()
    for record in log[:stop]:
        store(objects, first.take(record))
    index = RecordingIndex.model_validate_json(first.index.to_bytes())
    heads = {name: list(known) for name, known in first.heads.items()}
    second = Ledger(index, heads)
    for record in log:
        if record.sequence > index.after:
            store(objects, second.take(record))
    store(objects, second.finish())
    assert objects == whole
    assert second.index == ledger.index
    assert second.heads == ledger.heads


def test_heads_have_one_entry_for_each_piece() -> None:
    _, ledger = archived(list(night.records()))
    blocks = {block.path: block.data for block in ledger.head_blocks()}
    for name in RENDITIONS:
        last_steps = [piece.last_step for run in ledger.index.runs(name) for piece in pieces(run)]
        heads = {chunk.step: chunk.head for chunk in night.all_chunks()[name]}
        assert ledger.heads[name] == [heads[step] for step in last_steps]
        assert blocks[f"{ROOM}/{name}/heads/0.bin"] == b"".join(ledger.heads[name])
    assert HEAD_BYTES * HEADS_PER_BLOCK == 8192


def test_a_missing_chunk_is_a_hole_in_the_runs_and_counted() -> None:
    name = RenditionName.AAC
    lost = next(c for c in night.all_chunks()[name] if c.step == night.START + 10)
    objects, ledger = archived([r for r in night.records() if r.payload != encode_chunk(lost)])
    assert ledger.index.runs(name)[:2] == (
        Run(epoch=1, first_step=night.START, last_step=night.START + 9),
        Run(epoch=1, first_step=night.START + 11, last_step=night.DEATH - 1),
    )
    assert ledger.index.renditions[name].unlinked == 1
    entry = next(e for e in segments(name, ledger.index.runs(name)) if e.number == lost.segment)
    held = fragment_units(objects[segment_path(ROOM, name, 1, lost.segment)])
    assert entry.samples == len(held) * 1024
    assert not set(lost.units) & set(held)


def test_stale_repeated_and_broken_records_change_nothing() -> None:
    whole, ledger = archived(list(night.records()))
    stale = night.all_chunks()[RenditionName.OPUS][-30]
    off_grid = replace(stale, step=stale.step + 1000, epoch=9)
    subject = chunk_subject(ROOM, "opus")
    log = list(night.records())
    bad = [encode_chunk(replace(stale, epoch=1)), b"noise", encode_chunk(off_grid), log[100].payload]
    for number, payload in enumerate(bad):
        log.insert(-20, Record(log[-21].sequence + 1, subject, payload))
        assert number < 4
    objects, again = archived(log)
    assert objects == whole
    assert again.index.renditions == ledger.index.renditions


def test_chunks_after_the_end_are_left_out() -> None:
    log = list(night.records())
    early_end = night.state(night.END - 3, RoomState.ENDED, 2)
    log.insert(-12, Record(log[-13].sequence + 1, early_end.subject, early_end.payload))
    _, ledger = archived(log)
    assert {index.runs[-1].last_step for index in ledger.index.renditions.values()} == {night.END - 4}


def test_nobody_said_the_end() -> None:
    _, ledger = archived(list(night.records())[:-1])
    assert not ledger.over
    ledger.end_here()
    assert ledger.index.end_step == night.END


def test_twelve_hours_are_a_small_index() -> None:
    run = Run(epoch=1, first_step=811, last_step=811 + 12 * 3600 * 1000 // 240)
    index = RecordingIndex(room=ROOM, zero_ns=night.ZERO_NS)
    _, ledger = archived(list(night.records()))
    renditions = {n: s.model_copy(update={"runs": (run,)}) for n, s in ledger.index.renditions.items()}
    index = ledger.index.model_copy(update={"renditions": renditions})
    assert len(index.to_bytes()) < 4_000
    entries = list(segments(RenditionName.AAC, index.runs(RenditionName.AAC)))
    assert len(entries) == 22_501
    assert all(entry.follows for entry in entries[1:])


def test_segments_of_the_archive_are_those_of_the_edge() -> None:
    window = Window(RENDITIONS[RenditionName.AAC], 100)
    for chunk in night.all_chunks()[RenditionName.AAC]:
        window.add(chunk)
    objects, _ = archived(list(night.records()))
    whole = next(segment for segment in window.listing().segments if segment.number == 103)
    edge = b"".join(
        fragment(RENDITIONS[RenditionName.AAC], part.sequence, part.decode_time, part.units) for part in whole.parts
    )
    assert objects[segment_path(ROOM, RenditionName.AAC, 1, 103)] == edge
