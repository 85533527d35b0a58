"""What is asked at a door and answered: JSON written by hand is still JSON, and rubbish is told so."""

import json

import pytest

from stentor.edge.door_answer import ASK_BYTES, Asked, admitted, challenged, meanwhile, read_ask, waiting
from stentor.edge.http import Response, json_response
from stentor.errors import BadRequest, TooLarge
from stentor.room.door import Answer, Because, Place

NONE = meanwhile(None, None)


def said(response: Response) -> dict[str, object]:
    """Return the answer, once its head is what any answer of JSON has."""
    answer: dict[str, object] = json.loads(response.body)
    assert response.head == json_response(answer).head.rsplit(b" ", 1)[0] + b" %d\r\n" % len(response.body)
    assert response.whole(b"Date: x\r\n", b"\r\n").endswith(response.body)
    return answer


def test_somebody_who_is_let_in_is_told_where_the_streams_are() -> None:
    answer = said(admitted("T", '{"push":"/r/demo/push"}'))
    assert answer == {"admitted": True, "ticket": "T", "take_up_s": 20, "streams": {"push": "/r/demo/push"}}


def test_somebody_in_line_is_told_their_place_and_when_to_ask() -> None:
    place = Place(1_795_000_000, 7)
    answer = Answer(False, False, place, b"h" * 8, 1_234, (61.4, 118.6), 7.26, Because.RATE_LOWERED)
    assert said(waiting("T", answer, meanwhile("https://cdn/é", {"hls": "x"}))) == {
        "admitted": False, "ticket": "T", "position": 1_234, "wait_s": [61, 119], "retry_after_s": 7.3,
        "because": "rate-lowered", "challenge": None, "overflow": "https://cdn/é", "replay": {"hls": "x"},
    }  # fmt: skip
    counted = said(waiting("T", Answer(False, False, place, b"h" * 8), NONE))
    assert (counted["position"], counted["wait_s"], counted["because"]) == (None, None, None)


def test_somebody_who_must_solve_something_first_gets_no_ticket() -> None:
    answer = said(challenged({"parameters": {"nonce": "n"}}, NONE))
    assert (answer["ticket"], answer["because"]) == (None, "challenge")
    assert answer["challenge"] == {"parameters": {"nonce": "n"}}


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"", Asked()),
        (b"{}", Asked()),
        (b'{"ticket": null}', Asked()),
        (b'{"ticket": "T", "more": 1}', Asked("T")),
        (b'{"solution": "S"}', Asked(None, "S")),
    ],
)
def test_what_is_asked(body: bytes, asked: Asked) -> None:
    assert read_ask(body) == asked


@pytest.mark.parametrize(
    "body",
    [b"[]", b"7", b"{", b'"T"', b"null", b"\xff\xfe", b'{"ticket": 7}', b'{"ticket": ["T"]}', b"[" * 4_000, b"NaN",
     b'{"ticket": "' + b"T" * 3_500 + b'"}'],
)  # fmt: skip
def test_what_cannot_be_read_is_said_so(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_ask(body)


def test_too_much_is_too_much() -> None:
    with pytest.raises(TooLarge):
        read_ask(b" " * (ASK_BYTES + 1))
