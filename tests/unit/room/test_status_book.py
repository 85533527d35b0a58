"""What the status writes down, and what it does not."""

from stentor.room.documents import Announcement, AudienceReport, Dials, RoomDocument, StageDocument
from stentor.room.installation import InstallationDocument, LadderWord
from stentor.room.states import RoomState
from stentor.room.status import KEPT_EVENTS, KEPT_NS, Happening, StatusDocument
from stentor.room.status_book import EDGE_SILENT_NS, StatusBook

S = 1_000_000_000
T = 1_795_000_000 * S


def room(state: RoomState, **fields: object) -> RoomDocument:
    return RoomDocument.model_validate({"room": "a", "title": "An evening", "state": state, **fields})


def following(*documents: RoomDocument) -> StatusBook:
    book = StatusBook()
    for document in documents:
        book.take_room(document, T)
    book.follow()
    return book


def kinds(book: StatusBook, now_ns: int = T + 3600 * S) -> list[Happening]:
    return [event.kind for event in book.document(now_ns).events]


def test_a_night_in_order_the_newest_first() -> None:
    book = following(room(RoomState.SCHEDULED))
    for minute, state in enumerate(
        (RoomState.LOBBY, RoomState.LIVE, RoomState.HELD, RoomState.LIVE, RoomState.ENDED, RoomState.PUBLISHED)
    ):
        started = {"started_ns": T + 60 * S} if minute else {}
        book.take_room(room(state, **started) if state is not RoomState.LIVE else room(state), T + minute * 60 * S)
    assert kinds(book) == [
        Happening.REPLAY,
        Happening.ENDED,
        Happening.RESUMED,
        Happening.HELD,
        Happening.STARTED,
        Happening.OPENED,
    ]


def test_how_things_already_are_is_no_news() -> None:
    assert kinds(following(room(RoomState.LIVE, announcement=Announcement(text="Hello", at_ns=T)))) == []


def test_a_room_that_opens_at_once_is_news_and_a_draft_is_not() -> None:
    book = following()
    book.take_room(room(RoomState.DRAFT), T)
    assert book.document(T).rooms == ()
    book.take_room(room(RoomState.LOBBY), T + S)
    assert kinds(book) == [Happening.OPENED]
    assert [line.room for line in book.document(T).rooms] == ["a"]


def test_what_happened_while_control_was_away_is_told() -> None:
    book = following(room(RoomState.LOBBY))
    held = StatusDocument.model_validate_json(book.document(T).to_bytes())
    later = StatusBook()
    later.resume(held)
    later.take_room(room(RoomState.LIVE, started_ns=T + 9 * S), T + 60 * S)
    assert kinds(later) == [Happening.STARTED]
    assert later.document(T + 60 * S).events[0].at_ns == T + 9 * S


def test_announcements_dials_and_the_ladder() -> None:
    book = following(room(RoomState.LIVE))
    book.take_room(room(RoomState.LIVE, announcement=Announcement(text="Hello", at_ns=T)), T)
    book.take_room(room(RoomState.LIVE, door=Dials(cap=10)), T + S)
    book.take_room(room(RoomState.LIVE, door=Dials(cap=20)), T + 2 * S)
    book.take_installation(InstallationDocument(ladder=LadderWord(step=2)), T + 3 * S)
    book.take_installation(InstallationDocument(ladder=LadderWord(step=2)), T + 4 * S)
    book.take_installation(InstallationDocument(ladder=LadderWord(step=0)), T + 5 * S)
    events = book.document(T + 6 * S).events
    assert [event.kind for event in events] == [
        Happening.LADDER_DOWN,
        Happening.LADDER_UP,
        Happening.ROOM_DOOR,
        Happening.ANNOUNCED,
    ]
    assert events[2].door == Dials(cap=20)  # One dial that is turned is one event.


def test_an_unrecorded_room_has_no_recording() -> None:
    book = following(room(RoomState.ENDED, recorded=False))
    book.take_room(room(RoomState.PUBLISHED, recorded=False), T)
    assert kinds(book) == []


def test_another_origin_is_told_of_once_and_the_first_is_not() -> None:
    book = following(room(RoomState.LIVE))
    for epoch in (1, 1, 2, 2, 1):
        book.take_stage(StageDocument(room="a", epoch=epoch, at_ns=T), T)
    assert kinds(book) == [Happening.ORIGIN_MOVED]


def report(edge: str, listeners: int, started_ns: int = T) -> AudienceReport:
    return AudienceReport(edge=edge, listeners=listeners, started_ns=started_ns)


def test_edges_that_fall_silent_with_listeners_are_lost_and_come_back() -> None:
    book = following(room(RoomState.LIVE))
    for edge, listeners in (("one", 5), ("two", 7), ("empty", 0)):
        book.take_report("a", report(edge, listeners), T)
    book.tick(T + EDGE_SILENT_NS, hearing=True)
    assert kinds(book) == []
    book.tick(T + EDGE_SILENT_NS + 1, hearing=True)
    assert [(event.kind, event.count) for event in book.document(T).events] == [(Happening.EDGE_LOST, 2)]
    book.take_report("a", report("one", 1, T + S), T + 30 * S)
    assert kinds(book)[0] is Happening.EDGE_BACK


def test_nobody_is_lost_while_the_bus_is_away() -> None:
    book = following(room(RoomState.LIVE))
    book.take_report("a", report("one", 5), T)
    for second in range(60):
        book.tick(T + second * S, hearing=False)
    book.tick(T + 61 * S, hearing=True)
    assert kinds(book) == []


def test_an_edge_that_begins_anew_was_restarted() -> None:
    book = following(room(RoomState.LIVE))
    book.take_report("a", report("one", 5), T)
    book.take_report("a", report("one", 2, T + S), T + 3 * S)
    assert kinds(book) == [Happening.EDGE_RESTARTED]


def test_the_operators_words_and_their_promise_can_be_taken_back() -> None:
    book = following()
    first = book.say("We look into it.", T, next_update_ns=T + 600 * S)
    second = book.say("It is mended.", T + S, next_update_ns=None)
    assert book.document(T).next_update_ns is None
    assert book.take_back(first.id) == first
    assert book.take_back(first.id) is None
    assert [event.text for event in book.document(T).events] == ["It is mended."]
    third = book.say("Soon more.", T + 2 * S, next_update_ns=T + 60 * S)
    book.take_back(third.id)
    assert book.document(T).next_update_ns is None
    assert second.id != third.id


def test_it_keeps_a_day_and_sixty_at_most() -> None:
    book = following()
    for number in range(KEPT_EVENTS + 5):
        book.say(str(number), T + number * S, next_update_ns=None)
    assert len(kinds(book)) == KEPT_EVENTS
    assert kinds(book, T + KEPT_NS + 30 * S)[-1:] == [Happening.SAID]
    assert kinds(book, T + 2 * KEPT_NS) == []


def test_a_deleted_room_is_forgotten_with_what_happened_in_it() -> None:
    book = following(room(RoomState.SCHEDULED))
    book.take_room(room(RoomState.LOBBY), T)
    book.forget_room("a")
    assert book.document(T).events == ()
