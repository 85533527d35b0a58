"""The words of pages without JavaScript: both catalogues are whole, what is filled in is safe, numbers and times."""

import re
from datetime import UTC

import pytest

from stentor.plain.arabic import ARABIC
from stentor.plain.english import ENGLISH
from stentor.plain.style import DARK_TOKENS, POLICY, STYLE, TOKENS
from stentor.plain.words import Safe, Words, bare, plural, wanted_language, zone_of
from stentor.room.door import Because
from stentor.room.status import Happening
from tests.browser.support import ROOT

FORMS = {"zero", "one", "two", "few", "many", "other"}
AT_NS = 1_795_000_000_000_000_000  # Wednesday, 18 November 2026, 11:06:40 UTC


def fields(words: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", words))


def test_both_catalogues_say_the_same_things() -> None:
    assert ENGLISH.keys() == ARABIC.keys()
    for key, english in ENGLISH.items():
        arabic = ARABIC[key]
        assert isinstance(english, str) == isinstance(arabic, str), key
        if isinstance(english, str) and isinstance(arabic, str):
            assert fields(english) == fields(arabic), key
        elif not isinstance(english, str) and not isinstance(arabic, str):
            assert english.keys() == {"one", "other"}, key
            assert arabic.keys() == FORMS, key
            for form in ("few", "many", "other"):
                assert fields(arabic[form]) == fields(english["other"]), (key, form)


def test_there_are_words_for_everything_that_can_be_said() -> None:
    for kind in Happening:
        assert f"event.{kind}" in ENGLISH
    for because in Because:
        assert f"because.{because}" in ENGLISH


def test_what_is_filled_in_is_text_and_keeps_its_own_direction() -> None:
    said = Words("ar").t("event.room-opened", title='<script>alert("x")</script> & more')
    assert "<script" not in said
    assert "<bdi>&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; more</bdi>" in said
    assert bare(said).endswith('<script>alert("x")</script> & more.')
    nested = Words("en").t("event.ladder-up", ladder=Safe("<b>we</b>"))
    assert "<b>we</b>" in nested


def test_braces_in_titles_are_no_fields() -> None:
    assert "{count} {0}" in Words("en").t("event.room-opened", title="{count} {0}")


@pytest.mark.parametrize(
    ("count", "form"),
    [(0, "zero"), (1, "one"), (2, "two"), (3, "few"), (10, "few"), (11, "many"), (99, "many"), (100, "other"),
     (102, "other"), (103, "few"), (111, "many"), (1_234, "many")],
)  # fmt: skip
def test_arabic_has_six_plural_forms(count: int, form: str) -> None:
    assert plural("ar", count) == form


def test_numbers_and_spans() -> None:
    english, arabic = Words("en"), Words("ar")
    assert english.number(12_345) == "12,345"
    assert english.number(0.25) == "0.25"
    assert english.span(10, 40) == "less than a minute"
    assert english.span(0, 61) == "up to 2 minutes"
    assert english.span(130, 400) == "2 to 7 minutes"
    assert english.span(300, 300) == "up to 5 minutes"
    assert english.span(4_000, 9_000) == "1 to 3 hours"
    assert arabic.span(130, 400) == "من 2 إلى 7 دقائق"


def test_times_name_their_zone() -> None:
    beirut = zone_of("Asia/Beirut")
    assert bare(Words("en").moment(AT_NS, beirut)) == "Wed 18 Nov, 13:06 UTC+2"
    assert bare(Words("ar").moment(AT_NS, UTC)) == "الأربعاء 18 نوفمبر، 11:06 UTC"
    assert bare(Words("en").clock(AT_NS, zone_of("Asia/Kathmandu"))) == "16:51 UTC+5:45"
    assert 'datetime="2026-11-18T11:06:40.000Z"' in Words("en").clock(AT_NS, beirut)
    assert zone_of("Nowhere/At_All") is UTC
    assert zone_of("../../etc/passwd") is UTC


@pytest.mark.parametrize(
    ("asked", "accept", "language"),
    [
        (None, "", "en"),
        (None, "ar-LB,ar;q=0.9,en;q=0.8", "ar"),
        (None, "fr, ar;q=0.3, en;q=0.2", "ar"),
        (None, "de;q=nonsense, en;q=0.1", "en"),
        ("ar", "en", "ar"),
        ("xx", "ar", "ar"),
    ],
)
def test_the_language_is_asked_for_or_liked(asked: str | None, accept: str, language: str) -> None:
    assert wanted_language(asked, accept) == language


def test_the_look_is_that_of_the_built_pages() -> None:
    css = (ROOT / "web/src/style/tokens.css").read_text()
    light, _, dark = css.partition("@media")
    for ours, theirs in ((TOKENS, light), (DARK_TOKENS, dark)):
        for name, value in re.findall(r"(--[\w-]+):([^;]+);", ours):
            assert f"{name}: {value};" in theirs, name


def test_the_policy_allows_this_style_and_no_script() -> None:
    assert "script-src" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "<" not in STYLE
