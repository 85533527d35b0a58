"""The status as page and JSON: what it says in each case, and that nobody's words break it."""

# mypy: disable-error-code="explicit-override"
# typing.override came with Python 3.12.

import json
from html.parser import HTMLParser

import pytest

from stentor.plain.page import Frame
from stentor.plain.status import Numbers, StatusView, status_json, status_page, summary
from stentor.plain.words import NS_PER_S, Words
from stentor.room.documents import Dials, RoomDocument
from stentor.room.installation import InstallationDocument, LadderWord
from stentor.room.states import RoomState
from stentor.room.status import AWAY_NS, Happening, StatusDocument, StatusEvent

NOW_NS = 1_795_000_000 * NS_PER_S
EVIL = '</title><script>alert("1")</script>'


def room(state: RoomState = RoomState.LIVE, **fields: object) -> RoomDocument:
    return RoomDocument.model_validate({"room": "evening", "title": "An evening", "state": state, **fields})


def event(kind: Happening, **fields: object) -> StatusEvent:
    return StatusEvent.model_validate({"id": "1", "at_ns": NOW_NS, "kind": kind, "title": "An evening", **fields})


def view(*rooms: RoomDocument, step: int = 0, said_ns: int = NOW_NS, **fields: object) -> StatusView:
    said = StatusDocument.model_validate({"at_ns": said_ns, **fields})
    return StatusView(NOW_NS, True, said, InstallationDocument(ladder=LadderWord(step=step)), rooms)


def waiting(count: int, per_s: float, step: int = 0) -> StatusView:
    shown = view(room(), step=step)
    numbers = {"evening": Numbers(listeners=5_000, waiting=count, admitted_per_s=per_s)}
    return StatusView(NOW_NS, True, shown.said, shown.installation, shown.rooms, numbers)


def test_it_says_how_things_are() -> None:
    assert summary(view(room())).key == "well"
    assert summary(view(room(RoomState.ENDED))).key == "nothing"
    assert summary(waiting(4_000, 8.0)).key == "slowly"
    assert summary(waiting(4_000, 0.001)).key == "full"
    assert summary(waiting(0, 0.0, step=2)).key == "sparing"
    assert summary(waiting(10, 3.0, step=5)).key == "full"
    assert summary(view(room(), said_ns=NOW_NS - AWAY_NS)).key == "away"
    assert summary(StatusView(NOW_NS)).key == "away"
    assert summary(StatusView(NOW_NS, connected=False)).key == "lost"


class Checked(HTMLParser):
    """Gathers text, and fails on tags that do not fit or that no page of ours has."""

    VOID = frozenset({"meta", "link", "source", "br"})

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.said = ""
        self.feed(page.decode())
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said += data


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_event_has_its_sentence_and_no_title_breaks_the_page(language: str) -> None:
    happened = [event(kind, title=EVIL, text=EVIL, step=3, door=Dials(cap=10)) for kind in Happening]
    shown = view(room(title=EVIL), events=happened, next_update_ns=NOW_NS + 60 * NS_PER_S)
    page = status_page(shown, Words(language), Frame("/status", {}, 15, None))
    assert Checked(page).said.count(EVIL) >= len(happened) // 2
    assert f'lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in page.decode()


def test_it_promises_and_admits_being_late() -> None:
    def said(at_s: int) -> str:
        shown = view(room(), next_update_ns=NOW_NS + at_s * NS_PER_S)
        return Checked(status_page(shown, Words("en"), Frame("/status", {}, 15))).said

    assert "We say more at 11:11 UTC." in said(300)
    assert "are late" in said(-300)


def test_it_renews_itself_unless_it_is_to_stay() -> None:
    page = status_page(view(), Words("ar"), Frame("/status", {}, 15, "ar")).decode()
    assert '<meta http-equiv="refresh" content="15;url=/status?lang=ar">' in page
    assert 'href="/status?still=1&amp;lang=ar"' in page
    still = status_page(view(), Words("ar"), Frame("/status", {"still": "1"}, None, "ar")).decode()
    assert "http-equiv" not in still
    assert 'href="/status?lang=ar"' in still


def test_a_copy_stands_on_its_own() -> None:
    frame = Frame("ar.html", {}, 30, None, "https://radio.example.org", {"en": "index.html", "ar": "ar.html"})
    page = status_page(view(room()), Words("ar"), frame, copy=True).decode()
    assert 'href="index.html"' in page
    assert 'href="https://radio.example.org/r/evening"' in page
    assert 'href="https://radio.example.org/status"' in page
    assert 'content="30;url=ar.html"' in page
    assert "Content-Security-Policy" in page
    assert 'href="/' not in page


def test_what_comes_next_is_named_in_its_own_time() -> None:
    later = room(RoomState.SCHEDULED, room="b", title="Later", planned_start_ns=NOW_NS + 10**13)
    soon = room(RoomState.SCHEDULED, planned_start_ns=NOW_NS + 10**12, time_zone="Asia/Beirut")
    said = Checked(status_page(view(later, soon), Words("en"), Frame("/status"))).said
    assert "Coming upAn eveningWed 18 Nov, 13:23 UTC+2LaterWed 18 Nov, 13:53 UTC" in said
    past = room(RoomState.PUBLISHED, room="c", title="Past", ended_ns=NOW_NS)
    unrecorded = room(RoomState.PUBLISHED, room="d", title="Unrecorded", recorded=False)
    said = Checked(status_page(view(past, unrecorded), Words("en"), Frame("/status"))).said
    assert "ReplaysPastWed 18 Nov, 11:06 UTC" in said
    assert "Unrecorded" not in said


def test_programs_read_the_same() -> None:
    said = status_json(waiting(4_000, 8.0, step=2))
    assert said["summary"] == "slowly"
    assert said["rooms"] == [
        {
            "room": "evening",
            "title": "An evening",
            "state": "live",
            "listeners": 5_000,
            "by_beacon": 0,
            "waiting": 4_000,
            "admitted_per_s": 8.0,
        }
    ]
    text = said["text"]
    assert isinstance(text, dict)
    assert text["en"] == (
        "We are letting people in slowly. 4,000 wait in line. About 480 a minute come in. "
        "Everybody keeps their place in line, and nobody has to press anything."
    )
    assert json.loads(json.dumps(said)) == said
