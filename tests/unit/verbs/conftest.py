"""A control that serves in this process, over a memory bus, with the data folder that verbs are pointed at."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stentor.bus.memory import MemoryBus
from stentor.clock import SystemClock
from stentor.config import Settings
from stentor.control.server import Control
from stentor.control.settings import ControlKeys, ControlSettings
from stentor.store.keys import GRANTS_KEY, PROOF_KEY, load_or_create_key
from stentor.store.sql import SqlCatalogue
from stentor.store.sql_migrate import migrate


@dataclass
class Running:
    """A Stentor as verbs see it: ``settings`` name its folder and where its staff port is."""

    settings: Settings
    bus: MemoryBus
    control: Control


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    kept = Settings(data_dir=tmp_path)
    await migrate(kept.database_url)
    keys = ControlKeys(load_or_create_key(tmp_path / GRANTS_KEY), load_or_create_key(tmp_path / PROOF_KEY))
    clock = SystemClock()
    bus, catalogue = MemoryBus(clock), SqlCatalogue(kept.database_url)
    chosen = ControlSettings("https://audience.example", "https://staff.example", web_dist=tmp_path)
    control = Control(bus=bus, catalogue=catalogue, clock=clock, keys=keys, settings=chosen)
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(control.run("127.0.0.1", 0, stop=stop, started=port.set_result))
        try:
            settings = Settings(data_dir=tmp_path, staff_url=f"http://127.0.0.1:{await port}")
            yield Running(settings, bus, control)
        finally:
            stop.set()
    await catalogue.close()
