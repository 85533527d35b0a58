"""A room's whole life through the real doors: two speakers, listeners, hold, end, replay, proof."""

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stentor.archive.verify import verify
from stentor.clock import SystemClock
from stentor.demo.staff_api import ProblemError, StaffApi, token_of
from stentor.demo.whip import HttpWhip, WhipSpeaker
from stentor.media.grid import SAMPLE_RATE_HZ, TICK_SAMPLES
from tests.fakes.installation import Installation, installation
from tests.fakes.listener import PushListener, push_listener

pytestmark = pytest.mark.timeout(180)

ANA_HZ, BEA_HZ = 3_110.0, 4_270.0
"""Pitches that the hold sound does not have."""


class Hum:
    """A microphone that hums one pitch, loud enough to be speaking."""

    def __init__(self, pitch_hz: float) -> None:
        self.pitch_hz = pitch_hz
        self._at = 0

    def __call__(self) -> NDArray[np.float32]:
        at = (self._at + np.arange(TICK_SAMPLES)) / SAMPLE_RATE_HZ
        self._at += TICK_SAMPLES
        return (0.2 * np.sin(2 * np.pi * self.pitch_hz * at)).astype(np.float32).reshape(1, -1)


class Spectrum:
    """What pitches are in the sound, by second of arrival."""

    def __init__(self) -> None:
        self.recent = np.zeros(0, np.float32)

    def feed(self, sound: NDArray[np.float32], _wall_s: float) -> None:
        self.recent = np.concatenate([self.recent, sound])[-11_520:]

    def has(self, pitch_hz: float) -> bool:
        """Tell whether the last 0.24 s hold a pitch at -40 dBFS or more."""
        if len(self.recent) < 11_520:
            return False
        at = np.arange(len(self.recent)) / SAMPLE_RATE_HZ
        part = np.abs(np.mean(np.hanning(len(at)) * self.recent * np.exp(-2j * np.pi * pitch_hz * at))) * 4
        return bool(part > 0.01)


async def open_room(site: Installation, **fields: object) -> tuple[StaffApi, dict[str, object]]:
    api = await site.operator()
    made = await api.call("POST", "/rooms", {"room": "night", "title": "A night", **fields})
    await api.call("POST", "/rooms/night/open", {})
    return api, made


async def speaker(
    site: Installation, api: StaffApi, name: str, pitch_hz: float, group: asyncio.TaskGroup
) -> WhipSpeaker:
    link = await api.call("POST", "/rooms/night/links", {"role": "speaker", "name": name})
    whip = HttpWhip(f"{site.staff_url}/r/night/whip", token_of(str(link["url"])), tls=site.tls)
    one = WhipSpeaker(whip, Hum(pitch_hz), SystemClock())
    group.create_task(until_refused(one))
    async with asyncio.timeout(15):
        await one.connected.wait()
    return one


async def until_refused(one: WhipSpeaker) -> None:
    """Speak until the room has ended or the person is removed: then the door says so."""
    with suppress(ProblemError):
        await one.run()


async def until_replay(site: Installation, limit_s: float = 15.0) -> dict[str, object]:
    """Return the room's state once its replay is there, with the Opus recording; recordings come one by one."""
    end = time.monotonic() + limit_s
    while True:
        document: dict[str, object] = json.loads((await site.get("/r/night/state.json")).body)
        replay = document["replay"]
        if document["state"] == "published" and isinstance(replay, dict) and "opus" in replay["recordings"]:
            return document
        assert time.monotonic() < end, f"{document['state']}, {document['replay']}: {site.log.read_text()[-3000:]}"
        await asyncio.sleep(0.1)


async def until_on_stage(api: StaffApi, name: str, limit_s: float = 10.0) -> str:
    """Return the person's id once the roster shows them."""
    end = time.monotonic() + limit_s
    while True:
        people = (await api.call("GET", "/rooms/night/roster"))["people"]
        assert isinstance(people, list)
        for person in people:
            if person["name"] == name:
                return str(person["person"])
        assert time.monotonic() < end, f"{name} is not among {people}"
        await asyncio.sleep(0.1)


async def until_heard(listener: PushListener, ear: Spectrum, *pitches: float) -> None:
    await listener.until(lambda _: all(map(ear.has, pitches)), f"{pitches} are not heard")


