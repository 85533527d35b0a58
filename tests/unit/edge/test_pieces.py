"""Counts, files and state.json: small things, each by its promise."""

import gzip
from pathlib import Path

import pytest

from stentor.clock import NS_PER_S, MonotonicNs, UnixNs
from stentor.edge.audience import Audience
from stentor.edge.http import Request
from stentor.edge.state_json import Places, state_json, streams_json
from stentor.edge.static import StaticFiles
from stentor.room.documents import Announcement, AudienceReport, Role, RoomDocument, StageDocument, StagePerson
from stentor.room.states import RoomState

NOW = UnixNs(1_800_000_000 * NS_PER_S)


def request(path: str, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", path, {}, named, "192.0.2.1", keep_alive=True)


def seconds(value: float) -> MonotonicNs:
    return MonotonicNs(int(value * NS_PER_S))


def test_players_are_counted_once_and_forgotten() -> None:
    audience = Audience()
    audience.note_player(None, "192.0.2.1", "a", seconds(0))
    audience.note_player(None, "192.0.2.1", "a", seconds(1))
    audience.note_player(None, "192.0.2.1", "b", seconds(1))
    audience.note_player(b"ticket", "192.0.2.1", "a", seconds(5))
    assert audience.players() == 3
    audience.forget(seconds(7.5))
    assert audience.players() == 1


def test_the_other_edges_last_word_counts_for_seven_seconds() -> None:
    audience = Audience()
    for edge, listeners, at in [("e2", 5, 0), ("e2", 7, 2), ("e3", 1, 2), ("e4", -4, 2)]:
        audience.note_report(AudienceReport(edge=edge, listeners=listeners), seconds(at))
    assert audience.elsewhere() == 8
    audience.forget(seconds(9.5))
    assert audience.elsewhere() == 0


@pytest.fixture
def files(tmp_path: Path) -> StaticFiles:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>page")
    (tmp_path / "stage.html").write_text("<p>staff")
    (tmp_path / ".ready").write_text("")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "a-1.js").write_text("let a")
    (tmp_path / "assets" / "a-1.js.gz").write_bytes(gzip.compress(b"let a"))
    (tmp_path / "assets" / "a-1.js.br").write_bytes(b"br")
    return StaticFiles(tmp_path, Places("https://staff.example", "https://cdn.example/of/us"))


def test_the_page_is_strict_and_revalidated(files: StaticFiles) -> None:
    page = files.page(request("/"))
    head = page.head.decode()
    assert page.body == b"<p>page"
    for line in (
        "Cache-Control: public, max-age=1",
        "X-Content-Type-Options: nosniff",
        "default-src 'none'; script-src 'self'; style-src 'self'",
        "connect-src 'self' ws: wss: https://staff.example https://cdn.example",
        "media-src 'self' blob: https://cdn.example;",
        "frame-ancestors 'none'",
    ):
        assert line in head
    tag = next(line.split(": ")[1] for line in head.splitlines() if line.startswith("ETag"))
    assert files.page(request("/", if_none_match=tag)).status == 304
    missing = files.page(request("/", if_none_match=tag), 404)
    assert (missing.status, missing.body) == (404, b"<p>page")


def test_assets_are_immutable_and_come_compressed(files: StaticFiles) -> None:
    plain = files.file(request("/assets/a-1.js"))
    zipped = files.file(request("/assets/a-1.js", accept_encoding="gzip, deflate"))
    small = files.file(request("/assets/a-1.js", accept_encoding="gzip, br"))
    assert plain is not None
    assert zipped is not None
    assert small is not None
    assert "immutable" in plain.head.decode()
    assert "Content-Type: text/javascript" in plain.head.decode()
    assert (plain.body, gzip.decompress(zipped.body), small.body) == (b"let a", b"let a", b"br")
    assert "Content-Encoding: gzip" in zipped.head.decode()


@pytest.mark.parametrize(
    "path",
    ["/stage.html", "/.ready", "/index.html", "/assets/a-1.js.gz", "/assets/../index.html", "/assets/", "//etc/passwd"],
)
def test_other_files_are_not_served(files: StaticFiles, path: str) -> None:
    assert files.file(request(path)) is None


def test_without_a_built_page_it_says_how_to_build_it() -> None:
    assert b"make setup" in StaticFiles(None, Places()).page(request("/")).body


ROOM = RoomDocument(
    room="demo",
    title="T",
    state=RoomState.LIVE,
    zero_ns=NOW,
    started_ns=NOW,
    announcement=Announcement(text="Hello", at_ns=NOW),
)
STAGE = StageDocument(
    room="demo",
    epoch=3,
    at_ns=NOW,
    on_air=True,
    people=(
        StagePerson(person="a", name="Amal", role=Role.HOST, speaking=True),
        StagePerson(person="b", name="Boris", role=Role.SPEAKER, speaking=True, muted_by="host"),
        StagePerson(person="c", name="Gone", role=Role.SPEAKER, connected=False),
    ),
)


def test_state_json_has_the_fields_of_the_design() -> None:
    state = state_json(ROOM, STAGE, {"listeners": 12, "by_beacon": 3}, 4, Places("https://staff.example"), None)
    assert set(state) | {"server_time"} == {
        "room", "title", "description", "language", "state", "on_air", "epoch", "planned_start", "time_zone",
        "started_at", "ended_at", "server_time", "people", "audience", "announcement", "recorded", "key_fingerprint",
        "staff_url", "streams", "replay", "delivery", "hands_open",
    }  # fmt: skip
    assert (state["state"], state["on_air"], state["epoch"]) == ("live", True, 3)
    assert state["delivery"] == {"block_steps": 4, "block_s": 0.96}
    assert state["started_at"] == "2027-01-15T08:00:00.000Z"
    assert state["people"] == [
        {"person": "a", "name": "Amal", "role": "host", "speaking": True, "muted": False},
        {"person": "b", "name": "Boris", "role": "speaker", "speaking": False, "muted": True},
    ]
    assert state["announcement"] == {"text": "Hello", "at": "2027-01-15T08:00:00.000Z"}


@pytest.mark.parametrize("state", [RoomState.SCHEDULED, RoomState.ENDED, RoomState.PUBLISHED])
def test_nobody_is_on_stage_in_a_room_that_is_not_open(state: RoomState) -> None:
    said = state_json(ROOM.model_copy(update={"state": state}), STAGE, {}, 1, Places(), {"hls": "x"})
    assert (said["on_air"], said["people"]) == (False, [])
    assert said["replay"] == ({"hls": "x"} if state is not RoomState.SCHEDULED else None)


def test_a_cdn_takes_playlists_and_media_alone() -> None:
    at_home, by_cdn = (streams_json("demo", Places("", url)) for url in ("", "https://cdn.example/of/us"))
    assert by_cdn | {"hls": "", "hls_opus": ""} == at_home | {"hls": "", "hls_opus": ""}
    assert by_cdn["hls"] == "https://cdn.example/of/us/r/demo/live.m3u8"
    assert by_cdn["hls_opus"] == "https://cdn.example/of/us/r/demo/live-opus.m3u8"
