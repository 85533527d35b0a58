"""The synthetic speaker over HTTP: joins, is heard, hears, joins again by itself, leaves."""

import asyncio

import numpy as np
import pytest

from stentor.clock import SystemClock
from stentor.demo.peer import Heard
from stentor.demo.staff_api import ProblemError
from stentor.demo.whip import HttpWhip, SpeakerEvents, WhipSpeaker
from tests.fakes.stage import fake_stage
from tests.fakes.whip_door import whip_door


def silence() -> np.ndarray:
    return np.zeros((1, 960), np.float32)


async def test_a_speaker_joins_is_lost_comes_back_and_leaves():
    heard: list[Heard] = []
    lost = asyncio.Event()
    async with fake_stage() as stage, whip_door(stage) as door:
        stage.on_packet = lambda session, packet: session.send(packet[2])
        speaker = WhipSpeaker(
            HttpWhip(f"{door.url}/whip", "token"),
            silence,
            SystemClock(),
            SpeakerEvents(heard.append, on_lost=lost.set),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(speaker.run())
            await speaker.connected.wait()
            await stage.until_packets(25)
            assert heard
            door.away = True
            await stage.sessions[0].close("origin-gone")
            await lost.wait()
            door.away = False
            await speaker.connected.wait()
            assert speaker.connections == 2
            await stage.until_packets(len(stage.packets) + 25)
            speaker.leave()
        assert [await stage.closed.get() for _ in range(2)] == ["origin-gone", "left"]
        assert set(door.bearers) == {"Bearer token"}


async def test_a_speaker_whose_stage_dies_without_a_word_notices_and_comes_back():
    async with fake_stage() as stage, whip_door(stage) as door:
        stage.on_packet = lambda session, packet: session.send(packet[2])
        speaker = WhipSpeaker(HttpWhip(f"{door.url}/whip", "token"), silence, SystemClock())
        async with asyncio.TaskGroup() as group:
            group.create_task(speaker.run())
            await stage.until_packets(10)
            stage.on_packet = lambda session, packet: None
            while len(stage.sessions) < 2:
                await stage.until_packets(len(stage.packets) + 1)
            stage.on_packet = lambda session, packet: session.send(packet[2])
            await stage.until_packets(len(stage.packets) + 100)
            speaker.leave()
        assert speaker.connections == 2


async def test_a_speaker_who_is_refused_says_so():
    async with fake_stage() as stage, whip_door(stage) as door:
        speaker = WhipSpeaker(HttpWhip(f"{door.url}/elsewhere", "token"), silence, SystemClock())
        with pytest.raises(ProblemError):
            await speaker.run()
        assert stage.sessions == []