async def test_a_night_from_lobby_to_proof(tmp_path: Path) -> None:
    async with installation(tmp_path) as site, asyncio.TaskGroup() as group:
        api, _ = await open_room(site)
        ana = await speaker(site, api, "Ana", ANA_HZ, group)
        bea = await speaker(site, api, "Bea", BEA_HZ, group)
        ear = Spectrum()
        async with push_listener(site.audience_url, "night", on_sound=ear.feed) as listener:
            await listener.until(lambda it: len(it.blocks) > 6, "no hold sound in the lobby")
            assert not ear.has(ANA_HZ), "the lobby was heard"
            await until_on_stage(api, "Bea")
            await api.call("POST", "/rooms/night/start", {"force": True})
            await until_heard(listener, ear, ANA_HZ, BEA_HZ)
            await api.call("POST", "/rooms/night/hold", {})
            await listener.until(lambda _: not ear.has(ANA_HZ) and not ear.has(BEA_HZ), "the hold does not hold")
            held_from = len(listener.blocks)
            await listener.until(lambda it: len(it.blocks) > held_from + 4, "nothing comes on hold")
            assert not ear.has(ANA_HZ), "the hold was heard"
            await api.call("POST", "/rooms/night/resume", {})
            await until_heard(listener, ear, ANA_HZ, BEA_HZ)
            await api.call("POST", "/rooms/night/end", {})
            await listener.until(lambda it: it.closed is not None, "the push does not end")
        steps = [block.step for block in listener.blocks]
        assert steps == list(range(steps[0], steps[0] + len(steps))), "steps are missing or out of order"
        document = await until_replay(site)
        await check_recording(site, document, tmp_path)
        ana.leave()
        bea.leave()


async def check_recording(site: Installation, document: dict[str, object], folder: Path) -> None:
    replay = document["replay"]
    assert isinstance(replay, dict)
    assert len(replay["holds"]) == 1
    playlist = (await site.get("/r/night/replay.m3u8")).body.decode()
    assert playlist.startswith("#EXTM3U")
    proof = folder / "proof.json"
    proof.write_bytes((await site.get("/r/night/proof.json")).body)
    for kind in ("m4a", "opus", "mp3"):
        recording = folder / f"recording.{kind}"
        end = time.monotonic() + 10
        while (answer := await site.get(f"/r/night/recording.{kind}")).status != 200:
            assert time.monotonic() < end, f"no recording.{kind}: {answer.status}"
            await asyncio.sleep(0.1)
        recording.write_bytes(answer.body)
        verdict = await asyncio.to_thread(verify, recording, proof, fingerprint=str(document["key_fingerprint"]))
        assert verdict.identical, verdict.sentences()


async def test_a_speaker_does_not_hear_themself(tmp_path: Path) -> None:
    async with installation(tmp_path) as site, asyncio.TaskGroup() as group:
        api, _ = await open_room(site)
        ana = await speaker(site, api, "Ana", ANA_HZ, group)
        bea = await speaker(site, api, "Bea", BEA_HZ, group)
        muted = await until_on_stage(api, "Bea")
        await api.call("POST", f"/rooms/night/people/{muted}/mute", {"muted": True})
        await api.call("POST", "/rooms/night/start", {"force": True})
        ear = Spectrum()
        async with push_listener(site.audience_url, "night", on_sound=ear.feed) as listener:
            await until_heard(listener, ear, ANA_HZ)
            assert not ear.has(BEA_HZ), "a muted speaker is heard"
            await api.call("DELETE", f"/rooms/night/people/{muted}")
            await listener.until(
                lambda it: bool(it.states) and "Bea" not in json.dumps(it.states[-1]["people"]),
                "Bea is still on the roster",
            )
        ana.leave()
        bea.leave()


async def test_two_hosts_start_at_once(tmp_path: Path) -> None:
    async with installation(tmp_path) as site:
        api, _ = await open_room(site)
        answers = await asyncio.gather(
            *(api.call("POST", "/rooms/night/start", {"force": True, "expected": "lobby"}) for _ in range(2)),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, ProblemError)]
        assert len(refused) == 1
        assert refused[0].kind == "wrong-state"


async def test_a_killed_room_process_is_replaced(tmp_path: Path) -> None:
    async with installation(tmp_path) as site, asyncio.TaskGroup() as group:
        api, _ = await open_room(site)
        ana = await speaker(site, api, "Ana", ANA_HZ, group)
        await api.call("POST", "/rooms/night/start", {"force": True})
        ear = Spectrum()
        async with push_listener(site.audience_url, "night", on_sound=ear.feed) as listener:
            await until_heard(listener, ear, ANA_HZ)
            serving = json.loads((await site.get("/r/night/state.json")).body)["epoch"]
            site.kill_room()
            await listener.until(lambda it: it.blocks[-1].epoch > serving, "no new epoch")
            ear.recent = np.zeros(0, np.float32)
            await until_heard(listener, ear, ANA_HZ)
            assert listener.closed is None
        assert ana.connections == 2
        ana.leave()
