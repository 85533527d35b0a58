"""Byte ranges, as RFC 9110 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.replay.ranges import RangeError, byte_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 10)),
        ("bytes=90-500", (90, 10)),
        ("bytes=-10", (90, 10)),
        ("bytes=-500", (0, 100)),
        ("bytes=99-", (99, 1)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=9999999999999999999999-", None),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_outside_is_said(header: str, size: int) -> None:
    with pytest.raises(RangeError):
        byte_range(header, size)


@given(st.text(max_size=30), st.integers(0, 1000))
def test_whatever_is_asked_lies_within(header: str, size: int) -> None:
    try:
        wanted = byte_range(f"bytes={header}", size)
    except RangeError:
        return
    assert wanted is None or (wanted[1] > 0 and wanted[0] >= 0 and wanted[0] + wanted[1] <= size)
