"""Playback: who waits is answered in one pass, with the same answer for the same question."""

from collections.abc import Callable
from typing import cast

import pytest

from stentor.edge.connection import Connection
from stentor.edge.http import Limits, Request, Response
from stentor.edge.metrics import HELD
from stentor.edge.playback import Playback
from stentor.errors import BadRequest, NotFound
from tests.unit.media.helpers import OPUS, chained

LOG = chained([(1, range(400))])


class Asking:
    """A connection as far as playback knows it."""

    def __init__(self) -> None:
        self.on_lost: Callable[[], None] | None = None
        self.answers: list[Response] = []

    def respond(self, response: Response) -> None:
        assert self.on_lost is None
        self.answers.append(response)


def connection() -> Connection:
    return cast("Connection", Asking())


def answers(asked: Connection) -> list[Response]:
    return cast("Asking", asked).answers


def request(**query: str) -> Request:
    return Request("GET", "/r/room/opus.m3u8", query, {}, "192.0.2.1", keep_alive=True)


def reload(msn: int, part: int | None = None, **more: str) -> Request:
    query = {"_HLS_msn": str(msn)} | ({} if part is None else {"_HLS_part": str(part)})
    return request(**query, **more)


def playing(steps: int) -> Playback:
    playback = Playback(OPUS, 0, Limits())
    for chunk in LOG[:steps]:
        playback.take(chunk)
    playback.ready()
    return playback


def held() -> float:
    return float(HELD._value.get())


def cache_control(response: Response | None) -> str:
    assert response is not None
    return next(line[15:] for line in response.head.decode().splitlines() if line.startswith("Cache-Control: "))


def test_who_asks_the_same_gets_the_same_answer_in_one_pass() -> None:
    playback, before = playing(16), held()
    crowd = [connection() for _ in range(100)]
    asks = [reload(2, 0), reload(2, 0, ticket="x"), reload(1, 4), reload(1, 9)]
    for index, each in enumerate(crowd):
        assert playback.playlist(each, asks[index % len(asks)]) is None
    other = connection()
    assert playback.playlist(other, reload(2, 0, _HLS_skip="YES")) is None
    assert held() == before + 101
    playback.take(LOG[16])
    assert not any(answers(each) for each in crowd)
    playback.take(LOG[17])
    assert len({id(response) for each in crowd for response in answers(each)}) == 1
    assert [len(answers(each)) for each in (*crowd, other)] == [1] * 101
    assert answers(other)[0] is not answers(crowd[0])[0]
    assert held() == before


def test_a_reload_gets_the_playlist_of_its_part_however_late() -> None:
    playback, asking = playing(16), connection()
    assert playback.playlist(asking, reload(2, 0)) is None
    for chunk in LOG[16:64]:
        playback.take(chunk)
    again = playback.playlist(connection(), reload(2, 0))
    assert again is answers(asking)[0]
    assert cache_control(again) == "public, max-age=12"
    assert b"opus/1/2.1.m4s" in again.body  # the hint of then
    for chunk in LOG[64:72]:
        playback.take(chunk)
    present = playback.playlist(connection(), reload(2, 0))
    assert present is playback.playlist(connection(), request())
    assert cache_control(present) == "public, max-age=1"


def test_a_whole_segment_is_waited_for_without_a_part() -> None:
    playback, asking = playing(16), connection()
    assert playback.playlist(asking, reload(2)) is None
    for chunk in LOG[16:23]:
        playback.take(chunk)
    assert not answers(asking)
    playback.take(LOG[23])
    assert b"\nopus/1/2.m4s\n" in answers(asking)[0].body


def test_absurd_directives_are_refused() -> None:
    playback = playing(16)
    for query in (
        reload(5),
        reload(10**11),
        request(_HLS_part="1"),
        request(_HLS_msn="-1"),
        request(_HLS_msn="1" * 13),
    ):
        with pytest.raises(BadRequest):
            playback.playlist(connection(), query)
    assert playback.playlist(connection(), reload(1, 10**11)) is None  # part 0 of the next


def test_the_part_of_the_hint_is_held_and_others_are_not() -> None:
    playback, asking = playing(16), connection()
    assert playback.part(asking, 1, 2, 0) is None
    for epoch, number, index in ((1, 2, 1), (2, 2, 0), (1, 99, 0)):
        with pytest.raises(NotFound):
            playback.part(connection(), epoch, number, index)
    playback.take(LOG[16])
    playback.take(LOG[17])
    assert answers(asking)[0] is playback.part(connection(), 1, 2, 0)
    whole = playback.segment(connection(), 1, 1)
    assert whole is not None
    parts = [playback.part(connection(), 1, 1, index) for index in range(4)]
    assert whole.body == b"".join(part.body for part in parts if part is not None)


def test_a_part_that_may_differ_elsewhere_is_kept_out_of_caches() -> None:
    playback = playing(16)
    for chunk in (*LOG[16:20], *LOG[21:32]):
        playback.take(chunk)
    doubtful, sound = playback.part(connection(), 1, 2, 2), playback.part(connection(), 1, 2, 1)
    assert doubtful is not None
    assert sound is not None
    assert cache_control(doubtful) == "public, max-age=1"
    assert "immutable" in cache_control(sound)
    late = playback.playlist(connection(), reload(3, 0))
    assert late is not None
    assert cache_control(late) == "public, max-age=1"


def test_who_has_gone_or_waits_too_long_is_let_go() -> None:
    playback, before = playing(16), held()
    gone, patient = connection(), connection()
    for each in (gone, patient):
        assert playback.playlist(each, reload(2, 0)) is None
    assert gone.on_lost is not None
    gone.on_lost()
    for _ in range(6):
        playback.tick()
    assert not answers(patient)
    playback.tick()
    assert [response.status for response in answers(patient)] == [503]
    assert not answers(gone)
    assert held() == before


def test_until_it_has_caught_up_everybody_waits() -> None:
    playback, asking = Playback(OPUS, 0, Limits()), [connection() for _ in range(3)]
    assert playback.playlist(asking[0], request()) is None
    assert playback.part(asking[1], 1, 0, 0) is None
    assert playback.segment(asking[2], 1, 9) is None
    for chunk in LOG[:16]:
        playback.take(chunk)
    assert not any(answers(each) for each in asking)
    playback.ready()
    assert [answers(each)[0].status for each in asking] == [200, 200, 404]


def test_the_end_is_said_to_who_waits() -> None:
    playback, asking = playing(17), connection()
    assert playback.playlist(asking, reload(2, 0)) is None
    playback.finish()
    assert answers(asking)[0].body.endswith(b"#EXT-X-ENDLIST\n")
    before_the_end = playback.playlist(connection(), reload(1, 3))
    assert before_the_end is not None
    assert b"ENDLIST" not in before_the_end.body


def test_an_edge_that_stops_sends_everybody_elsewhere() -> None:
    playback, asking = playing(16), connection()
    assert playback.playlist(asking, reload(2, 0)) is None
    playback.drain()
    assert [(each.status, cache_control(each)) for each in answers(asking)] == [(503, "no-store")]
