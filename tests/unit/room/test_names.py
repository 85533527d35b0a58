import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import BadRequest
from stentor.room.names import NAME_MAX_CHARACTERS, one_line, paragraph


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Noor \t  Amal ", "Noor Amal"),
        ("نور‏", "نور"),
        ("e\u0301", "é"),
        ("evil\u202eeman", "evileman"),
        ("a\x00b\x1b[31m", "ab[31m"),
        ("two\nlines", "two lines"),
        ("\u2066x\u2069", "x"),
        ("می‌خواهم", "می‌خواهم"),
        ("👩‍🚀", "👩‍🚀"),
        ("<b>", "<b>"),
    ],
)
def test_name_is_normalised(given: str, kept: str) -> None:
    assert one_line(given, what="the name") == kept


@pytest.mark.parametrize("empty", ["", "   ", "\u202e", "\n\t", "\u200d\u200c"])
def test_name_without_anything_to_see_is_refused(empty: str) -> None:
    with pytest.raises(BadRequest, match="Give your name at least one letter"):
        one_line(empty, what="your name")


def test_name_that_is_too_long_says_by_how_much() -> None:
    assert one_line("é" * NAME_MAX_CHARACTERS, what="the name")
    with pytest.raises(BadRequest, match="Make the name shorter: it has 65 characters, and 64 is the most"):
        one_line("é" * 65, what="the name")


def test_paragraph_keeps_its_lines_and_may_be_empty() -> None:
    assert paragraph(" a \r\nb\u202e\r c ", what="the description") == "a\nb\n c"
    assert paragraph("", what="the description") == ""


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        once = one_line(text, what="x", max_characters=200)
    except BadRequest:
        return
    assert one_line(once, what="x", max_characters=200) == once
