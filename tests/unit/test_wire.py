"""The one message format of chunks: whole in, whole out; anything else is an error."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.bus.wire import MAX_CHUNK_BYTES, decode_chunk, encode_chunk
from stentor.errors import MediaError
from stentor.media.chunk import Chunk
from stentor.media.grid import Samples, Step
from stentor.media.rendition import RenditionName
from tests.unit.media.helpers import make_chunk

CHUNKS = st.builds(
    Chunk,
    room=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
    rendition=st.sampled_from(RenditionName),
    epoch=st.integers(0, 2**32 - 1),
    discontinuity=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**64 - 1).map(Step),
    first_sample=st.integers(0, 2**64 - 1).map(Samples),
    units=st.lists(st.binary(max_size=100), max_size=14).map(tuple),
    head=st.binary(min_size=32, max_size=32),
    silent=st.booleans(),
)


@given(CHUNKS)
def test_a_chunk_comes_back_as_it_was(chunk):
    assert decode_chunk(encode_chunk(chunk)) == chunk


@given(st.binary(max_size=400))
def test_anything_else_is_a_media_error(message):
    with pytest.raises(MediaError):
        decode_chunk(message)


@given(CHUNKS, st.data())
def test_a_chunk_cut_short_or_lengthened_is_a_media_error(chunk, data):
    message = encode_chunk(chunk)
    cut = data.draw(st.integers(0, len(message) - 1))
    for broken in (message[:cut], message + b"\0"):
        with pytest.raises(MediaError):
            decode_chunk(broken)


def test_unknown_flags_renditions_and_sizes_are_refused():
    message = encode_chunk(make_chunk(3))
    for broken in (
        message.replace(b"opus", b"flac", 1),
        message[:4] + b"\x02" + message[5:],
        b"STC2" + message[4:],
        message.replace(b"room", b"ro\xffm", 1),
        bytes(MAX_CHUNK_BYTES + 1),
        encode_chunk(replace(make_chunk(3), units=(b"",) * 65)),
    ):
        with pytest.raises(MediaError):
            decode_chunk(broken)


def test_the_layout_is_fixed():
    chunk = Chunk("ab", RenditionName.AAC, 1, 2, Step(3), Samples(4), (b"xy", b"z"), b"\7" * 32, silent=True)
    assert encode_chunk(chunk).hex() == (
        "53544331" "01" "00000001" "00000002" "0000000000000003" "0000000000000004" + "07" * 32
        + "02" "6162" "03" "616163" "0002" "0002" "0001" "7879" "7a"
    )  # fmt: skip
