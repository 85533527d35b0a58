"""Whatever dies while a room is on air: listeners go on, speakers come back, and the recording has every step heard."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import websockets

from stentor.archive.verify import verify
from stentor.clock import SystemClock
from stentor.demo.staff_api import ProblemError, StaffApi, token_of
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.media.rendition import RenditionName
from stentor.store.recording import RecordingIndex
from tests.fakes.installation import Installation, _start, descendants, installation
from tests.fakes.listener import Block, push_listener
from tests.scenarios.test_room import Hum, until_replay

pytestmark = pytest.mark.timeout(180)


def pid_of(site: Installation, word: str) -> int:
    """Return a process below an installation by the end of its command line."""
    return next(pid for pid, command in descendants(site.process.pid) if command.split()[-1].endswith(word))


class Listener:
    """Listens by push as the page does: comes back with ``after`` when it is cut, and takes no step twice."""

    def __init__(self, site: Installation) -> None:
        self._site = site
        self.blocks: list[Block] = []

    async def run(self) -> None:
        while True:
            after = f"&after={self.blocks[-1].step}" if self.blocks else ""
            try:
                async with push_listener(self._site.audience_url, "night", query=after) as heard:
                    while heard.closed is None:
                        heard._changed.clear()
                        await heard._changed.wait()
                        for block in heard.blocks:
                            if not self.blocks or block.step > self.blocks[-1].step:
                                self.blocks.append(block)
                        heard.blocks.clear()
            except* (OSError, websockets.WebSocketException):
                pass
            await asyncio.sleep(0.1)

    async def hears_more(self, since: str, *, blocks: int = 6, limit_s: float = 20.0) -> None:
        """Wait until ``blocks`` more have come."""
        wanted, end = len(self.blocks) + blocks, time.monotonic() + limit_s
        while len(self.blocks) < wanted:
            assert time.monotonic() < end, f"no sound after {since}: {self.blocks[-1:]}"
            await asyncio.sleep(0.05)

    def pauses_s(self) -> list[float]:
        """Return the silences between blocks."""
        return [later.came_s - earlier.came_s for earlier, later in zip(self.blocks, self.blocks[1:], strict=False)]


class Night:
    """A room on air with two who hum and one who listens."""

    def __init__(self, site: Installation, api: StaffApi) -> None:
        self.site, self.api = site, api
        self.listener = Listener(site)
        self.speakers: list[WhipSpeaker] = []

    async def connected(self, why: str) -> None:
        """Wait until both speakers are on stage."""
        async with asyncio.timeout(30):
            for speaker in self.speakers:
                await speaker.connected.wait()
        await self.listener.hears_more(why)

    async def end(self, folder: Path) -> set[tuple[int, int]]:
        """End the room; return (epoch, step) of what was heard on air and is not in the recording, which is valid."""
        await self.api.call("POST", "/rooms/night/end", {})
        document = await until_replay(self.site, limit_s=40.0)
        replay = document["replay"]
        assert isinstance(replay, dict)
        recording, proof = folder / "night.opus", folder / "proof.json"
        fetched = await self.site.get(replay["recordings"]["opus"])
        assert fetched.status == 200, fetched.body[:500]
        await asyncio.to_thread(recording.write_bytes, fetched.body)
        await asyncio.to_thread(proof.write_bytes, (await self.site.get(replay["proof"])).body)
        verdict = verify(recording, proof, fingerprint=str(document["key_fingerprint"]))
        assert verdict.exit_code == 0, verdict.sentences()
        index = self.site.data_dir / "objects" / "night" / "index.json"
        kept = RecordingIndex.model_validate_json(await asyncio.to_thread(index.read_bytes))
        assert kept.start_step is not None
        assert kept.end_step is not None
        runs = kept.renditions[RenditionName.OPUS].runs
        stored = {(run.epoch, step) for run in runs for step in range(run.first_step, run.last_step + 1)}
        heard = {(each.epoch, each.step) for each in self.listener.blocks}
        return {place for place in heard if kept.start_step <= place[1] < kept.end_step} - stored


@asynccontextmanager
async def on_air(site: Installation) -> AsyncIterator[Night]:
    api = await site.operator()
    await api.call("POST", "/rooms", {"room": "night", "title": "A night"})
    await api.call("POST", "/rooms/night/open", {})
    night = Night(site, api)

    async def speak(speaker: WhipSpeaker) -> None:
        with contextlib.suppress(ProblemError):  # a speaker that comes back after the end is told so
            await speaker.run()

    async with asyncio.TaskGroup() as group:
        for pitch_hz in (440.0, 660.0):
            link = await api.call("POST", "/rooms/night/links", {"role": "speaker", "name": f"{pitch_hz}"})
            whip = HttpWhip(f"{site.staff_url}/r/night/whip", token_of(str(link["url"])))
            night.speakers.append(WhipSpeaker(whip, Hum(pitch_hz), SystemClock()))
        tasks = [group.create_task(speak(speaker)) for speaker in night.speakers]
        tasks.append(group.create_task(night.listener.run()))
        await night.connected("the doors opened")
        await api.call("POST", "/rooms/night/start", {"force": True})
        yield night
        for task in tasks:
            task.cancel()


async def test_each_process_dies_and_no_step_is_lost(tmp_path: Path) -> None:
    async with installation(tmp_path) as site, on_air(site) as night:
        victims: dict[str, Callable[[], int]] = {
            "origin-room": lambda: int(str(site.events("room_process_assigned")[-1]["pid"])),
            "origin": lambda: pid_of(site, "origin"),
            "control": lambda: pid_of(site, "control"),
            "archive": lambda: pid_of(site, "archive"),
            "edge": lambda: pid_of(site, "edge"),
            "nats": lambda: pid_of(site, "nats.conf"),
        }
        for name, victim in victims.items():
            os.kill(victim(), signal.SIGKILL)
            await night.connected(f"the death of {name}")
            await site.until_ready()
        frozen = pid_of(site, "nats.conf")
        os.kill(frozen, signal.SIGSTOP)
        await asyncio.sleep(2.5)
        os.kill(frozen, signal.SIGCONT)
        await night.connected("the bus was frozen")
        site.process.kill()
        site.process.wait()
        site.process = _start("serve", site.environment, site.log)
        await site.until_ready()
        await night.connected("the machine died")
        epochs = [block.epoch for block in night.listener.blocks]
        assert epochs == sorted(epochs)
        assert len(set(epochs)) == 4, "room, host and machine died once each"
        assert await night.end(tmp_path) == set()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder with room for 280 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "data"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=280m", "tmpfs", str(folder)]).returncode != 0:
        pytest.skip("nothing can be mounted in this container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_stops_no_sound_and_loses_nothing(tmp_path: Path, disk: Path) -> None:
    async with installation(tmp_path) as site, on_air(site) as night:
        ballast = disk / "ballast"
        await asyncio.to_thread(_fill, ballast)
        await site.until_ready(ready=False)
        said = (await site.get("/readyz", base=site.private_url)).body.decode()
        assert f"the disk of {disk} is full" in said
        assert "free at least 64 MB. Sound goes on" in said
        await night.listener.hears_more("the disk was full", blocks=16)
        with pytest.raises(ProblemError, match="disk is full. Nothing was changed; have somebody free some space"):
            await night.api.call("POST", "/rooms/night/hold", {})
        assert max(night.listener.pauses_s()) < 3
        ballast.unlink()
        await site.until_ready()
        await night.listener.hears_more("the disk had room again")
        assert await night.end(tmp_path) == set()
        assert {block.epoch for block in night.listener.blocks} == {1}
        waits = site.events("archive_waits")
        assert not any("sub-exception" in str(wait["reason"]) for wait in waits), "the log does not say why"


def _fill(ballast: Path) -> None:
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            return
