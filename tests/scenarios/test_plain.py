"""A browser that runs no script, at a real edge: from the room's address to the sound, and never a blank page."""

import asyncio
import html
import re
import time
from pathlib import Path

import httpx
import pytest

from stentor.edge.http import Response
from stentor.edge.refusal import html_response
from stentor.room.documents import Dials
from stentor.room.states import RoomState
from tests.fakes.wav_room import WavRoom, wav_room

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "ar,en;q=0.5"}


async def test_without_a_script_one_comes_from_the_rooms_address_to_the_sound(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>page")
    async with (
        wav_room(pages=tmp_path) as room,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", headers=BROWSER, timeout=15) as client,
    ):
        page = await client.get("/r/demo?plain=1", follow_redirects=True)
        assert page.url.path == "/r/demo/door"
        assert page.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "أنت في الداخل" in page.text
        source = page.text.partition('<source src="')[2].partition('"')[0]
        assert source.startswith("/r/demo/listen.aac?ticket=")
        async with client.stream("GET", source) as sound:
            assert sound.status_code == 200
            async for piece in sound.aiter_bytes():
                assert piece
                break
        assert (await client.get("/?plain=1")).headers["location"] == "/status"
        await room.put(RoomState.ENDED)
        await room.until(lambda: room.edge.rooms.get("demo").document.state is RoomState.ENDED, "the room is over")
        page = await client.get("/r/demo/door?lang=en")
        assert "It is over." in page.text
        assert 'http-equiv="refresh"' in page.text
        assert "url=/r/demo/door?lang=en" in page.text


class Visitor:
    """A browser that runs no script: it goes where pages send it, and comes again when they say."""

    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self._client = client
        self._path = path
        self.text = ""

    async def look(self) -> str:
        page = await self._client.get(self._path, follow_redirects=True)
        assert page.status_code == 200, page.text
        self._path, self.text = page.url.raw_path.decode(), page.text
        found = re.search(r'http-equiv="refresh" content="(\d+);url=([^"]+)"', page.text)
        if found is not None:
            assert 1 <= int(found[1]) <= 30
            self._path = html.unescape(found[2])
        return self.text

    async def until(self, words: str) -> str:
        """Look, sooner than told to, until some words stand there."""
        end = time.monotonic() + 20
        while words not in await self.look():
            assert time.monotonic() < end, self.text
            await asyncio.sleep(0.1)
        return self.text


async def test_without_a_script_one_stands_in_line_and_is_let_in() -> None:
    async with (
        wav_room() as room,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", headers=BROWSER, timeout=15) as client,
    ):
        await turn(room, 1)
        first = await Visitor(client, "/r/demo/door").until("أنت في الداخل")
        source = html.unescape(first.partition('<source src="')[2].partition('"')[0])
        async with client.stream("GET", source) as sound:
            assert sound.status_code == 200
            second = Visitor(client, "/r/demo/door")
            waits = await second.until("مكانك في الصف")
            assert "<dd>1</dd>" in waits
            assert "<audio" not in waits
            status = (await client.get("/status.json")).json()
            assert [(line["listeners"], line["waiting"]) for line in status["rooms"]] == [(1, 1)]
            page = await client.get("/r/demo/listen.mp3")
            assert page.status_code == 503
            assert "على هذا الباب صف" in page.text
            assert 'href="/r/demo/door"' in page.text
            await turn(room, 2)
            assert "<audio" in await second.until("أنت في الداخل")


async def turn(room: WavRoom, cap: int) -> None:
    """Turn the room's dial, as control does."""
    room.document = room.document.model_copy(update={"door": Dials(cap=cap)})
    await room.put(RoomState.LIVE)
    demo = room.edge.rooms.get("demo")
    await room.until(lambda: demo.document.door.cap == cap, "the edge knows the dial")


async def test_browsers_get_problems_in_words_and_programs_as_before() -> None:
    expected = {
        "/r/nobody/door": (404, "لا توجد غرفة بهذا العنوان"),
        "/nothing": (404, "لا شيء في هذا العنوان"),
        "/r/demo/listen.mp3": (409, "هذه الغرفة غير مفتوحة الآن"),
        "/r/demo/ticket": (405, "لا يعمل هذا هكذا"),
    }
    async with (
        wav_room(origin=False, state=RoomState.SCHEDULED) as room,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", timeout=15) as client,
    ):
        for path, (status, words) in expected.items():
            page = await client.get(path, headers=BROWSER)
            assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
            assert words in page.text
            assert 'href="/status"' in page.text
            problem = await client.get(path)
            assert (problem.status_code, problem.headers["content-type"]) == (status, "application/problem+json")
            assert problem.headers.get("allow") == page.headers.get("allow")


async def test_before_the_doors_open_the_page_says_so_and_comes_again() -> None:
    async with (
        wav_room(origin=False, state=RoomState.SCHEDULED) as room,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", headers=BROWSER, timeout=15) as client,
    ):
        page = await client.get("/r/demo/door")
        assert page.status_code == 200
        assert "تُفتح الأبواب" in page.text
        assert 'http-equiv="refresh"' in page.text


async def test_the_status_costs_a_crowd_one_rendering_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def counted(status: int, body: bytes, *, cache: str, extra: dict[str, str] | None = None) -> Response:
        made.append(body)
        return html_response(status, body, cache=cache, extra=extra)

    monkeypatch.setattr("stentor.edge.status.html_response", counted)
    async with (
        wav_room(origin=False) as room,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", timeout=15) as client,
    ):
        pages = [await client.get("/status", headers=BROWSER) for _ in range(50)]
        assert {page.headers["content-encoding"] for page in pages} == {"gzip"}
        plain = await client.get("/status", headers={**BROWSER, "Accept-Encoding": "identity"})
        assert plain.text.startswith("<!doctype html>")
        assert pages[0].text.startswith("<!doctype html>")
        assert pages[0].headers["cache-control"] == "public, max-age=2"
        assert len(made) < len(pages)
