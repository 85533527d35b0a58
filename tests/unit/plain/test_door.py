"""The door's page without JavaScript, and problems in words."""

import pytest

from stentor.plain.door import Answer, DoorView, door_page
from stentor.plain.page import Frame
from stentor.plain.problem import problem_page
from stentor.plain.words import Words
from stentor.room.documents import Announcement, RoomDocument
from stentor.room.states import RoomState
from stentor.room.status import Happening
from tests.unit.plain.test_status import EVIL, NOW_NS, Checked, event, room

TICKET = "abc_-123"


def shown(document: RoomDocument, answer: Answer | None = None, language: str = "en", **fields: object) -> bytes:
    replay = fields.get("replay")
    view = DoorView(document, NOW_NS, answer, replay if isinstance(replay, dict) else None)
    return door_page(view, Words(language), Frame("/r/evening/door", {"ticket": TICKET}, None, None))


def refresh_s(page: bytes) -> int | None:
    _, found, after = page.decode().partition('http-equiv="refresh" content="')
    return int(after.partition(";")[0]) if found else None


WAITS = Answer(admitted=False, ticket=TICKET, position=1_234, wait_s=(130, 400), retry_after_s=7.3, because="counting")


def test_in_line_it_says_where_how_long_and_why_and_asks_again() -> None:
    page = shown(room(), WAITS)
    said = Checked(page).said
    for words in ("Your place in line1,234", "2 to 7 minutes", "8 seconds", "We are counting"):
        assert words in said
    assert refresh_s(page) == 8
    assert "Nobody can tell yet" in Checked(shown(room(), WAITS.model_copy(update={"wait_s": None}))).said
    assert f"url=/r/evening/door?ticket={TICKET}" in page.decode()


def test_who_waits_reads_what_happens_inside() -> None:
    events = (event(Happening.STARTED), event(Happening.SAID, text=EVIL))
    view = DoorView(room(), NOW_NS, WAITS, None, ("Noor", EVIL), events)
    for language in ("en", "ar"):
        page = door_page(view, Words(language), Frame("/r/evening/door"))
        assert Checked(page).said.count(EVIL) == 2
    said = Checked(door_page(view, Words("en"), Frame("/r/evening/door"))).said
    assert "On stage: Noor" in said
    assert "An evening went on air." in said


def test_the_challenge_does_not_make_it_ask_at_once() -> None:
    page = shown(room(), Answer(admitted=False, retry_after_s=0.0, because="challenge"))
    assert refresh_s(page) == 15
    assert "open the room’s page" in Checked(page).said


def test_inside_it_plays_and_stays() -> None:
    page = shown(room(RoomState.LOBBY), Answer(admitted=True, ticket=TICKET, take_up_s=20))
    assert refresh_s(page) is None
    assert f'src="/r/evening/listen.aac?ticket={TICKET}"' in page.decode()
    assert "held for 20 seconds" in Checked(page).said
    assert "hold sound" in Checked(page).said


def test_before_the_doors_open_it_says_when() -> None:
    planned = room(RoomState.SCHEDULED, planned_start_ns=NOW_NS + 10**13, time_zone="Asia/Beirut")
    page = shown(planned)
    assert "Wed 18 Nov, 15:53 UTC+2" in Checked(page).said
    assert 40 <= (refresh_s(page) or 0) < 80
    near = shown(room(RoomState.SCHEDULED, planned_start_ns=NOW_NS + 10**11))
    assert 10 <= (refresh_s(near) or 0) < 20
    early = shown(planned, Answer(admitted=False, ticket=TICKET, retry_after_s=30, because="doors-closed"))
    assert refresh_s(early) == 30
    assert "by lot" in Checked(early).said


def test_afterwards_it_waits_for_the_recording_and_plays_it() -> None:
    over = room(RoomState.ENDED)
    assert refresh_s(shown(over)) is not None
    page = shown(over, replay={"recordings": {"m4a": "/r/evening/recording.m4a", "mp3": "/r/evening/recording.mp3"}})
    assert refresh_s(page) is None
    assert '<source src="/r/evening/recording.m4a" type="audio/mp4">' in page.decode()
    assert "It was not recorded." in Checked(shown(room(RoomState.ENDED, recorded=False))).said


@pytest.mark.parametrize("language", ["en", "ar"])
def test_nobodys_words_break_it(language: str) -> None:
    document = room(title=EVIL, description=EVIL, announcement=Announcement(text=EVIL, at_ns=NOW_NS), language="ar")
    page = shown(document, WAITS.model_copy(update={"because": EVIL, "overflow": f'https://x/"{EVIL}'}), language)
    assert Checked(page).said.count(EVIL) >= 3
    assert '<p dir="auto">' in page.decode()


@pytest.mark.parametrize(
    ("status", "slug", "words"),
    [
        (404, "no-such-room", "There is no such room"),
        (404, "not-found", "There is nothing at this address"),
        (409, "room-not-open", "This room is not open now"),
        (503, "door", "There is a line at this door"),
        (429, "too-many-requests", "Too many requests at once"),
        (503, "bus-unavailable", "does not answer at the moment"),
        (500, "internal", "Something went wrong here"),
        (405, "method-not-allowed", "This does not work like that"),
    ],
)
def test_problems_are_pages_with_a_way_out(status: int, slug: str, words: str) -> None:
    problem = {"type": f"urn:stentor:problem:{slug}", "status": status, "detail": EVIL}
    for language in ("en", "ar"):
        page = problem_page(problem, Words(language), Frame("/r/evening/x"), room="evening")
        assert Checked(page).seen >= {"h1", "a"}
        assert 'href="/status"' in page.decode()
    assert words in Checked(problem_page(problem, Words("en"), Frame("/r/x/y"), room="x")).said
