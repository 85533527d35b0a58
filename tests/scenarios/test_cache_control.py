"""What a cache may keep: each line of the table in docs/design.md, asked of a real edge."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from stentor.edge.http import Limits
from stentor.room.states import RoomState
from tests.fakes.wav_room import WavRoom, wav_room

DESIGN = Path(__file__).parents[2] / "docs" / "design.md"
ROW = re.compile(r"^\| (.*?) ?\| `(GET|POST|DELETE|OPTIONS) (\S+)` \| (\d{3}) \| `(.+)` \|$", re.MULTILINE)
Line = tuple[str, str, str, int, str]
LINES: list[Line] = [
    (when, how, where, int(status), said) for when, how, where, status, said in ROW.findall(DESIGN.read_text())
]
ON_AIR = ("", "a part that is there", "the next part", "a segment that is there", "long ago")


def name(line: Line) -> str:
    return " ".join(map(str, line[:3])).strip()


def lines(*when: str) -> pytest.MarkDecorator:
    """Return one test for each line of the table that holds ``when``."""
    return pytest.mark.parametrize("line", [line for line in LINES if line[0] in when], ids=name)


async def ask(client: httpx.AsyncClient, line: Line, where: str = "") -> httpx.Response:
    """Ask for a line of the table and hold the answer against it."""
    _, how, asked, status, said = line
    async with client.stream(how, where or asked) as answer:
        assert (answer.status_code, answer.headers.get("cache-control")) == (status, said)
        return answer


@asynccontextmanager
async def client_of(room: WavRoom) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", timeout=15) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "assets").mkdir()
    (folder / "index.html").write_text("<p>page")
    (folder / "assets" / "a-1.js").write_text("let a")
    return folder


def test_the_table_is_there() -> None:
    known = {*ON_AIR, "nothing comes", "the edge stops", "the doors are shut", "after the end"}
    assert {line[0] for line in LINES} == known
    assert len(LINES) >= 30


async def test_on_air(pages: Path) -> None:
    async with wav_room(pages=pages) as room, client_of(room) as client:
        for line in LINES:
            if line[0] not in ON_AIR:
                continue
            playlist = (await client.get("/r/demo/aac.m3u8")).text
            newest = re.findall(r"aac/1/(\d+)\.(\d)\.m4s", playlist)[-2 if line[0] == "a part that is there" else -1]
            where = line[2].replace("FILE", "a-1.js").replace("_HLS_msn=N", f"_HLS_msn={newest[0]}")
            where = where.replace("_HLS_part=P", f"_HLS_part={newest[1]}").replace(
                "N.P.m4s", f"{newest[0]}.{newest[1]}.m4s"
            )
            where = where.replace("N.m4s", re.findall(r"aac/1/(\d+)\.m4s", playlist)[-1] + ".m4s")
            assert not re.search(r"\b[NP]\b|FILE", where)
            await ask(client, line, where)


@lines("nothing comes")
async def test_nothing_comes(line: Line) -> None:
    async with wav_room(origin=False, limits=Limits(hold_s=0.5)) as room, client_of(room) as client:
        await ask(client, line)


@lines("the edge stops")
async def test_the_edge_stops(line: Line) -> None:
    async with wav_room(origin=False) as room, client_of(room) as client, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask(client, line))
        await room.until(lambda: bool(room.edge.rooms.get("demo").by_transport()["hls"]), "the player is there")
        await asyncio.sleep(0.05)
        room.edge.stop()
        await asking


@lines("the doors are shut")
async def test_the_doors_are_shut(line: Line) -> None:
    async with wav_room(state=RoomState.SCHEDULED, origin=False) as room, client_of(room) as client:
        await ask(client, line)


@lines("after the end")
async def test_after_the_end(line: Line) -> None:
    async with wav_room(state=RoomState.PUBLISHED, origin=False) as room, client_of(room) as client:
        await ask(client, line)
