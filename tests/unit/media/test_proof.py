"""The chain, computed once more as the text in proof.py says."""

import hashlib
import struct
from dataclasses import replace

import pytest

from stentor.media.fmp4 import init_segment
from stentor.media.proof import first_head, follows, genesis, link
from tests.unit.media.helpers import AAC, make_chunk


def lp(value):
    return struct.pack(">I", len(value)) + value


def sha(value):
    return hashlib.sha256(value).digest()


def test_the_bytes_are_those_of_the_description():
    init = init_segment(AAC)
    start = sha(b"stentor/proof/1/genesis" + lp(b"room") + lp(b"aac") + sha(init))
    assert genesis("room", AAC.name, init) == first_head("room", AAC.name) == start
    chunk = make_chunk(9, epoch=3, rendition=AAC)
    units = sha(b"".join(lp(unit) for unit in chunk.units))
    place = struct.pack(">QQQ", 3, 9, chunk.first_sample)
    head = sha(b"stentor/proof/1/link" + start + lp(b"room") + lp(b"aac") + sha(init) + place + units)
    assert link(start, chunk) == head
    assert follows(start, replace(chunk, head=head))


@pytest.mark.parametrize(
    "change",
    [
        {"room": "moor"},
        {"epoch": 2},
        {"step": 10},
        {"first_sample": 1},
        {"units": (b"ab", b"c")},
        {"units": (b"a", b"bc")},
        {"units": (b"abc",)},
    ],
    ids=str,
)
def test_any_change_breaks_the_chain(change):
    chunk = replace(make_chunk(9, rendition=AAC), units=(b"abc", b""))
    chunk = replace(chunk, head=link(bytes(32), chunk))
    assert follows(bytes(32), chunk)
    assert not follows(bytes(32), replace(chunk, **change))
    assert not follows(b"\1" * 32, chunk)
