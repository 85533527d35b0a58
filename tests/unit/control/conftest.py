"""A desk (control over a memory bus) for each test, on SQLite in a file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stentor.store.sql_migrate import migrate
from tests.fakes.clock import VirtualClock
from tests.fakes.staff import Desk, staff_desk


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def desk(clock: VirtualClock, tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite+aiosqlite:///{tmp_path}/catalogue.db"
    await migrate(url)
    async with staff_desk(clock, url, tmp_path) as desk:
        yield desk
